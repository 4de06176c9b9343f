//! Names that live as long as the program.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// The name, kept for as long as the program runs: runs by the thousand share the few names of their scenario.
pub fn interned(name: impl AsRef<str>) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let name = name.as_ref();
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known;
    }
    let name: &'static str = Box::leak(name.into());
    names.insert(name);
    name
}
