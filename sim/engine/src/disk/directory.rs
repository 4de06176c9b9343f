//! The names of a disk's files, as processes see them and as the journal holds them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use squall_core::time::VirtualTime;

/// A journal transaction is committed at the latest this long after it began (Linux's `commit=5`).
pub const JOURNAL_COMMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub struct Directory {
    names: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    /// When the running journal transaction began; none if `names` and `durable` agree.
    since: Option<VirtualTime>,
    /// Files renamed over others: their data goes out before the transaction does (ext4's `auto_da_alloc`).
    flush: BTreeSet<u64>,
}

impl Directory {
    pub fn find(&self, name: &str) -> Option<u64> {
        self.names.get(name).copied()
    }

    pub fn find_durable(&self, name: &str) -> Option<u64> {
        self.durable.get(name).copied()
    }

    pub fn names(&self) -> impl Iterator<Item = (&str, u64)> {
        self.names
            .iter()
            .map(|(name, inode)| (name.as_str(), *inode))
    }

    pub fn knows(&self, inode: u64) -> bool {
        self.names
            .values()
            .chain(self.durable.values())
            .any(|i| *i == inode)
    }

    pub fn insert(&mut self, name: &str, inode: u64, now: VirtualTime) {
        self.names.insert(name.to_owned(), inode);
        self.since.get_or_insert(now);
    }

    /// True if there was such a name.
    pub fn remove(&mut self, name: &str, now: VirtualTime) -> bool {
        let known = self.names.remove(name).is_some();
        if known {
            self.since.get_or_insert(now);
        }
        known
    }

    /// True if there was such a name.
    pub fn rename(&mut self, from: &str, to: &str, now: VirtualTime) -> bool {
        let Some(inode) = self.names.remove(from) else {
            return false;
        };
        if self.names.insert(to.to_owned(), inode).is_some() {
            self.flush.insert(inode);
        }
        self.since.get_or_insert(now);
        true
    }

    /// Whether the running transaction is so old that the journal has committed it by itself.
    pub fn is_due(&self, now: VirtualTime) -> bool {
        self.since
            .is_some_and(|since| now.since(since) >= JOURNAL_COMMIT)
    }

    /// Commits the running transaction. Returns the files whose data went out with it.
    pub fn commit(&mut self) -> BTreeSet<u64> {
        if self.since.take().is_some() {
            self.durable.clone_from(&self.names);
        }
        std::mem::take(&mut self.flush)
    }

    /// Forgets the running transaction.
    pub fn power_loss(&mut self) {
        self.names.clone_from(&self.durable);
        self.since = None;
        self.flush.clear();
    }
}
