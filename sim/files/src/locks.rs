//! Advisory locks: of whole files (`flock`) and of ranges of bytes (`fcntl`). They are of the kernel's memory, and end
//! with their process.
//!
//! Waiting is the caller's: a lock that cannot be had is `EAGAIN` at once, and [`Locks::releases`] tells when it is
//! worth another try.

use std::collections::BTreeMap;

use libc::EAGAIN;

use crate::errno::{Result, fail};

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// A process: all its descriptors alike (`F_SETLK`).
    Process(i32),
    /// An open file description (`flock`, `F_OFD_SETLK`).
    Description(u64),
}

/// A range of bytes that is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub owner: Owner,
    pub exclusive: bool,
    pub first: u64,
    /// The last byte: `i64::MAX` where the lock has no end.
    pub last: u64,
}

impl Range {
    fn overlaps(&self, other: &Range) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    fn conflicts(&self, other: &Range) -> bool {
        self.owner != other.owner && (self.exclusive || other.exclusive) && self.overlaps(other)
    }
}

/// The locks of a machine, by inode.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    files: BTreeMap<u64, Vec<(u64, bool)>>,
    ranges: BTreeMap<u64, Vec<Range>>,
    /// How often a lock was given back, or made weaker.
    pub releases: u64,
}

impl Locks {
    /// `flock`. Whoever asks for another kind of lock than it has gives that up first, as Linux has it.
    pub fn lock_file(&mut self, inode: u64, description: u64, exclusive: bool) -> Result<()> {
        let locks = self.files.entry(inode).or_default();
        if locks.contains(&(description, exclusive)) {
            return Ok(());
        }
        let before = locks.len();
        locks.retain(|(holder, _)| *holder != description);
        self.releases += (before - locks.len()) as u64;
        if locks.iter().any(|(_, other)| exclusive || *other) {
            return fail(EAGAIN);
        }
        locks.push((description, exclusive));
        Ok(())
    }

    pub fn unlock_file(&mut self, inode: u64, description: u64) {
        if let Some(locks) = self.files.get_mut(&inode) {
            let before = locks.len();
            locks.retain(|(holder, _)| *holder != description);
            self.releases += (before - locks.len()) as u64;
            if locks.is_empty() {
                self.files.remove(&inode);
            }
        }
    }

    /// The first lock that stands in the way of this one.
    pub fn conflict(&self, inode: u64, wanted: &Range) -> Option<Range> {
        let locks = self.ranges.get(&inode)?;
        locks.iter().find(|lock| lock.conflicts(wanted)).copied()
    }

    /// The first lock of the same owner in this range.
    pub fn own(&self, inode: u64, range: &Range) -> Option<Range> {
        let mut locks = self.ranges.get(&inode)?.iter();
        locks
            .find(|lock| lock.owner == range.owner && lock.overlaps(range))
            .copied()
    }

    /// Locks a range, in place of what its owner had locked of it.
    pub fn lock_range(&mut self, inode: u64, wanted: Range) -> Result<()> {
        if self.conflict(inode, &wanted).is_some() {
            return fail(EAGAIN);
        }
        self.cut(inode, &wanted);
        let locks = self.ranges.entry(inode).or_default();
        let mut merged = wanted;
        locks.retain(|lock| {
            let touches = lock.first <= merged.last.saturating_add(1)
                && merged.first <= lock.last.saturating_add(1);
            let same = (lock.owner, lock.exclusive) == (merged.owner, merged.exclusive);
            if touches && same {
                merged.first = merged.first.min(lock.first);
                merged.last = merged.last.max(lock.last);
            }
            !(touches && same)
        });
        locks.push(merged);
        locks.sort_by_key(|lock| (lock.first, lock.owner));
        Ok(())
    }

    /// Gives a range back, in whatever pieces it was locked.
    pub fn unlock_range(&mut self, inode: u64, range: &Range) {
        self.cut(inode, range);
        if self.ranges.get(&inode).is_some_and(Vec::is_empty) {
            self.ranges.remove(&inode);
        }
    }

    fn cut(&mut self, inode: u64, range: &Range) {
        let locks = self.ranges.entry(inode).or_default();
        let mut left = Vec::new();
        for lock in locks.drain(..) {
            if lock.owner != range.owner || !lock.overlaps(range) {
                left.push(lock);
                continue;
            }
            self.releases += 1;
            if lock.first < range.first {
                left.push(Range {
                    last: range.first - 1,
                    ..lock
                });
            }
            if lock.last > range.last {
                left.push(Range {
                    first: range.last + 1,
                    ..lock
                });
            }
        }
        *locks = left;
    }

    /// Ends all range locks of an owner, on one file or on all.
    pub fn release(&mut self, owner: Owner, only: Option<u64>) {
        let releases = &mut self.releases;
        self.ranges.retain(|inode, locks| {
            if only.is_none_or(|only| only == *inode) {
                let before = locks.len();
                locks.retain(|lock| lock.owner != owner);
                *releases += (before - locks.len()) as u64;
            }
            !locks.is_empty()
        });
    }
}
