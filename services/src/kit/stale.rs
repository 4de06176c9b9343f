//! Old copies of what was read: what a service answers from that has the bug `stale-read`.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use tokio::time::Instant;

use crate::{
    kit::lock,
    planted_bug::{Bug, Bugs},
};

/// How long a copy is taken for the thing itself.
const AGE_MAX: Duration = Duration::from_secs(2);

/// The last reading of each thing. Never used in the hardened shape.
#[derive(Debug)]
pub(crate) struct Stale<V> {
    kept: Mutex<BTreeMap<String, (Instant, V)>>,
}

impl<V> Default for Stale<V> {
    fn default() -> Self {
        Stale {
            kept: Mutex::default(),
        }
    }
}

impl<V: Clone> Stale<V> {
    /// What `read` gives; with the bug, what it gave up to two seconds ago.
    pub fn read<E>(
        &self,
        bugs: Bugs,
        key: &str,
        read: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, E> {
        if !bugs.has(Bug::StaleRead) {
            return read();
        }
        let mut kept = lock(&self.kept);
        if let Some((at, copy)) = kept.get(key)
            && at.elapsed() < AGE_MAX
        {
            return Ok(copy.clone());
        }
        let fresh = read()?;
        kept.insert(key.to_owned(), (Instant::now(), fresh.clone()));
        Ok(fresh)
    }
}
