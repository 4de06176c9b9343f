//! Which of the calls that are said to write out keep a file through a power loss.

mod lives;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::fd::AsRawFd,
};

use lives::last_line;
use squall::{Processes, fault::PowerLoss};

const KEPT: &str = "/var/lib/kept";

/// Tells what its file holds, and makes another of the same name, which it writes out by this call.
fn writes(out: fn(&File)) {
    println!("found {:?}", fs::read_to_string(KEPT).unwrap_or_default());
    let file = File::create(KEPT).expect("it can be made");
    std::io::Write::write_all(&mut &file, b"all of it").expect("it can be written");
    out(&file);
    loop {
        std::thread::park();
    }
}

fn with_sync() {
    // SAFETY: no arguments.
    writes(|_| unsafe { libc::sync() });
}

fn with_syncfs() {
    // SAFETY: the file is open.
    writes(|file| assert_eq!(unsafe { libc::syncfs(file.as_raw_fd()) }, 0));
}

fn with_sync_file_range() {
    const ALL: u32 = libc::SYNC_FILE_RANGE_WAIT_BEFORE
        | libc::SYNC_FILE_RANGE_WRITE
        | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    writes(|file| {
        // SAFETY: the file is open.
        let begun = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, ALL) };
        assert_eq!(begun, 0);
    });
}

/// What second lives find, each after a power loss in the first.
fn found(program: fn()) -> BTreeSet<String> {
    let end = || PowerLoss::new("writes", 100);
    let found = |seed| last_line(seed, end(), |sim| drop(sim.program("writes", program)));
    (0..30).map(found).collect()
}

#[test]
fn what_sync_and_syncfs_wrote_out_is_there_after_a_power_loss() {
    for program in [with_sync as fn(), with_syncfs] {
        assert_eq!(found(program), ["found \"all of it\"".to_owned()].into());
    }
}

#[test]
fn what_sync_file_range_began_to_write_out_may_be_gone_after_a_power_loss() {
    let found = found(with_sync_file_range);
    assert!(found.contains("found \"\""), "{found:?}");
}
