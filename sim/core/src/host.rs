//! What the simulated network and disks ask of the world around them.
//!
//! The network and the disks know nodes by [`NodeIx`] and nothing of plans: at every site they report what is about to
//! happen and obey the [`Verdict`]. A dead node is one whose network and disk have been told so
//! (`Net::crash`, `Disk::crash`); they do not ask the host.

use std::sync::Arc;

pub use crate::fault::BurstFault;
use crate::{event::What, seed::Seed, time::VirtualTime};

/// A node's index, in the order of creation; stable for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIx(pub u16);

/// A site as it is reached, before its attempt is counted.
#[derive(Clone, Copy, Debug)]
pub enum Reached<'a> {
    /// A burst is about to leave.
    Send {
        /// The receiving node.
        to: NodeIx,
        /// The label of the burst (baggage, or connection ordinal).
        label: &'a str,
        /// Its content.
        bytes: &'a [u8],
    },
    /// The disk is about to write.
    Write,
    /// The disk is about to sync.
    Sync,
}

/// What the storm has in store for a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Verdict {
    /// The node dies *now*, before the action happens: its disk and network have already been frozen by the time
    /// that the verdict arrives, and the action must have no effect (an I/O error to the caller).
    pub dead: bool,
    /// For [`Reached::Send`] only.
    pub burst: Option<BurstFault>,
}

/// The world, seen from the network and the disks.
pub trait Host: Send + Sync {
    /// The present instant.
    fn now(&self) -> VirtualTime;
    /// The run's seed, for keyed values and streams.
    fn seed(&self) -> Seed;
    /// A node's name.
    fn name(&self, node: NodeIx) -> Arc<str>;
    /// A site is reached. Called before the action; the callee may call `crash`, `power_loss` or `freeze` on the
    /// caller's own node from within, so no lock may be held across this call.
    fn reached(&self, node: NodeIx, site: Reached<'_>) -> Verdict;
    /// An unmodified program has written this into a file: it is part of the run's hash.
    fn wrote(&self, _: NodeIx, _inode: u64, _offset: u64, _bytes: &[u8]) {}
    /// A disk has synced something; no lock is held.
    fn synced(&self, _: NodeIx) {}
    /// Whether anybody keeps full traces (else skip the work of describing).
    fn tracing(&self) -> bool;
    /// Records something that happened. Cheap in a campaign: only hashed.
    fn record(&self, node: NodeIx, what: What<'_>);
}
