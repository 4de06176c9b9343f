//! Names that live as long as the program.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// See [`names`].
pub type Names = BTreeSet<&'static str>;

/// The name, kept for as long as the program runs: runs by the thousand share the few names of their scenario.
pub fn interned(name: impl AsRef<str>) -> &'static str {
    let name = name.as_ref();
    let mut names = names();
    if let Some(known) = names.get(name) {
        return known;
    }
    let name: &'static str = Box::leak(name.into());
    names.insert(name);
    name
}

/// All names, locked: for whoever forks, so that the child finds them as they are between two uses.
pub fn names() -> MutexGuard<'static, Names> {
    static NAMES: Mutex<Names> = Mutex::new(Names::new());
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}
