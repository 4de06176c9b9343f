//! The faults that a storm switches on, and the counts that tell whether they bit.

use std::time::Duration;

use squall_core::seed::mix;

use super::{
    Disk,
    image::{SECTOR, SECTORS, split},
};

#[derive(Debug)]
pub struct Faults {
    failing_writes: u32,
    failing_syncs: u32,
    pub full: bool,
    /// Syncs write nothing, and say that they do.
    pub lies: bool,
    pub slow_factor: u32,
    pub slow_extra: Duration,
    /// What slowness added to commits so far.
    pub slowed: Duration,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            failing_writes: 0,
            failing_syncs: 0,
            full: false,
            lies: false,
            slow_factor: 1,
            slow_extra: Duration::ZERO,
            slowed: Duration::ZERO,
        }
    }
}

impl Faults {
    pub fn fail_write(&mut self) -> bool {
        take_one(&mut self.failing_writes)
    }

    pub fn fail_sync(&mut self) -> bool {
        take_one(&mut self.failing_syncs)
    }
}

fn take_one(left: &mut u32) -> bool {
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

/// What happened on a disk, over all lives of its node. The faults' effects are counted when they bite, not when they
/// are switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskCounters {
    /// Writes and changes of length, failed ones included.
    pub writes: u64,
    /// Syncs, failed ones and those of directories included.
    pub syncs: u64,
    /// Bytes written to the page cache.
    pub bytes: u64,
    /// Writes that failed because the storm said so.
    pub failed_writes: u64,
    /// Syncs that failed because the storm said so.
    pub failed_syncs: u64,
    /// Syncs that wrote nothing and said that they had.
    pub lied_syncs: u64,
    /// Writes refused because the disk was full.
    pub refused_full: u64,
    /// Reads and partial writes that met an unreadable sector.
    pub unreadable: u64,
    /// Sectors whose unsynced content a power loss took.
    pub lost_sectors: u64,
    /// Sectors that a power loss left half written.
    pub torn_sectors: u64,
    /// Changes that a process tried after its end; none had an effect.
    pub writes_after_death: u64,
    /// Milliseconds that slowness added to commits.
    pub slow_ms: u64,
}

impl Disk {
    /// Makes each commit from now on `factor` times as slow, and then `extra` slower. `(1, 0)` is the disk's own speed.
    pub fn set_slow(&self, factor: u32, extra: Duration) {
        let faults = &mut self.state().faults;
        faults.slow_factor = factor.max(1);
        faults.slow_extra = extra;
    }

    /// Fails the next `n` syncs with `EIO`. Each gives up pages that no later sync will write (see
    /// [`disk`](crate::disk) on `fsync-error`). 0 ends it.
    pub fn fail_syncs(&self, n: u32) {
        self.state().faults.failing_syncs = n;
    }

    /// Syncs that are still to fail.
    pub fn failing_syncs(&self) -> u32 {
        self.state().faults.failing_syncs
    }

    /// Writes that are still to fail.
    pub fn failing_writes(&self) -> u32 {
        self.state().faults.failing_writes
    }

    /// Fails the next `n` writes with `EIO`, without effect. 0 ends it.
    pub fn fail_writes(&self, n: u32) {
        self.state().faults.failing_writes = n;
    }

    /// While a disk lies, syncs write nothing and say that they do.
    pub fn set_lying(&self, lies: bool) {
        self.state().faults.lies = lies;
    }

    /// While the disk is full, a write that needs space writes what fits and then fails with `ENOSPC`. Overwriting
    /// works; growing a file works too, since that makes a hole.
    pub fn set_full(&self, full: bool) {
        self.state().faults.full = full;
    }

    /// Makes one of the sectors that hold data unreadable until it is written again; `choice` chooses. Returns the file
    /// and the sector's offset, or nothing if no data is stored.
    pub fn latent_sector_error(&self, choice: u64) -> Option<(String, u64)> {
        let mut state = self.state();
        let files = state.names.files();
        let stored: Vec<(&str, u64, usize)> = files
            .iter()
            .flat_map(|(name, inode)| {
                let pages = state.inodes[inode].stored();
                pages.map(move |page| (name.as_str(), *inode, page))
            })
            .collect();
        let (name, inode, page) = *stored.get(below(choice, 0, stored.len())?)?;
        let name = name.to_owned();
        let sector = (page * SECTORS + below(choice, 1, SECTORS)?) as u64;
        state.inodes.get_mut(&inode)?.spoil(sector);
        Some((name, sector * SECTOR as u64))
    }

    /// Ends all faults, and makes every sector readable again.
    pub fn heal(&self) {
        let mut state = self.state();
        state.faults = Faults {
            slowed: state.faults.slowed,
            ..Faults::default()
        };
        drop(state);
        self.repair_sectors();
    }

    /// Makes every sector readable again.
    pub fn repair_sectors(&self) {
        for inode in self.state().inodes.values_mut() {
            inode.unspoil();
        }
    }

    /// Silent rot: changes the byte at `offset` of a file, on the platter and in the cache. Only for tests of what an
    /// engine makes of it; storms use [`latent_sector_error`](Self::latent_sector_error). False if there is no such
    /// byte.
    pub fn flip_bits(&self, name: &str, offset: u64, mask: u8) -> bool {
        let mut state = self.state();
        let inode = state.names.find(name);
        let Some(inode) = inode.and_then(|ix| state.inodes.get_mut(&ix)) else {
            return false;
        };
        if offset >= inode.len() {
            return false;
        }
        let (page, at) = split(offset);
        inode.rot(page, at, mask);
        true
    }
}

/// A number below `n`, by choice; none if `n` is 0.
fn below(choice: u64, salt: u64, n: usize) -> Option<usize> {
    let bits = mix(choice ^ mix(salt));
    bits.checked_rem(n as u64).map(|x| x as usize)
}
