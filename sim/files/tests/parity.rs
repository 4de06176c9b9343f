//! The simulated file system shows what Linux shows: errors by name, lengths, contents, names, times, locks.
//!
//! What differs, and why, is in the documentation of `squall_files`. Left out here for it: the order of a directory,
//! the space of reserved but unwritten pages, and the length of a directory.

mod both;
mod machine;

use both::{NEW, Op, first_difference, names, path};
use libc::{
    F_RDLCK, F_UNLCK, F_WRLCK, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, O_APPEND, O_CREAT,
    O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY, O_RDWR, O_TMPFILE, O_TRUNC, O_WRONLY,
    SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET,
};
use proptest::{
    prelude::*,
    test_runner::{FileFailurePersistence, TestRunner},
};

fn s(text: &str) -> String {
    text.to_owned()
}

fn equal(ops: &[Op]) {
    if let Some(difference) = first_difference(ops) {
        panic!("{difference}");
    }
}

#[test]
fn opening_finds_makes_cuts_and_refuses() {
    let d = |n, path: &str, flags| Op::Open(n, s(path), flags, 0o666);
    equal(&[
        d(0, "none", O_RDONLY),
        d(0, "none/none", O_CREAT | O_RDWR),
        d(0, "", O_RDONLY),
        d(0, "f", NEW),
        Op::Write(0, 10, 1),
        Op::Stat(s("f")),
        d(1, "f", O_CREAT | O_EXCL | O_RDWR),
        d(1, "f", O_DIRECTORY),
        d(1, "f/", O_RDONLY),
        d(1, "f/x", O_RDONLY),
        d(1, "g/", NEW),
        d(1, "f", O_WRONLY | O_TRUNC),
        Op::Fstat(0),
        Op::Write(0, 10, 1),
        d(1, "f", O_RDONLY | O_TRUNC),
        Op::Fstat(0),
        Op::Mkdir(s("d"), 0o777),
        d(2, "d", O_RDONLY),
        d(3, "d", O_RDWR),
        d(3, "d", O_RDONLY | O_CREAT),
        d(3, "d", O_RDONLY | O_CREAT | O_DIRECTORY),
        d(3, "d/", O_RDONLY | O_DIRECTORY),
        d(3, "d/new", O_CREAT | O_EXCL | O_WRONLY),
        Op::OpenAt(4, 2, s("new"), O_RDONLY),
        Op::OpenAt(4, 2, s("../f"), O_RDONLY),
        Op::OpenAt(4, 0, s("new"), O_RDONLY),
        Op::OpenAt(4, 9, s("new"), O_RDONLY),
        d(5, &"n".repeat(255), NEW),
        d(5, &"n".repeat(256), NEW),
        d(5, &"n/".repeat(2048), O_RDONLY),
        Op::Open(6, s("mode"), NEW, 0o7777),
        Op::Fstat(6),
        d(7, ".", O_RDONLY),
        d(7, "..", O_RDWR),
        d(7, "d/..//./f", O_RDONLY),
        Op::Mkfifo(s("pipe")),
        Op::Stat(s("pipe")),
        Op::List(s(".")),
    ]);
}

#[test]
fn links_lead_on_and_end_when_there_are_too_many() {
    let d = |n, path: &str, flags| Op::Open(n, s(path), flags, 0o644);
    equal(&[
        Op::Symlink(s("target"), s("link")),
        Op::Symlink(s("target"), s("link")),
        Op::Symlink(s(""), s("empty")),
        Op::Readlink(s("link")),
        Op::Readlink(s("none")),
        Op::Stat(s("link")),
        Op::Lstat(s("link")),
        d(0, "link", O_RDONLY),
        d(0, "link", O_CREAT | O_EXCL | O_RDWR),
        d(0, "link", O_RDONLY | O_NOFOLLOW),
        d(0, "link", O_RDONLY | O_NOFOLLOW | O_DIRECTORY),
        d(1, "link", O_PATH | O_NOFOLLOW),
        Op::Fstat(1),
        Op::Read(1, 1),
        Op::Write(1, 1, 1),
        Op::Seek(1, 0, SEEK_SET),
        Op::Fchmod(1, 0o600),
        d(0, "link", NEW),
        Op::Write(0, 5, 1),
        Op::Stat(s("target")),
        Op::Readlink(s("target")),
        Op::Access(s("link"), libc::R_OK),
        Op::Access(s("link"), libc::X_OK),
        Op::Chmod(s("link"), 0o755),
        Op::Access(s("target"), libc::X_OK),
        Op::Mkdir(s("dir"), 0o755),
        Op::Symlink(s("dir"), s("way")),
        Op::Symlink(s("dir/"), s("slash")),
        Op::Symlink(s("target/"), s("slashed-file")),
        Op::Symlink(s("../way/in"), s("dir/back")),
        Op::Stat(s("slash")),
        Op::Stat(s("slashed-file")),
        Op::Lstat(s("way/")),
        Op::Lstat(s("way")),
        d(2, "way/in", NEW),
        Op::Stat(s("dir/in")),
        Op::Stat(s("way/back")),
        Op::Mkdir(s("way/sub"), 0o755),
        Op::List(s("way")),
        Op::Rmdir(s("way")),
        Op::Rmdir(s("way/")),
        Op::Unlink(s("way/")),
        Op::Mkdir(s("link"), 0o755),
        Op::Symlink(s("a"), s("b")),
        Op::Symlink(s("b"), s("a")),
        Op::Stat(s("a")),
        Op::Lstat(s("a")),
        Op::Link(s("link"), s("hard-link"), false),
        Op::Lstat(s("hard-link")),
        Op::Link(s("link"), s("hard-target"), true),
        Op::Lstat(s("hard-target")),
        Op::Link(s("a"), s("hard"), true),
        Op::Rename(s("link"), s("renamed"), 0),
        Op::Readlink(s("renamed")),
        Op::Unlink(s("renamed")),
        Op::Stat(s("target")),
        Op::List(s(".")),
    ]);
    let chain = |n: usize| -> Vec<Op> {
        let name = |i| format!("l{i}");
        let mut ops = vec![d(0, "l0", NEW)];
        ops.extend((0..n).map(|i| Op::Symlink(name(i), name(i + 1))));
        ops.extend([Op::Stat(name(n)), Op::Lstat(name(n))]);
        ops
    };
    equal(&chain(40));
    equal(&chain(41));
}

#[test]
fn reading_and_writing_keep_offsets_and_leave_holes() {
    let d = |n, flags| Op::Open(n, s("f"), flags, 0o644);
    equal(&[
        d(0, NEW),
        Op::Read(0, 10),
        Op::Write(0, 0, 1),
        Op::Write(0, 10, 1),
        Op::Read(0, 10),
        Op::Seek(0, 0, SEEK_SET),
        Op::Read(0, 4),
        Op::Seek(0, 2, SEEK_CUR),
        Op::Read(0, 100),
        Op::Seek(0, -11, SEEK_CUR),
        Op::Seek(0, -10, SEEK_END),
        Op::Seek(0, 5, SEEK_END),
        Op::Write(0, 3, 2),
        Op::Pread(0, 100, 0),
        Op::Pread(0, 100, 1000),
        Op::Pread(0, 100, -1),
        Op::Pwrite(0, 5, 3, 2),
        Op::Pwrite(0, 5, 3, -2),
        Op::Pread(0, 100, 0),
        Op::Pwrite(0, 9000, 4, 20_000),
        Op::Fstat(0),
        Op::Pread(0, 40_000, 0),
        Op::Seek(0, 0, SEEK_DATA),
        Op::Seek(0, 0, SEEK_HOLE),
        Op::Seek(0, 5000, SEEK_DATA),
        Op::Seek(0, 5000, SEEK_HOLE),
        Op::Seek(0, 17_000, SEEK_DATA),
        Op::Seek(0, 20_001, SEEK_HOLE),
        Op::Seek(0, 28_999, SEEK_DATA),
        Op::Seek(0, 29_000, SEEK_DATA),
        Op::Seek(0, 29_000, SEEK_HOLE),
        Op::Seek(0, -1, SEEK_DATA),
        d(1, O_RDONLY),
        d(2, O_WRONLY),
        Op::Write(1, 1, 1),
        Op::Write(1, 0, 1),
        Op::Read(2, 1),
        Op::Cut(1, 0),
        Op::Cut(2, -1),
        Op::Dup(1, 3),
        Op::Read(1, 4),
        Op::Read(3, 4),
        Op::Seek(3, 0, SEEK_CUR),
        Op::Seek(2, 0, SEEK_CUR),
        Op::Close(1),
        Op::Read(3, 4),
        Op::Close(1),
        Op::Read(1, 4),
        d(4, O_RDWR | O_APPEND),
        Op::Write(4, 7, 9),
        Op::Seek(4, 0, SEEK_CUR),
        Op::Pwrite(4, 7, 8, 0),
        Op::Fstat(4),
        Op::Pread(4, 100, 28_990),
        Op::Mkdir(s("d"), 0o755),
        Op::Open(5, s("d"), O_RDONLY, 0),
        Op::Read(5, 10),
        Op::Write(5, 10, 1),
        Op::Cut(5, 0),
        Op::Sync(5, false),
        Op::Sync(5, true),
        Op::Sync(0, true),
        Op::Sync(3, false),
    ]);
}

#[test]
fn lengths_change_by_truncation_allocation_and_holes() {
    equal(&[
        Op::Open(0, s("f"), NEW, 0o644),
        Op::Cut(0, 100_000),
        Op::Fstat(0),
        Op::Write(0, 20_000, 1),
        Op::Cut(0, 5000),
        Op::Fstat(0),
        Op::Cut(0, 20_000),
        Op::Pread(0, 30_000, 0),
        Op::Fstat(0),
        Op::Truncate(s("f"), 3000),
        Op::Truncate(s("none"), 3000),
        Op::Truncate(s("f"), -1),
        Op::Truncate(s("."), 0),
        Op::Fstat(0),
        Op::Allocate(0, 0, 0, 20_000),
        Op::Fstat(0),
        Op::Pread(0, 30_000, 0),
        Op::Allocate(0, FALLOC_FL_KEEP_SIZE, 0, 8192),
        Op::Fstat(0),
        Op::Allocate(0, 0, 0, 0),
        Op::Allocate(0, 0, -1, 10),
        Op::Allocate(0, FALLOC_FL_PUNCH_HOLE, 0, 10),
        Op::Pwrite(0, 20_000, 7, 0),
        Op::Allocate(0, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 12_000),
        Op::Fstat(0),
        Op::Pread(0, 30_000, 0),
        Op::Allocate(
            0,
            FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
            16_384,
            100_000,
        ),
        Op::Fstat(0),
        Op::Pread(0, 30_000, 0),
        Op::Open(1, s("f"), O_RDONLY, 0),
        Op::Allocate(1, 0, 0, 10),
        Op::Allocate(9, 0, 0, 10),
    ]);
}

#[test]
fn files_are_copied_in_ranges() {
    equal(&[
        Op::Open(0, s("a"), NEW, 0o644),
        Op::Open(1, s("b"), NEW, 0o644),
        Op::Write(0, 10_000, 1),
        Op::Copy(0, Some(0), 1, None, 6000),
        Op::Copy(0, Some(6000), 1, None, 6000),
        Op::Copy(0, None, 1, None, 10),
        Op::Seek(1, 0, SEEK_CUR),
        Op::Fstat(1),
        Op::Copy(0, Some(0), 1, Some(20_000), 5),
        Op::Pread(1, 30_000, 0),
        Op::Copy(0, Some(0), 0, Some(5), 10),
        Op::Copy(0, Some(0), 0, Some(20_000), 10),
        Op::Copy(0, Some(-1), 1, None, 10),
        Op::Open(2, s("b"), O_RDONLY, 0),
        Op::Copy(0, Some(0), 2, None, 10),
        Op::Open(3, s("b"), O_WRONLY, 0),
        Op::Copy(3, Some(0), 0, None, 10),
        Op::Open(4, s("b"), O_WRONLY | O_APPEND, 0),
        Op::Copy(0, Some(0), 4, None, 10),
        Op::Open(5, s("."), O_RDONLY, 0),
        Op::Copy(5, Some(0), 1, None, 10),
        Op::Copy(0, Some(0), 5, None, 10),
    ]);
}

#[test]
fn directories_are_made_listed_and_removed() {
    equal(&[
        Op::Mkdir(s("a"), 0o777),
        Op::Mkdir(s("a"), 0o777),
        Op::Mkdir(s("a/b/"), 0o700),
        Op::Mkdir(s("x/y"), 0o777),
        Op::Mkdir(s("."), 0o777),
        Op::Mkdir(s("a/.."), 0o777),
        Op::Stat(s("a")),
        Op::Stat(s("a/b")),
        Op::Open(0, s("a/f"), NEW, 0o644),
        Op::Symlink(s("f"), s("a/l")),
        Op::Mkdir(s("a/f/x"), 0o777),
        Op::List(s("a")),
        Op::List(s("a/f")),
        Op::List(s("none")),
        Op::Rmdir(s("a")),
        Op::Rmdir(s("a/f")),
        Op::Rmdir(s("a/.")),
        Op::Rmdir(s("a/..")),
        Op::Rmdir(s("none")),
        Op::Unlink(s("a")),
        Op::Unlink(s("a/.")),
        Op::Unlink(s("none")),
        Op::Unlink(s("a/f/")),
        Op::Open(1, s("a/b"), O_RDONLY, 0),
        Op::Rmdir(s("a/b/")),
        Op::OpenAt(2, 1, s("new"), NEW),
        Op::OpenAt(2, 1, s("."), O_RDONLY),
        Op::Fstat(1),
        Op::Stat(s("a")),
        Op::Unlink(s("a/l")),
        Op::Unlink(s("a/f")),
        Op::Fstat(0),
        Op::Write(0, 100, 3),
        Op::Pread(0, 200, 0),
        Op::Fchmod(0, 0o600),
        Op::Fstat(0),
        Op::Rmdir(s("a")),
        Op::List(s(".")),
    ]);
}

#[test]
fn renames_replace_exchange_and_refuse() {
    let r = |from: &str, to: &str, flags| Op::Rename(s(from), s(to), flags);
    let (no_replace, exchange) = (libc::RENAME_NOREPLACE, libc::RENAME_EXCHANGE);
    equal(&[
        Op::Open(0, s("f"), NEW, 0o644),
        Op::Write(0, 10, 1),
        Op::Open(1, s("g"), NEW, 0o644),
        Op::Mkdir(s("d"), 0o755),
        Op::Mkdir(s("d/e"), 0o755),
        Op::Mkdir(s("h"), 0o755),
        r("none", "x", 0),
        r("f", "none/x", 0),
        r("f", "g/x", 0),
        r("f", "d", 0),
        r("f", "d/", 0),
        r("f", "new/", 0),
        r("d", "f", 0),
        r("d", "d/e/x", 0),
        r("d", "d/e", 0),
        r("d/e", "d", 0),
        r("f", ".", 0),
        r(".", "x", 0),
        r("d/..", "x", 0),
        r("f", "g", no_replace),
        r("f", "x", exchange),
        r("f", "g", 9),
        r("f", "f", 0),
        r("f", "g", 0),
        Op::Stat(s("f")),
        Op::Stat(s("g")),
        Op::Fstat(1),
        r("g", "f", no_replace),
        r("h", "d", 0),
        r("h", "d/e", 0),
        Op::Stat(s("h")),
        Op::Stat(s("d")),
        r("d/e", "e2/", 0),
        Op::Stat(s("d")),
        Op::Stat(s("e2")),
        Op::Open(2, s("e2/in"), NEW, 0o644),
        r("e2", "d/e", 0),
        Op::Stat(s("d/e/in")),
        Op::Mkdir(s("k"), 0o755),
        r("d", "k", exchange),
        Op::List(s("k")),
        r("k", "k/e", exchange),
        r("k/e", "k", exchange),
        r("f", "k", exchange),
        Op::Stat(s("f")),
        Op::Stat(s("k")),
        Op::Stat(s("f/e/in")),
        Op::Link(s("k"), s("k2"), false),
        r("k", "k2", 0),
        Op::List(s(".")),
        Op::Link(s("f"), s("f2"), false),
        Op::Link(s("none"), s("f2"), false),
        Op::Link(s("k"), s("k2"), false),
        Op::Link(s("k"), s("k3/"), false),
        Op::Stat(s("k")),
        Op::Unlink(s("k")),
        Op::Stat(s("k2")),
        r("f/e", ".//e3", 0),
        Op::OpenAt(3, 2, s(""), O_RDONLY),
        Op::List(s("e3")),
    ]);
}

#[test]
fn times_tell_of_reads_writes_and_changes_of_names() {
    let t = || Op::Times(s("f"));
    let d = || Op::Times(s("."));
    equal(&[
        Op::Open(0, s("f"), NEW, 0o644),
        t(),
        d(),
        Op::Write(0, 10, 1),
        t(),
        Op::Pread(0, 1, 0),
        t(),
        Op::Pread(0, 1, 0),
        t(),
        Op::Write(0, 0, 1),
        t(),
        Op::Cut(0, 5),
        t(),
        Op::Cut(0, 5),
        t(),
        Op::Truncate(s("f"), 5),
        t(),
        Op::Open(1, s("f"), O_RDWR | O_TRUNC, 0),
        t(),
        Op::Open(1, s("f"), O_RDWR | O_TRUNC, 0),
        t(),
        Op::Allocate(0, 0, 0, 10),
        t(),
        Op::Chmod(s("f"), 0o600),
        t(),
        d(),
        Op::Link(s("f"), s("g"), false),
        t(),
        d(),
        Op::Rename(s("f"), s("h"), 0),
        Op::Times(s("g")),
        d(),
        Op::Rename(s("g"), s("f"), 0),
        t(),
        Op::Unlink(s("h")),
        t(),
        d(),
        Op::SetTimes(s("f"), 1_000_000_001, 2_000_000_002),
        t(),
        Op::Pread(0, 1, 0),
        t(),
        Op::Mkdir(s("sub"), 0o755),
        d(),
        Op::Times(s("sub")),
        Op::Open(2, s("sub/x"), NEW, 0o644),
        Op::Times(s("sub")),
        Op::Rename(s("sub/x"), s("x"), 0),
        Op::Times(s("sub")),
        d(),
        Op::Unlink(s("x")),
        d(),
    ]);
}

#[test]
fn whole_file_locks_are_of_descriptions() {
    equal(&[
        Op::Open(0, s("f"), NEW, 0o644),
        Op::Open(1, s("f"), NEW, 0o644),
        Op::Open(2, s("f"), O_RDONLY, 0o644),
        Op::Flock(0, Some(true)),
        Op::Flock(0, Some(true)),
        Op::Flock(1, Some(true)),
        Op::Flock(1, Some(false)),
        Op::Dup(0, 3),
        Op::Flock(3, Some(true)),
        Op::Close(0),
        Op::Flock(1, Some(true)),
        Op::Close(3),
        Op::Flock(1, Some(false)),
        Op::Flock(2, Some(false)),
        Op::Flock(1, Some(true)),
        // Who asks for more loses what it had.
        Op::Flock(2, Some(true)),
        Op::Flock(1, Some(true)),
        Op::Flock(2, None),
        Op::Flock(1, None),
        Op::Flock(2, Some(true)),
        Op::Open(4, s("."), O_RDONLY, 0),
        Op::Flock(4, Some(true)),
        Op::Open(5, s("f"), O_PATH, 0),
        Op::Flock(5, Some(true)),
    ]);
}

#[test]
fn range_locks_are_cut_and_merged() {
    let set = |n, kind, start, len| Op::SetLock(n, kind, start, len);
    let get = |n, kind, start, len| Op::GetLock(n, kind, start, len);
    equal(&[
        Op::Open(0, s("f"), NEW, 0o644),
        Op::Open(1, s("f"), NEW, 0o644),
        Op::Open(2, s("f"), O_RDONLY, 0),
        Op::Open(3, s("f"), O_WRONLY, 0),
        set(0, F_WRLCK, 0, 100),
        set(1, F_WRLCK, 50, 10),
        set(1, F_RDLCK, 99, 1),
        set(1, F_RDLCK, 100, 0),
        get(1, F_RDLCK, 0, 0),
        get(0, F_WRLCK, 0, 0),
        get(0, F_WRLCK, 0, 100),
        set(0, F_UNLCK, 40, 20),
        get(1, F_RDLCK, 0, 10),
        get(1, F_RDLCK, 40, 20),
        get(1, F_RDLCK, 50, 20),
        set(1, F_WRLCK, 40, 20),
        set(0, F_RDLCK, 0, 40),
        get(1, F_WRLCK, 0, 200),
        get(1, F_RDLCK, 0, 200),
        set(0, F_WRLCK, 30, 10),
        get(1, F_WRLCK, 0, 5),
        get(1, F_RDLCK, 0, 50),
        set(0, F_UNLCK, 0, 0),
        get(1, F_WRLCK, 0, 0),
        set(0, F_WRLCK, 10, -5),
        get(1, F_WRLCK, 0, 30),
        set(0, F_WRLCK, 3, -5),
        set(0, F_WRLCK, -1, 5),
        set(0, F_WRLCK, i64::MAX, 5),
        set(2, F_WRLCK, 1000, 5),
        set(2, F_RDLCK, 1000, 5),
        set(3, F_RDLCK, 1000, 5),
        set(3, F_WRLCK, 1000, 5),
        Op::Close(2),
        set(3, F_WRLCK, 1000, 5),
        get(0, F_UNLCK, 0, 5),
        Op::Dup(1, 4),
        Op::Close(1),
        get(0, F_WRLCK, 0, 0),
        Op::Close(4),
        get(0, F_WRLCK, 0, 1000),
    ]);
}

#[test]
fn a_file_without_a_name_is_used_like_any_other() {
    equal(&[
        Op::Open(0, s("."), O_TMPFILE | O_RDWR, 0o600),
        Op::Fstat(0),
        Op::Write(0, 10, 1),
        Op::Pread(0, 10, 0),
        Op::Open(1, s("."), O_TMPFILE | O_RDONLY, 0o600),
        Op::Open(1, s("none"), O_TMPFILE | O_RDWR, 0o600),
        Op::List(s(".")),
    ]);
}

fn op() -> impl Strategy<Value = Op> {
    let file = || 0..3u8;
    let len = || prop_oneof![Just(0usize), 1..300usize, 3000..9000usize];
    let at = || prop_oneof![0..100i64, 3000..20_000i64];
    let access = prop_oneof![Just(O_RDONLY), Just(O_RDWR), Just(O_WRONLY)];
    let how = prop_oneof![
        4 => Just(O_CREAT),
        1 => Just(0),
        1 => Just(O_CREAT | O_EXCL),
        1 => Just(O_TRUNC),
        1 => Just(O_CREAT | O_APPEND),
        1 => Just(O_DIRECTORY),
        1 => Just(O_NOFOLLOW),
    ];
    let kind = prop_oneof![Just(F_RDLCK), Just(F_WRLCK), Just(F_UNLCK)];
    let range = (0..40i64, 0..20i64);
    let looks = prop_oneof![
        path().prop_map(Op::Stat),
        path().prop_map(Op::Lstat),
        path().prop_map(Op::Readlink),
        path().prop_map(Op::List),
        Just(Op::List(s("."))),
        file().prop_map(Op::Fstat),
        (file(), Just(30_000), Just(0)).prop_map(|(n, len, at)| Op::Pread(n, len, at)),
    ];
    let data = prop_oneof![
        (file(), len()).prop_map(|(n, len)| Op::Read(n, len)),
        (file(), len(), 1..9u8).prop_map(|(n, len, byte)| Op::Write(n, len, byte)),
        (file(), len(), 1..9u8, at()).prop_map(|(n, len, byte, at)| Op::Pwrite(n, len, byte, at)),
        (file(), at(), 0..5i32).prop_map(|(n, at, whence)| Op::Seek(n, at, whence)),
        (file(), at()).prop_map(|(n, len)| Op::Cut(n, len)),
        (path(), at()).prop_map(|(path, len)| Op::Truncate(path, len)),
        (file(), at(), 1..20_000i64).prop_map(|(n, at, len)| {
            Op::Allocate(n, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, len)
        }),
        (file(), at(), file(), at(), len()).prop_map(|(from, at, to, to_at, len)| Op::Copy(
            from,
            Some(at),
            to,
            Some(to_at),
            len
        )),
        (file(), any::<bool>()).prop_map(|(n, data_only)| Op::Sync(n, data_only)),
    ];
    let locks = prop_oneof![
        (file(), proptest::option::of(any::<bool>())).prop_map(|(n, how)| Op::Flock(n, how)),
        (file(), kind.clone(), range.clone())
            .prop_map(|(n, kind, (start, len))| Op::SetLock(n, kind, start, len)),
        (file(), prop_oneof![Just(F_RDLCK), Just(F_WRLCK)], range)
            .prop_map(|(n, kind, (start, len))| Op::GetLock(n, kind, start, len)),
    ];
    prop_oneof![
        3 => (file(), path(), access, how).prop_map(|(n, path, access, how)| Op::Open(n, path, access | how, 0o644)),
        1 => (file(), file()).prop_map(|(from, to)| Op::Dup(from, to)),
        1 => file().prop_map(Op::Close),
        5 => names(),
        4 => looks,
        5 => data,
        2 => locks,
    ]
}

#[test]
fn any_sequence_of_calls_shows_what_linux_shows() {
    let config = ProptestConfig {
        cases: 400,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    };
    let run = || {
        let sequences = prop::collection::vec(op(), 1..60);
        TestRunner::new(config).run(&sequences, |ops| {
            let difference = first_difference(&ops);
            prop_assert!(difference.is_none(), "{}", difference.unwrap());
            Ok(())
        })
    };
    // Not optimised, making the sequences takes more than the usual stack.
    #[allow(clippy::disallowed_methods)]
    let roomy = std::thread::Builder::new().stack_size(64 << 20);
    let ran = std::thread::scope(|scope| {
        let thread = roomy.spawn_scoped(scope, run).expect("there is room");
        thread.join().expect("it does not panic")
    });
    ran.unwrap_or_else(|found| panic!("{found}"));
}
