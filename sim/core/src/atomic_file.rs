//! Files that are written as a whole or not at all: readers never see a partial file, even if the program is killed.
//! What it may leave behind is called `NAME.unfinished-…` and is never read.

use std::{
    fs, io,
    path::Path,
    process,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// Writes `text` to `path`, in the place of what was there. The directory has to be there.
///
/// # Errors
///
/// When the directory can't be written; what was at `path` is then still there.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    // Under a name that no other writer has, be it a thread or a process.
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let (process, turn) = (process::id(), WRITTEN.fetch_add(1, Relaxed));
    let unfinished = path.with_extension(format!("unfinished-{process}-{turn}"));
    let written = fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        // It may not even be there.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("storm.json");
        write(&path, "first").unwrap();
        write(&path, "second").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        let scratch = tempfile::tempdir().unwrap();
        let taken = scratch.path().join("storm.json");
        fs::create_dir(&taken).unwrap();
        write(&taken, "a directory has its name").unwrap_err();
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }
}
