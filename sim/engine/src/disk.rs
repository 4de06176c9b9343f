//! Simulated disks: a node's files under power loss, crashes, errors and lack of space.
//!
//! A [`Disk`] holds named files as sparse 4 KiB blocks; a [`File`] is what a storage engine writes to. Between the two
//! lies a page cache: what is not synced survives a process crash, and a power loss keeps, loses or tears it, sector
//! by sector. Names have their own, journalled, durability. The disk does not know *when* to fail: it reports each
//! write and sync to its [`Host`] and obeys.
//!
//! # What it matches
//!
//! The behaviours of ext4 on Linux 6.18 that are measured have a test of their name in `tests/fidelity_disk.rs`.
//! They are matched with these liberties:
//!
//! * `write-kill9`, `kill9-during-write`: a write of several pages is several sites, since a kill can land between two.
//! * `file-size-limit`: a file ends at 16 GiB (`EFBIG`); no `SIGXFSZ`.
//! * `sync-latency`: a commit as a whole costs what `fsync` was measured to cost. `O_DSYNC` and directory syncs are not
//!   told apart: no service uses the first, and the second happens once in a database's life.
//! * `fsync-error`: pages that a failed sync gave up stay readable until the process ends, and are then evicted. A real
//!   cache may keep them longer: an engine that reopens its file then builds on pages which a later power loss takes
//!   away. redb loses its database to that (tried), whatever a service does, so it is not simulated.
//! * `powercut-unsynced`: unsynced names vanish, as measured; unsynced data may also have been written, or half
//!   written, which was not measured but is allowed.
//! * `powercut-after-journal-commit`: any sync commits all names; so does time (5 s). As in ext4, the `fdatasync` of a
//!   file that is not new and has kept its length is none of these ([`Handle::sync`]).
//! * `powercut-late`: unsynced data is written by itself after 40 s.
//!
//! * `rename-atomic`, `ftruncate-extend`, `disk-full`, `powercut-rename-unsynced`: as measured.
//!
//! Left out, and not measured either: a disk that lies about its syncs, and device-mapper faults. Files also have
//! `flock`'s whole-file locks, which end with their process.
//!
//! # Two ways in
//!
//! Ported services open a [`File`] by its name. The files of a machine that runs unmodified services (`squall-files`)
//! are made of inodes ([`Handle`]) and of what [`Disk`] does with names in directories; paths, descriptors and locks are
//! not known here.

mod fault;
mod file;
mod files;
mod fork;
mod handle;
mod image;
mod inode;
mod latency;
mod loss;
mod mapped;
mod names;
mod snapshot;
mod tree;

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use libc::ENOENT;

pub use self::{
    fault::DiskCounters,
    file::File,
    files::{Files, Unpacked},
    fork::ForkedFile,
    handle::Handle,
    image::{BLOCK, SECTOR},
    mapped::Mapped,
    names::{Content, Onto, ROOT},
    snapshot::Snapshot,
    tree::{Attributes, Touch, Usage},
};
use self::{fault::Faults, inode::Inode, loss::Loss, mapped::Mappings, names::Names};
use squall_core::{
    event::{DiskEvent, What},
    host::{Host, NodeIx, Reached},
    time::VirtualTime,
};

/// Where a file ends: the largest offset of a byte, plus one. It bounds the index of a sparse file.
pub const FILE_LEN_MAX: u64 = 16 << 30;

/// A node's disk. It outlives the node's processes; what it holds of their writes depends on how they ended.
pub struct Disk {
    host: Arc<dyn Host>,
    node: NodeIx,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    life: Life,
    /// Counts boots and deaths; a handle of another generation is inert.
    generation: u64,
    names: Names,
    /// The bytes of regular files.
    inodes: BTreeMap<u64, Inode>,
    /// How many handles of the running generation each open inode has.
    open: BTreeMap<u64, u32>,
    handles_ever: u64,
    faults: Faults,
    counters: DiskCounters,
    mappings: Mappings,
    commits: u64,
    power_losses: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Life {
    /// Nothing is running that could use the disk.
    #[default]
    Down,
    Up,
    /// Died inside an operation; it is not settled yet what becomes of the cache.
    Frozen,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// The error of a call that comes from a process which is no more.
fn dead() -> io::Error {
    io::Error::other("the node is down, or was restarted since this file was opened")
}

fn not_found(name: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("there is no file '{name}' on this disk"),
    )
}

impl Disk {
    /// An empty disk of a node that has not booted yet.
    pub fn new(host: Arc<dyn Host>, node: NodeIx) -> Arc<Disk> {
        Arc::new(Disk {
            host,
            node,
            state: Mutex::default(),
        })
    }

    /// No invariant spans a panic: the state is plain data.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, for an operation of the process that runs now.
    fn live(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if state.life != Life::Up {
            state.counters.writes_after_death += 1;
            return Err(dead());
        }
        Ok(state)
    }

    /// Reports a site, without holding the lock: the host may kill this very node from within.
    fn reach(&self, site: Reached<'_>) -> io::Result<()> {
        if self.host.reached(self.node, site).dead {
            return Err(dead());
        }
        Ok(())
    }

    fn tell(&self, event: DiskEvent) {
        self.host.record(self.node, What::Disk { event });
    }

    /// Whether processes see a file of this name.
    pub fn exists(&self, name: &str) -> bool {
        self.state().names.find(name).is_some()
    }

    /// The paths of all regular files that processes see, in order and without a leading slash; one of each file.
    pub fn files(&self) -> Vec<String> {
        let files = self.state().names.files();
        files.into_iter().map(|(path, _)| path).collect()
    }

    /// Opens a file, making it empty if there is none. A power loss takes a new file away until something is synced.
    pub fn open(self: &Arc<Self>, name: &str) -> io::Result<File> {
        let now = self.host.now();
        let mut state = self.live()?;
        state.pass_time(now);
        let inode = match state.names.find(name) {
            Some(inode) => inode,
            None => {
                let (dir, name) = state.names.split(name)?;
                let inode = state.names.make(dir, name, Content::File, 0o644, now, 0)?;
                state.inodes.insert(inode, Inode::default());
                inode
            }
        };
        state.handles_ever += 1;
        let lock = state.handles_ever;
        let handle = Handle::new(self, &mut state, inode);
        drop(state);
        Ok(File::new(handle, lock))
    }

    /// Renames a file over any older one, durably: once this returns, a power loss keeps the new name. The file's
    /// content is durable only as far as it was synced.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.rename_unsynced(from, to)?;
        self.sync_directory()
    }

    /// Renames a file over any older one; a power loss may bring the old name back.
    pub fn rename_unsynced(&self, from: &str, to: &str) -> io::Result<()> {
        drop(self.live()?);
        self.reach(Reached::Write)?;
        let now = self.host.now();
        let mut state = self.live()?;
        state.pass_time(now);
        let (old, new) = (state.names.split(from)?, state.names.split(to)?);
        match state.names.rename(old, new, Onto::Replace, now, 0) {
            Ok(replaced) => {
                state.collect(replaced);
                Ok(())
            }
            Err(error) if error.raw_os_error() == Some(ENOENT) => Err(not_found(from)),
            Err(error) => Err(error),
        }
    }

    /// Makes all names durable, as syncing their directory does.
    pub fn sync_directory(&self) -> io::Result<()> {
        drop(self.live()?);
        self.reach(Reached::Sync)?;
        let mut state = self.live()?;
        state.counters.syncs += 1;
        match state.faults.lies {
            true => state.counters.lied_syncs += 1,
            false => state.commit_journal(),
        }
        drop(state);
        self.host.synced(self.node);
        Ok(())
    }

    /// Removes a file; no error if there is none. Open handles keep their file; a power loss may bring the name back.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        drop(self.live()?);
        self.reach(Reached::Write)?;
        let now = self.host.now();
        let mut state = self.live()?;
        state.pass_time(now);
        let (dir, last) = state.names.split(name)?;
        match state.names.remove(dir, last, false, now, 0) {
            Ok(removed) => {
                state.collect([removed]);
                Ok(())
            }
            Err(error) if error.raw_os_error() == Some(ENOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A process starts: from here on files can be opened, and handles of earlier processes are inert.
    pub fn boot(&self) {
        let mut state = self.state();
        state.end_life();
        state.life = Life::Up;
    }

    /// The process is gone, the machine is not: handles are inert, the page cache stays.
    pub fn crash(&self) {
        self.state().end_life();
    }

    /// The machine loses power: handles are inert, and what was not synced is kept, lost or torn. Calls
    /// [`Host::now`] and [`Host::record`].
    pub fn power_loss(&self) {
        let (now, seed) = (self.host.now(), self.host.seed());
        let mut state = self.state();
        state.pass_time(now);
        state.power_losses += 1;
        let ordinal = state.power_losses;
        let (mut lost, mut torn) = (0, 0);
        for (ix, inode) in &mut state.inodes {
            let mut loss = Loss::new(seed, self.node.0.into(), loss::POWER, ordinal, *ix);
            inode.power_loss(&mut loss, now);
            lost += loss.lost;
            torn += loss.torn;
        }
        state.names.power_loss();
        state.counters.lost_sectors += lost;
        state.counters.torn_sectors += torn;
        state.end_life();
        drop(state);
        self.tell(DiskEvent::PowerLost { lost, torn });
    }

    /// The node dies inside an operation: from this instant nothing changes, neither on the platter nor in the cache,
    /// and all calls fail, until [`crash`](Self::crash) or [`power_loss`](Self::power_loss) settles what becomes of
    /// the cache.
    pub fn freeze(&self) {
        self.take_in_all();
        let mut state = self.state();
        if state.life == Life::Up {
            state.life = Life::Frozen;
        }
    }

    /// A private copy of a file as processes would see it after a crash and a boot at this instant. Nobody notices,
    /// and unreadable sectors can be read.
    pub fn fork(&self, name: &str) -> io::Result<ForkedFile> {
        self.take_in_all();
        let state = self.state();
        let inode = state.names.find(name).ok_or_else(|| not_found(name))?;
        Ok(ForkedFile::new(state.inodes[&inode].after_crash()))
    }

    /// A private copy of a file as it would be after a power loss at this instant that takes everything unsynced.
    pub fn fork_durable(&self, name: &str) -> io::Result<ForkedFile> {
        let state = self.state();
        let inode = state
            .names
            .find_durable(name)
            .ok_or_else(|| not_found(name))?;
        Ok(ForkedFile::new(state.inodes[&inode].after_power_loss()))
    }

    /// What happened so far, over all lives.
    pub fn counters(&self) -> DiskCounters {
        let state = self.state();
        DiskCounters {
            slow_ms: state.faults.slowed.as_millis() as u64,
            ..state.counters
        }
    }
}

impl State {
    /// Ends the generation; the cache of what was given up goes with it.
    fn end_life(&mut self) {
        self.life = Life::Down;
        self.generation += 1;
        self.open.clear();
        self.forget_mappings();
        self.names.forget_nameless();
        self.inodes.retain(|inode, _| self.names.knows(*inode));
        for inode in self.inodes.values_mut() {
            inode.locks.clear();
            inode.evict_given_up();
        }
    }

    fn pass_time(&mut self, now: VirtualTime) {
        if self.names.is_due(now) {
            self.commit_journal();
        }
    }

    fn commit_journal(&mut self) {
        let (flushed, changed) = self.names.commit();
        for inode in flushed {
            if let Some(inode) = self.inodes.get_mut(&inode) {
                inode.sync();
            }
        }
        self.collect(changed);
    }

    /// Gives back the space of those inodes that nothing names and no process has open.
    fn collect(&mut self, inodes: impl IntoIterator<Item = u64>) {
        for inode in inodes {
            if !self.open.contains_key(&inode) && !self.names.knows(inode) {
                self.names.forget(inode);
                self.inodes.remove(&inode);
            }
        }
    }
}
