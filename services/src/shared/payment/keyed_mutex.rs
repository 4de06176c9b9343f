//! A mutex per key: with the saga as key, a capture and a cancel of one payment never interleave.
//!
//! It excludes tasks of this process only. Across processes, the version that each commit checks does.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::kit::lock;

/// Mutexes by key, each in memory for as long as it is held or awaited.
#[derive(Clone, Default)]
pub(super) struct KeyedMutex {
    entries: Arc<Mutex<BTreeMap<String, Arc<AsyncMutex<()>>>>>,
}

impl KeyedMutex {
    /// Locks the key's mutex; dropping the guard unlocks it.
    pub async fn lock(&self, key: &str) -> Guard {
        let entry = self.entry(key);
        Guard {
            _guard: entry.lock.clone().lock_owned().await,
            _entry: entry,
        }
    }

    /// Locks the key's mutex unless it is locked.
    pub fn try_lock(&self, key: &str) -> Option<Guard> {
        let entry = self.entry(key);
        Some(Guard {
            _guard: entry.lock.clone().try_lock_owned().ok()?,
            _entry: entry,
        })
    }

    fn entry(&self, key: &str) -> Entry {
        let mut entries = lock(&self.entries);
        Entry {
            mutex: self.clone(),
            key: key.to_owned(),
            lock: entries.entry(key.to_owned()).or_default().clone(),
        }
    }
}

/// A locked mutex. The inner guard is dropped first, so that the entry can see whether it was the last.
pub(super) struct Guard {
    _guard: OwnedMutexGuard<()>,
    _entry: Entry,
}

/// A reference to a mutex, held or awaited.
struct Entry {
    mutex: KeyedMutex,
    key: String,
    lock: Arc<AsyncMutex<()>>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut entries = lock(&self.mutex.entries);
        // One reference is the map's, one ours: nobody else can come by while the map is locked.
        if Arc::strong_count(&self.lock) == 2 {
            entries.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, pin_mut};

    use super::*;

    #[tokio::test]
    async fn a_turn_is_had_by_one_and_passed_on() {
        let mutex = KeyedMutex::default();
        let first = mutex.lock("SAGA-1").await;
        let second = mutex.lock("SAGA-1");
        pin_mut!(second);
        assert!(second.as_mut().now_or_never().is_none());
        assert!(mutex.try_lock("SAGA-1").is_none());
        assert!(
            mutex.try_lock("SAGA-2").is_some(),
            "sagas do not share a turn"
        );
        drop(first);
        let _second = second.await;
        assert!(mutex.try_lock("SAGA-1").is_none());
    }

    #[tokio::test]
    async fn nothing_is_left_of_turns_that_ended_or_were_given_up() {
        let mutex = KeyedMutex::default();
        let held = mutex.lock("SAGA-1").await;
        {
            let waiting = mutex.lock("SAGA-1");
            pin_mut!(waiting);
            assert!(waiting.as_mut().now_or_never().is_none());
            drop(held);
        }
        assert!(mutex.entries.lock().unwrap().is_empty());
    }
}
