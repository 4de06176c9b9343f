//! What a fault can do to the system that it strikes.

use super::Action;
use crate::{
    seed::{hash, mix},
    vocabulary::Life,
};

/// Where no key is named, one row in this many can't be read.
pub const UNREADABLE_ONE_IN: u64 = 4;

/// Directed links between nodes, by name. A node that has two processes has a link from and to each of them.
#[derive(Clone, Copy, Debug)]
pub enum Links<'a> {
    /// From the first to the second.
    OneWay(&'a str, &'a str),
    /// Between the two.
    BothWays(&'a str, &'a str),
    /// Between this node and all others.
    Of(&'a str),
}

impl Links<'_> {
    /// Whether the link from one node to another is among them.
    pub fn contain(&self, from: &str, to: &str) -> bool {
        match *self {
            Links::OneWay(a, b) => (a, b) == (from, to),
            Links::BothWays(a, b) => (a, b) == (from, to) || (b, a) == (from, to),
            Links::Of(node) => node == from || node == to,
        }
    }
}

/// Something that faults bring about and the system counts.
#[derive(Clone, Copy, Debug)]
pub enum Effect<'a> {
    /// A burst or a connect met a cut link.
    HeldBack(Links<'a>),
    /// A burst or a connect was slower than usual.
    Slowed(Links<'a>),
    /// A packet was lost and sent again.
    PacketLost(Links<'a>),
    /// A burst waited for bandwidth.
    Throttled(Links<'a>),
    /// A connection was reset.
    ConnectionReset(Links<'a>),
    /// A burst vanished in a connection that is dead.
    Vanished(Links<'a>),
    /// A connect was refused by this node.
    ConnectRefused(&'a str),
    /// A connect to this node was ignored.
    ConnectIgnored(&'a str),
    /// A task of this node had to wait for its turn.
    TurnSlowed(&'a str),
    /// Virtual milliseconds that slowness added to commits of this node.
    CommitMsAdded(&'a str),
    /// A sync of this node failed.
    SyncFailed(&'a str),
    /// A write of this node failed.
    WriteFailed(&'a str),
    /// A write of this node found the disk full.
    WriteRefused(&'a str),
    /// A read or partial write of this node met an unreadable sector.
    SectorUnreadable(&'a str),
    /// A read of this node met one of these rows while it could not be read.
    RowUnreadable(&'a str, &'a Rows),
    /// This node read its wall clock.
    ClockRead(&'a str),
    /// A program of this node looked a name up and was told to try again.
    NameFailed(&'a str),
    /// A program of this node waited for an address.
    NameSlowed(&'a str),
    /// A program of this node was given an old address.
    NameStale(&'a str),
    /// A program of this node was refused a descriptor.
    DescriptorRefused(&'a str),
    /// A sync of this node has written nothing, and said that it had.
    SyncLied(&'a str),
    /// The scenario's own fault of this name and node touched something, as whoever brings it counts it.
    Custom(&'a str, &'a str),
}

/// A system under storm, as the fault sees it that is beginning, going on or ending. What befalls the name of a node
/// befalls all processes that have it; an unknown name is ignored.
pub trait Target {
    /// How often something has happened so far.
    fn count(&self, of: Effect<'_>) -> u64;

    /// This fault has touched something.
    fn touched(&self);

    /// [Goes on](super::Injectable::again) after this many virtual milliseconds, `left` times being left then.
    fn again_after(&self, ms: u64, left: u32);

    /// Switches on whatever lasts: the end of one fault must not end another that concerns the same node or link.
    fn switch_on_again(&self);

    /// The other faults that go on, or lie in wait, and do the same to the same nodes.
    fn alike(&self) -> Vec<Action>;

    /// The process dies; its node boots after `down_ms` virtual milliseconds. `event` is what the trace says. Clients
    /// are witnesses and never die.
    fn kill(&self, node: &str, down_ms: u64, event: Life);

    /// The machine dies.
    fn lose_power(&self, node: &str, down_ms: u64);

    /// Installs the other build, and kills the process for `down_ms` virtual milliseconds.
    fn upgrade(&self, node: &str, down_ms: u64);

    /// Tells the node's program to end.
    fn terminate(&self, node: &str);

    /// One of the processes of a node's program is killed.
    fn kill_process(&self, node: &str, nth: u64);

    /// Syncs of the node's disk write nothing from now on, and say that they do; or no longer.
    fn lie_about_syncs(&self, node: &str, on: bool);

    /// Names cannot be resolved.
    fn fail_names(&self, node: &str, on: bool);

    /// Each name is resolved later; 0 ends it.
    fn slow_names(&self, node: &str, extra_ms: u64);

    /// Names are resolved to addresses that other machines have now, by this choice; `None` ends it.
    fn stale_names(&self, node: &str, choice: Option<u64>);

    /// No more descriptors are given out.
    fn refuse_descriptors(&self, node: &str, on: bool);

    /// Stops all tasks. False if the node is down.
    fn pause(&self, node: &str) -> bool;

    /// Ends a pause, unless the node died meanwhile.
    fn resume(&self, node: &str);

    /// Boots a successor beside the process. False if there is no process, or it keeps files, which it has locked.
    fn overlap(&self, node: &str) -> bool;

    /// The process that this fault made an old one is gone, if it has not ended by itself.
    fn end_overlap(&self);

    /// Lets tasks wait before each turn; 0 ends it.
    fn slow_turns(&self, node: &str, wait_ms: u64);

    /// Nothing passes, or everything does again.
    fn cut(&self, links: Links<'_>, on: bool);

    /// Each burst takes longer; 0 ends it.
    fn slow_links(&self, links: Links<'_>, extra_ms: u64);

    /// Packets are lost, with this probability in percent.
    fn lose_packets(&self, links: Links<'_>, percent: u8);

    /// Bytes a second; `None` is no limit.
    fn limit_links(&self, links: Links<'_>, bytes_per_s: Option<u64>);

    /// Resets the connections that there are.
    fn reset_connections(&self, links: Links<'_>);

    /// Kills the connections that there are, silently.
    fn half_open(&self, links: Links<'_>);

    /// Connects are refused although the node listens.
    fn refuse(&self, node: &str, on: bool);

    /// Connects are ignored.
    fn hang_connects(&self, node: &str, on: bool);

    /// Each commit takes longer; 0 ends it.
    fn slow_disk(&self, node: &str, extra_ms: u64);

    /// No space is left.
    fn fill_disk(&self, node: &str, on: bool);

    /// One more of the next syncs fails.
    fn fail_sync(&self, node: &str);

    /// At most `most` of the next syncs fail.
    fn fail_syncs_at_most(&self, node: &str, most: u32);

    /// One more of the next writes fails.
    fn fail_write(&self, node: &str);

    /// At most `most` of the next writes fail.
    fn fail_writes_at_most(&self, node: &str, most: u32);

    /// One of the stored sectors is unreadable until it is written again.
    fn spoil_sector(&self, node: &str, choice: u64);

    /// All sectors are readable.
    fn repair_sectors(&self, node: &str);

    /// Reads of these rows fail.
    fn make_unreadable(&self, node: &str, rows: &Rows, on: bool);

    /// The wall clock jumps, backwards if negative.
    fn jump_clock(&self, node: &str, by_ms: i64);

    /// The wall clock goes fast, or slow if negative, by this many parts in a million.
    fn drift_clock(&self, node: &str, ppm: i64);

    /// The scenario's own fault of this name and node begins or ends.
    fn custom(&self, name: &str, node: &str, amount: u64, begins: bool);
}

/// Some rows of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Of this table only.
    pub table: Option<String>,
    /// Of this key only.
    pub key: Option<String>,
    /// Which, where no key is named.
    pub choice: u64,
}

impl Rows {
    /// Whether this row is one of them.
    pub fn contain(&self, table: &str, key: &str) -> bool {
        let of_table = self.table.as_deref().is_none_or(|of| of == table);
        of_table
            && match &self.key {
                Some(of) => of == key,
                None => {
                    let row = mix(hash(table.as_bytes()) ^ mix(hash(key.as_bytes())));
                    mix(row ^ self.choice).is_multiple_of(UNREADABLE_ONE_IN)
                }
            }
    }
}
