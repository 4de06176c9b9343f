//! Memory that shows files.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsRawFd, unix::fs::FileExt},
    ptr, slice,
};

use crate::{
    Probe, Seen, call, checked,
    files::{Folder, both},
};

pub const PROBES: &[Probe] = &[
    ("shared mapping", shows),
    ("shared mapping, others", others),
    ("shared mapping, lengths", lengths),
    ("shared mapping, ends", ends),
    ("shared mapping, calls", calls),
    ("shared mapping, rights", rights),
];

const PAGE: usize = 4096;
const BOTH: i32 = libc::PROT_READ | libc::PROT_WRITE;

/// Memory that shows a part of a file, until it is dropped.
struct Shown(*mut u8, usize);

impl Shown {
    fn of(file: &File, len: usize, offset: usize) -> io::Result<Shown> {
        Shown::with(file, len, offset, BOTH, libc::MAP_SHARED)
    }

    fn with(
        file: &File,
        len: usize,
        offset: usize,
        protection: i32,
        flags: i32,
    ) -> io::Result<Shown> {
        let (fd, none) = (file.as_raw_fd(), ptr::null_mut());
        // SAFETY: a new mapping.
        let place = unsafe { libc::mmap(none, len, protection, flags, fd, offset as i64) };
        checked(place as i64)?;
        Ok(Shown(place.cast(), len))
    }

    fn text(&self, at: usize, len: usize) -> String {
        // SAFETY: so much is mapped.
        let bytes = unsafe { slice::from_raw_parts(self.0.add(at), len) };
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn put(&self, at: usize, text: &str) {
        // SAFETY: so much is mapped, and may be written to.
        unsafe { ptr::copy_nonoverlapping(text.as_ptr(), self.0.add(at), text.len()) };
    }

    fn sync(&self, flags: i32) -> io::Result<i64> {
        call!(msync(self.0.cast(), self.1, flags))
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        call!(munmap(self.0.cast(), self.1)).expect("it is mapped");
    }
}

/// A file of so many pages.
fn file(folder: &Folder, name: &str, pages: usize) -> File {
    let file = both().open(folder.at(name)).expect("it can be made");
    for page in 0..pages {
        let text = format!("page {page}").into_bytes();
        let at = (page * PAGE) as u64;
        file.write_all_at(&text, at).expect("it can be written");
    }
    let len = (pages * PAGE) as u64;
    file.set_len(len).expect("it can have it");
    file
}

fn read(file: &File, at: usize, len: usize) -> String {
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, at as u64)
        .expect("so much is there");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn shows(seen: &mut Seen) {
    let folder = Folder::new("shows");
    let file = file(&folder, "a", 3);
    let memory = Shown::of(&file, 3 * PAGE, 0).expect("it can be mapped");
    seen.note("shows", (memory.text(0, 6), memory.text(2 * PAGE, 6)));
    memory.put(5, "X");
    memory.put(PAGE - 2, "over the edge");
    seen.note("is read", (read(&file, 0, 6), read(&file, PAGE - 2, 13)));
    file.write_all_at(b"written", PAGE as u64)
        .expect("it can be written");
    seen.note("shows what is written", memory.text(PAGE - 2, 13));
    memory.put(20, "both");
    file.write_all_at(b"ways", 24).expect("it can be written");
    seen.note("both ways", (memory.text(20, 8), read(&file, 20, 8)));
    seen.result(
        "by its name",
        fs::read(folder.at("a")).map(|bytes| bytes.len()),
    );
    seen.result("sync", memory.sync(libc::MS_SYNC));
    seen.result("async", memory.sync(libc::MS_ASYNC));
    seen.result("sync of the file", call!(fsync(file.as_raw_fd())));
}

fn others(seen: &mut Seen) {
    let folder = Folder::new("others");
    let file = file(&folder, "a", 4);
    let again = both().open(folder.at("a")).expect("it is there");
    let first = Shown::of(&file, 4 * PAGE, 0).expect("it can be mapped");
    let second = Shown::of(&again, 2 * PAGE, PAGE).expect("it can be mapped");
    first.put(PAGE, "first");
    seen.note("seen in the second", second.text(0, 5));
    second.put(PAGE, "second");
    seen.note("seen in the first", first.text(2 * PAGE, 6));
    let private = Shown::with(&file, PAGE, PAGE, BOTH, libc::MAP_PRIVATE);
    let private = private.expect("it can be mapped");
    seen.note("private", private.text(0, 5));
    private.put(0, "alone");
    seen.note("still", (first.text(PAGE, 5), read(&file, PAGE, 5)));
    let thread = {
        let place = first.0 as usize;
        // SAFETY: so much is mapped until it has ended.
        move || unsafe { (place as *mut u8).add(9).write(b'!') }
    };
    std::thread::spawn(thread).join().expect("it ends");
    seen.note("by a thread", read(&again, 0, 10));
}

fn lengths(seen: &mut Seen) {
    let folder = Folder::new("lengths");
    let file = file(&folder, "a", 2);
    let memory = Shown::of(&file, 4 * PAGE, 0).expect("it can be mapped");
    file.set_len(3 * PAGE as u64).expect("it grows");
    seen.note("grown", memory.text(2 * PAGE, 3));
    memory.put(2 * PAGE, "new");
    seen.note("in the new page", read(&file, 2 * PAGE, 3));
    file.set_len(10).expect("it shrinks");
    seen.note("past the end", memory.text(10, 3));
    memory.put(8, "abcdef");
    seen.result("not in the file", fs::read(folder.at("a")));
    file.set_len(20).expect("it grows");
    seen.note("grown again", read(&file, 16, 4));
    let metadata = file.metadata().expect("it is there");
    seen.note("its length", metadata.len());
}

fn ends(seen: &mut Seen) {
    let folder = Folder::new("ends");
    let file = file(&folder, "a", 3);
    let memory = Shown::of(&file, 3 * PAGE, 0).expect("it can be mapped");
    drop(file);
    memory.put(0, "after the file was closed");
    memory.put(2 * PAGE, "last");
    seen.outcome("part", call!(munmap(memory.0.add(PAGE).cast(), PAGE)));
    memory.put(2 * PAGE + 4, " page");
    drop(memory);
    let bytes = fs::read(folder.at("a")).expect("it is there");
    seen.note("first", String::from_utf8_lossy(&bytes[..25]).into_owned());
    seen.note(
        "second",
        String::from_utf8_lossy(&bytes[PAGE..PAGE + 6]).into_owned(),
    );
    seen.note(
        "last",
        String::from_utf8_lossy(&bytes[2 * PAGE..2 * PAGE + 9]).into_owned(),
    );
    let file = both().open(folder.at("a")).expect("it is there");
    let memory = Shown::of(&file, PAGE, 0).expect("it can be mapped");
    fs::remove_file(folder.at("a")).expect("it is there");
    memory.put(0, "nameless");
    seen.note("without a name", read(&file, 0, 8));
}

fn calls(seen: &mut Seen) {
    let folder = Folder::new("calls");
    let file = file(&folder, "a", 4);
    let memory = Shown::of(&file, 2 * PAGE, 0).expect("it can be mapped");
    let at = memory.0.cast();
    memory.put(0, "kept");
    seen.result("advice", call!(madvise(at, 2 * PAGE, libc::MADV_DONTNEED)));
    seen.note("after it", memory.text(0, 4));
    seen.result("to read", call!(mprotect(at, PAGE, libc::PROT_READ)));
    seen.note("still", memory.text(0, 4));
    seen.result("to write", call!(mprotect(at, PAGE, BOTH)));
    memory.put(0, "once more");
    seen.note("written", read(&file, 0, 9));
    // SAFETY: it may grow at its place, or move; nobody else knows it.
    let moved = unsafe { libc::mremap(at, 2 * PAGE, 4 * PAGE, libc::MREMAP_MAYMOVE) };
    std::mem::forget(memory);
    let memory = Shown(moved.cast(), 4 * PAGE);
    seen.note("grown", (memory.text(0, 9), memory.text(3 * PAGE, 6)));
    memory.put(3 * PAGE, "there");
    seen.note("written there", read(&file, 3 * PAGE, 5));
    seen.result("both flags", memory.sync(libc::MS_SYNC | libc::MS_ASYNC));
    let odd = call!(msync(memory.0.add(1).cast(), PAGE, libc::MS_SYNC));
    seen.result("odd place", odd);
    seen.result("no length", call!(munmap(moved, 0)));
}

fn rights(seen: &mut Seen) {
    let folder = Folder::new("rights");
    drop(file(&folder, "a", 1));
    let file = File::open(folder.at("a")).expect("it is there");
    seen.outcome("to write", Shown::of(&file, PAGE, 0));
    let memory = Shown::with(&file, PAGE, 0, libc::PROT_READ, libc::MAP_SHARED);
    let memory = memory.expect("it can be mapped");
    seen.note("to read", memory.text(0, 6));
    seen.outcome("no more", call!(mprotect(memory.0.cast(), PAGE, BOTH)));
    fs::write(folder.at("a"), "changed by another").expect("it can be written");
    seen.note("changed", memory.text(0, 7));
    let directory = File::open(folder.at(".")).expect("it is there");
    let of_it = Shown::with(&directory, PAGE, 0, libc::PROT_READ, libc::MAP_SHARED);
    seen.outcome("a directory", of_it);
    seen.outcome("of no length", Shown::of(&file, 0, 0));
    seen.outcome(
        "at an odd offset",
        Shown::with(&file, PAGE, 7, libc::PROT_READ, libc::MAP_SHARED),
    );
}
