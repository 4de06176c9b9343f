//! Memory that shows a file, and what deaths leave of it.

mod lives;

use std::{collections::BTreeSet, fs::File, os::fd::AsRawFd, ptr};

use lives::last_line;
use squall::{
    Processes,
    fault::{Crash, PowerLoss},
    storm::Action,
};

const PAGE: usize = 4096;

/// Counts its lives in two pages of a file: one is synced, the other is not. Tells what it found.
fn counts() {
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(false);
    let file = options.open("/var/lib/lives").expect("it can be made");
    file.set_len(2 * PAGE as u64).expect("it can be as long");
    file.sync_all().expect("it can be synced");
    let (none, both) = (ptr::null_mut(), libc::PROT_READ | libc::PROT_WRITE);
    let fd = file.as_raw_fd();
    // SAFETY: a new mapping of the whole file, which only this thread knows.
    unsafe {
        let memory = libc::mmap(none, 2 * PAGE, both, libc::MAP_SHARED, fd, 0);
        assert_ne!(memory, libc::MAP_FAILED);
        drop(file);
        let (synced, unsynced) = (memory.cast::<u8>(), memory.cast::<u8>().add(PAGE));
        println!("found {} {}", synced.read(), unsynced.read());
        synced.write(synced.read() + 1);
        assert_eq!(libc::msync(memory, PAGE, libc::MS_SYNC), 0);
        unsynced.write(unsynced.read() + 1);
    }
    loop {
        std::thread::park();
    }
}

async fn counts_here() {
    counts();
}

/// What the second life finds, after this end of the first.
fn found(seed: u64, end: impl Into<Action>, is_program: bool) -> String {
    last_line(seed, end, |sim| {
        match is_program {
            true => sim.program("counts", counts),
            false => sim.process("counts", counts_here),
        };
    })
}

#[test]
fn a_dead_process_leaves_what_it_has_written() {
    for is_program in [false, true] {
        assert_eq!(found(1, Crash::new("counts", 100), is_program), "found 1 1");
    }
}

#[test]
fn a_power_loss_may_take_what_was_not_synced_and_nothing_else() {
    let all: BTreeSet<String> = (0..40)
        .map(|seed| found(seed, PowerLoss::new("counts", 100), seed % 2 == 0))
        .collect();
    let both = ["found 1 0", "found 1 1"].map(str::to_owned);
    assert_eq!(all, both.into());
}
