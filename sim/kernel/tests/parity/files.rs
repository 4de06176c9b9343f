//! Files and directories.

use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::{
        fd::AsRawFd,
        unix::{
            ffi::OsStrExt,
            fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink},
        },
    },
    path::{Path, PathBuf},
};

use crate::{Probe, Seen, call, readiness::poll_mask};

pub const PROBES: &[Probe] = &[
    ("open", open),
    ("append", append),
    ("truncate", truncate),
    ("offsets", offsets),
    ("rename", rename),
    ("unlink", unlink),
    ("directories", directories),
    ("links", links),
    ("locks", locks),
    ("range locks", range_locks),
    ("metadata", metadata),
    ("file calls", calls),
    ("mapping", mapping),
    ("vectors with flags", vectors),
];

/// A folder of the probe's own, empty at its beginning.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("parity-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("it can be made");
        Folder(path)
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        fs::write(&path, text).expect("it can be made");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("it has no zeros")
}

pub fn both() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    options
}

fn open(seen: &mut Seen) {
    let folder = Folder::new("open");
    let file = folder.file("a", "text");
    seen.outcome("missing", File::open(folder.at("none")));
    seen.outcome("missing folder", File::create(folder.at("none/a")));
    seen.outcome("below a file", File::open(file.join("b")));
    seen.outcome("folder to write", File::create(&folder.0));
    seen.outcome("folder to read", File::open(&folder.0));
    let mut byte = [0];
    seen.result(
        "read of a folder",
        File::open(&folder.0).and_then(|mut f| f.read(&mut byte)),
    );
    seen.outcome("new", File::create_new(folder.at("new")));
    seen.outcome("new again", File::create_new(folder.at("new")));
    seen.outcome(
        "as a folder",
        File::options()
            .read(true)
            .custom_flags(libc::O_DIRECTORY)
            .open(&file),
    );
    seen.outcome("empty name", File::open(""));
    seen.outcome("long name", File::create(folder.at(&"x".repeat(256))));
    seen.outcome("longest name", File::create(folder.at(&"x".repeat(255))));
    seen.outcome(
        "slash at the end",
        File::open(format!("{}/", file.display())),
    );
    seen.outcome(
        "write only, read",
        File::options()
            .write(true)
            .open(&file)
            .and_then(|mut f| f.read(&mut byte)),
    );
    seen.outcome(
        "read only, written",
        File::open(&file).and_then(|mut f| f.write(&byte)),
    );
    seen.outcome(
        "read only, truncated",
        File::open(&file).and_then(|f| f.set_len(0)),
    );
    let truncated = File::options().write(true).truncate(true).open(&file);
    seen.result(
        "truncated",
        truncated.and_then(|f| f.metadata()).map(|m| m.len()),
    );
    seen.outcome("no follow", {
        symlink(&file, folder.at("link")).expect("it can be made");
        File::options()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW)
            .open(folder.at("link"))
    });
    let flags = call!(fcntl(
        both().open(&file).expect("it is there").as_raw_fd(),
        libc::F_GETFL
    ));
    seen.result("access", flags.map(|f| f as i32 & libc::O_ACCMODE));
    seen.note(
        "mask",
        poll_mask(File::open(&file).expect("it is there").as_raw_fd()),
    );
}

fn append(seen: &mut Seen) {
    let folder = Folder::new("append");
    let path = folder.at("log");
    let open = || {
        File::options()
            .append(true)
            .create(true)
            .read(true)
            .open(&path)
    };
    let (mut a, mut b) = (
        open().expect("it can be made"),
        open().expect("it is there"),
    );
    a.write_all(b"one ").expect("it goes");
    b.write_all(b"two ").expect("it goes");
    seen.result("rewound", a.seek(SeekFrom::Start(0)));
    a.write_all(b"three ").expect("it goes");
    seen.result("position", a.stream_position());
    seen.result("text", fs::read_to_string(&path));
    seen.result("at an offset", a.write_at(b"four", 0));
    seen.result("appended", fs::read_to_string(&path));
    let plain = both().open(&path).expect("it is there");
    seen.outcome(
        "set",
        call!(fcntl(plain.as_raw_fd(), libc::F_SETFL, libc::O_APPEND)),
    );
    (&plain).write_all(b" five").expect("it goes");
    seen.result("appends now", fs::read_to_string(&path));
    let flags = call!(fcntl(plain.as_raw_fd(), libc::F_GETFL));
    seen.result(
        "flags",
        flags.map(|f| f as i32 & (libc::O_APPEND | libc::O_ACCMODE)),
    );
}

fn truncate(seen: &mut Seen) {
    let folder = Folder::new("truncate");
    let path = folder.file("a", "0123456789");
    let mut file = both().open(&path).expect("it is there");
    file.seek(SeekFrom::End(0)).expect("it is a file");
    file.set_len(4).expect("it can be set");
    seen.result("position stays", file.stream_position());
    seen.result("write behind the end", file.write(b"x"));
    seen.result("bytes", fs::read(&path));
    file.set_len(13).expect("it can be set");
    seen.result(
        "longer",
        fs::read(&path).map(|bytes| (bytes.len(), bytes[12])),
    );
    seen.outcome("negative", call!(ftruncate(file.as_raw_fd(), -1)));
    seen.outcome("by name", call!(truncate(c(&path).as_ptr(), 2)));
    seen.result("text", fs::read_to_string(&path));
    seen.outcome("folder", call!(truncate(c(&folder.0).as_ptr(), 2)));
    seen.outcome(
        "missing",
        call!(truncate(c(&folder.at("none")).as_ptr(), 2)),
    );
}

fn offsets(seen: &mut Seen) {
    let folder = Folder::new("offsets");
    let path = folder.file("a", "0123456789");
    let mut file = both().open(&path).expect("it is there");
    let mut copy = file.try_clone().expect("there is room");
    seen.result("seek", file.seek(SeekFrom::Start(3)));
    let mut two = [0; 2];
    copy.read_exact(&mut two).expect("it is there");
    seen.note("copy", two);
    seen.result("shared", file.stream_position());
    let mut other = File::open(&path).expect("it is there");
    seen.result("not shared", other.stream_position());
    seen.result("at an offset", file.read_at(&mut two, 8));
    seen.note("bytes", two);
    seen.result("past the end", file.read_at(&mut two, 20));
    seen.result("still", file.stream_position());
    seen.result("from the end", file.seek(SeekFrom::End(-1)));
    seen.result("before the beginning", file.seek(SeekFrom::Current(-100)));
    seen.result("far", file.seek(SeekFrom::End(5)));
    seen.result("read there", file.read(&mut two));
    seen.result("write there", file.write(b"z"));
    seen.result("hole", fs::read(&path).map(|bytes| bytes[10..].to_vec()));
    seen.outcome("unknown way", call!(lseek(file.as_raw_fd(), 0, 99)));
    seen.result(
        "next data",
        call!(lseek(file.as_raw_fd(), 0, libc::SEEK_DATA)),
    );
    seen.result(
        "next hole",
        call!(lseek(file.as_raw_fd(), 0, libc::SEEK_HOLE)),
    );
    seen.outcome(
        "data past the end",
        call!(lseek(file.as_raw_fd(), 100, libc::SEEK_DATA)),
    );
    let mut byte = 0u8;
    seen.outcome(
        "negative offset",
        call!(pread(file.as_raw_fd(), (&raw mut byte).cast(), 1, -5)),
    );
    seen.result("nothing", file.write(b""));
    let mut text = String::new();
    other.rewind().expect("it is a file");
    seen.result("to the end", other.read_to_string(&mut text));
}

fn rename(seen: &mut Seen) {
    let folder = Folder::new("rename");
    let (old, new) = (folder.file("old", "old"), folder.file("new", "new"));
    let mut open = File::open(&new).expect("it is there");
    seen.outcome("over an open file", fs::rename(&old, &new));
    let mut text = String::new();
    open.read_to_string(&mut text).expect("it is open");
    seen.note("open one", text);
    seen.result("links", open.metadata().map(|m| m.nlink()));
    seen.result("name", fs::read_to_string(&new));
    seen.outcome("missing", fs::rename(&old, folder.at("x")));
    fs::create_dir(folder.at("d")).expect("it can be made");
    fs::create_dir(folder.at("e")).expect("it can be made");
    folder.file("e/f", "");
    seen.outcome("file over folder", fs::rename(&new, folder.at("d")));
    seen.outcome("folder over file", fs::rename(folder.at("d"), &new));
    seen.outcome(
        "folder over a full one",
        fs::rename(folder.at("d"), folder.at("e")),
    );
    seen.outcome(
        "folder over an empty one",
        fs::rename(folder.at("e"), folder.at("d")),
    );
    seen.outcome("into itself", fs::rename(folder.at("d"), folder.at("d/g")));
    seen.outcome("to itself", fs::rename(&new, &new));
    seen.outcome(
        "into a missing folder",
        fs::rename(&new, folder.at("none/a")),
    );
    let (from, to) = (c(&new), c(&folder.file("there", "")));
    let flags = libc::RENAME_NOREPLACE;
    seen.outcome(
        "must not replace",
        call!(renameat2(
            libc::AT_FDCWD,
            from.as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            flags
        )),
    );
    let flags = libc::RENAME_EXCHANGE;
    seen.outcome(
        "exchange",
        call!(renameat2(
            libc::AT_FDCWD,
            from.as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            flags
        )),
    );
    seen.result("exchanged", fs::read_to_string(folder.at("there")));
}

fn unlink(seen: &mut Seen) {
    let folder = Folder::new("unlink");
    let path = folder.file("a", "still here");
    let mut file = both().open(&path).expect("it is there");
    seen.outcome("open file", fs::remove_file(&path));
    seen.outcome("again", fs::remove_file(&path));
    let mut text = String::new();
    seen.result("read", file.read_to_string(&mut text));
    seen.result("write", file.write(b"more"));
    seen.result("links", file.metadata().map(|m| (m.nlink(), m.len())));
    folder.file("a", "another");
    seen.result("its length", file.metadata().map(|m| m.len()));
    fs::create_dir(folder.at("d")).expect("it can be made");
    seen.outcome("folder", fs::remove_file(folder.at("d")));
    seen.outcome("file as folder", fs::remove_dir(&path));
    folder.file("d/f", "");
    seen.outcome("full folder", fs::remove_dir(folder.at("d")));
    seen.outcome("all of it", fs::remove_dir_all(folder.at("d")));
    seen.outcome("missing folder", fs::remove_dir(folder.at("d")));
    seen.outcome("below a file", fs::remove_file(path.join("b")));
    fs::create_dir(folder.at("d")).expect("it can be made");
    let open = File::open(folder.at("d")).expect("it is there");
    fs::remove_dir(folder.at("d")).expect("it is empty");
    seen.result("open folder", open.metadata().map(|m| m.nlink()));
    seen.outcome("dot", fs::remove_dir(folder.at(".")));
}

fn directories(seen: &mut Seen) {
    let folder = Folder::new("directories");
    for name in ["b", "a", "c"] {
        folder.file(name, name);
    }
    fs::create_dir(folder.at("d")).expect("it can be made");
    symlink("a", folder.at("l")).expect("it can be made");
    let list = |path: &Path| -> io::Result<Vec<(String, bool, bool, bool)>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            all.push((name, kind.is_file(), kind.is_dir(), kind.is_symlink()));
        }
        all.sort();
        Ok(all)
    };
    seen.result("entries", list(&folder.0));
    seen.result("of none", list(&folder.at("d")));
    seen.outcome("of a file", list(&folder.at("a")));
    seen.outcome("of nothing", list(&folder.at("none")));
    seen.outcome("make again", fs::create_dir(folder.at("d")));
    seen.outcome("make over a file", fs::create_dir(folder.at("a")));
    seen.outcome("make in nothing", fs::create_dir(folder.at("none/e")));
    seen.outcome("make all", fs::create_dir_all(folder.at("x/y/z")));
    seen.outcome("make all again", fs::create_dir_all(folder.at("x/y/z")));
    seen.result("links", fs::metadata(folder.at("x")).map(|m| m.nlink()));
    seen.outcome("sync", File::open(&folder.0).and_then(|f| f.sync_all()));
    seen.note(
        "exists",
        (folder.at("a").exists(), folder.at("none").exists()),
    );
    let many = folder.at("many");
    fs::create_dir(&many).expect("it can be made");
    for n in 0..500 {
        fs::write(many.join(format!("a-name-that-takes-some-room-{n:04}")), "")
            .expect("it can be made");
    }
    let all = list(&many).expect("it is there");
    seen.note("many", (all.len(), all[499].0.clone()));
    let canonical = fs::canonicalize(folder.at("x/../x/./y/../../l"));
    seen.result(
        "canonical",
        canonical.map(|path| path.file_name().map(|n| n.to_string_lossy().into_owned())),
    );
}

fn links(seen: &mut Seen) {
    let folder = Folder::new("links");
    let path = folder.file("a", "text");
    seen.outcome("hard", fs::hard_link(&path, folder.at("b")));
    seen.outcome("hard again", fs::hard_link(&path, folder.at("b")));
    seen.outcome("hard to a folder", fs::hard_link(&folder.0, folder.at("c")));
    seen.result("links", fs::metadata(&path).map(|m| m.nlink()));
    let same = fs::metadata(&path).and_then(|a| Ok(a.ino() == fs::metadata(folder.at("b"))?.ino()));
    seen.result("same", same);
    fs::write(folder.at("b"), "changed").expect("it is there");
    seen.result("text", fs::read_to_string(&path));
    seen.outcome("soft", symlink("a", folder.at("s")));
    seen.outcome("soft again", symlink("a", folder.at("s")));
    seen.result("where", fs::read_link(folder.at("s")));
    seen.outcome("no link", fs::read_link(&path));
    seen.result("through it", fs::read_to_string(folder.at("s")));
    seen.result(
        "itself",
        fs::symlink_metadata(folder.at("s")).map(|m| (m.len(), m.file_type().is_symlink())),
    );
    symlink("loop", folder.at("loop")).expect("it can be made");
    seen.outcome("loop", File::open(folder.at("loop")));
    symlink("nowhere", folder.at("dangling")).expect("it can be made");
    seen.outcome("dangling", File::open(folder.at("dangling")));
    seen.outcome("made through it", fs::write(folder.at("dangling"), "made"));
    seen.result("there now", fs::read_to_string(folder.at("nowhere")));
    seen.outcome("new through a link", File::create_new(folder.at("s")));
    seen.outcome("removed", fs::remove_file(folder.at("s")));
    seen.note("its file stays", path.exists());
    symlink(".", folder.at("dir")).expect("it can be made");
    seen.result(
        "folder through it",
        fs::read_to_string(folder.at("dir/dir/a")),
    );
    seen.outcome("link as a folder", fs::remove_dir(folder.at("dir")));
}

fn locks(seen: &mut Seen) {
    let folder = Folder::new("locks");
    let path = folder.file("a", "");
    let (a, b) = (
        File::open(&path).expect("it is there"),
        File::open(&path).expect("it is there"),
    );
    let lock = |file: &File, how: i32| call!(flock(file.as_raw_fd(), how | libc::LOCK_NB));
    seen.outcome("shared", lock(&a, libc::LOCK_SH));
    seen.outcome("shared too", lock(&b, libc::LOCK_SH));
    seen.outcome("exclusive", lock(&b, libc::LOCK_EX));
    seen.outcome("released", lock(&a, libc::LOCK_UN));
    seen.outcome("exclusive now", lock(&b, libc::LOCK_EX));
    seen.outcome("shared not", lock(&a, libc::LOCK_SH));
    let copy = b.try_clone().expect("there is room");
    drop(b);
    seen.outcome("a copy holds it", lock(&a, libc::LOCK_SH));
    drop(copy);
    seen.outcome("nobody holds it", lock(&a, libc::LOCK_SH));
    seen.outcome("unknown", lock(&a, 0));
    let (c, d) = (
        File::open(&path).expect("it is there"),
        File::open(&path).expect("it is there"),
    );
    lock(&a, libc::LOCK_UN).expect("it is held");
    seen.outcome("of std", c.lock());
    seen.note("tried", d.try_lock().is_err());
    let waits = std::thread::spawn(move || d.lock().is_ok());
    crate::settle();
    drop(c);
    seen.note("waited for", waits.join().expect("it ends"));
}

fn range_locks(seen: &mut Seen) {
    let folder = Folder::new("ranges");
    let path = folder.file("a", "0123456789");
    let (a, b) = (
        both().open(&path).expect("it is there"),
        both().open(&path).expect("it is there"),
    );
    let ask = |file: &File, command: i32, kind: i32, start: i64, len: i64| {
        let mut lock = libc::flock {
            l_type: kind as i16,
            l_whence: libc::SEEK_SET as i16,
            l_start: start,
            l_len: len,
            l_pid: 0,
        };
        call!(fcntl(file.as_raw_fd(), command, &raw mut lock))?;
        io::Result::Ok((lock.l_type, lock.l_start, lock.l_len))
    };
    seen.outcome("exclusive", ask(&a, libc::F_SETLK, libc::F_WRLCK, 0, 4));
    seen.outcome(
        "by the same process",
        ask(&b, libc::F_SETLK, libc::F_WRLCK, 0, 4),
    );
    seen.result(
        "nobody else's",
        ask(&b, libc::F_GETLK, libc::F_WRLCK, 0, 4).map(|lock| lock.0 == libc::F_UNLCK as i16),
    );
    seen.outcome(
        "of a file that is open to read",
        ask(
            &File::open(&path).expect("it is there"),
            libc::F_SETLK,
            libc::F_WRLCK,
            0,
            1,
        ),
    );
    seen.outcome("released", ask(&a, libc::F_SETLK, libc::F_UNLCK, 0, 0));
    seen.outcome(
        "of a description",
        ask(&a, libc::F_OFD_SETLK, libc::F_WRLCK, 2, 4),
    );
    seen.outcome(
        "of another",
        ask(&b, libc::F_OFD_SETLK, libc::F_WRLCK, 4, 4),
    );
    seen.outcome("beside it", ask(&b, libc::F_OFD_SETLK, libc::F_WRLCK, 6, 4));
    seen.result(
        "whose",
        ask(&b, libc::F_OFD_GETLK, libc::F_RDLCK, 0, 3)
            .map(|lock| (lock.0 == libc::F_WRLCK as i16, lock.1, lock.2)),
    );
    drop(a);
    seen.outcome(
        "gone with it",
        ask(&b, libc::F_OFD_SETLK, libc::F_WRLCK, 2, 4),
    );
    seen.outcome("unknown kind", ask(&b, libc::F_SETLK, 77, 0, 1));
}

fn metadata(seen: &mut Seen) {
    let folder = Folder::new("metadata");
    let path = folder.file("a", "hello");
    let file = both().open(&path).expect("it is there");
    let told = file.metadata().expect("it is open");
    seen.note(
        "file",
        (
            told.is_file(),
            told.len(),
            told.nlink(),
            told.mode() & libc::S_IFMT,
        ),
    );
    seen.note("rights", format!("{:o}", told.permissions().mode() & 0o777));
    seen.outcome(
        "set",
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)),
    );
    seen.result(
        "rights set",
        fs::metadata(&path).map(|m| format!("{:o}", m.mode() & 0o7777)),
    );
    seen.result(
        "folder",
        fs::metadata(&folder.0).map(|m| (m.is_dir(), format!("{:o}", m.mode() & 0o777))),
    );
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    seen.outcome("set times", file.set_modified(time));
    seen.result(
        "modified",
        fs::metadata(&path)
            .and_then(|m| m.modified())
            .map(|t| t == time),
    );
    let before = fs::metadata(&path).map(|m| m.mtime()).expect("it is there");
    (&file).write_all(b"x").expect("it goes");
    seen.result(
        "a write changes it",
        fs::metadata(&path).map(|m| m.mtime() > before),
    );
    seen.result(
        "of nothing",
        fs::metadata(folder.at("none")).map(|m| m.len()),
    );
    seen.result(
        "below a file",
        fs::metadata(path.join("x")).map(|m| m.len()),
    );
    seen.result(
        "access",
        call!(access(c(&path).as_ptr(), libc::R_OK | libc::W_OK)),
    );
    seen.result(
        "access to nothing",
        call!(access(c(&folder.at("none")).as_ptr(), libc::F_OK)),
    );
    seen.result("null device", fs::write("/dev/null", "x"));
    seen.result(
        "zeros",
        File::open("/dev/zero").and_then(|mut f| {
            let mut b = [1; 4];
            f.read_exact(&mut b)?;
            Ok(b)
        }),
    );
    seen.result("copied", fs::copy(&path, folder.at("b")));
    seen.result("copy", fs::read_to_string(folder.at("b")));
    seen.result(
        "copied rights",
        fs::metadata(folder.at("b")).map(|m| format!("{:o}", m.mode() & 0o777)),
    );
    seen.note("user", (told.uid(), told.gid()));
}

fn calls(seen: &mut Seen) {
    let folder = Folder::new("calls");
    let path = folder.file("a", "0123456789");
    let file = both().open(&path).expect("it is there");
    let fd = file.as_raw_fd();
    seen.outcome("sync", file.sync_all());
    seen.outcome("sync data", file.sync_data());
    seen.outcome("allocate", call!(fallocate(fd, 0, 0, 100)));
    seen.result("length", file.metadata().map(|m| m.len()));
    seen.outcome(
        "punch",
        call!(fallocate(
            fd,
            libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE,
            2,
            3
        )),
    );
    seen.result("punched", fs::read(&path).map(|bytes| bytes[..8].to_vec()));
    seen.outcome("of no length", call!(fallocate(fd, 0, 0, 0)));
    seen.outcome(
        "advice",
        call!(posix_fadvise(fd, 0, 0, libc::POSIX_FADV_SEQUENTIAL)),
    );
    let mut unread = 0i32;
    seen.outcome(
        "FIONREAD",
        call!(ioctl(fd, libc::FIONREAD, &raw mut unread)),
    );
    seen.note("unread", unread);
    let parts = [io::IoSlice::new(b"ab"), io::IoSlice::new(b"cd")];
    seen.result("vector", (&file).write_vectored(&parts));
    seen.result("then", fs::read(&path).map(|bytes| bytes[..6].to_vec()));
    let here = std::env::current_dir().expect("it is there");
    seen.outcome("change", std::env::set_current_dir(&folder.0));
    seen.result(
        "relative",
        fs::read(Path::new("a")).map(|bytes| bytes.len()),
    );
    seen.result("where", std::env::current_dir().map(|dir| dir == folder.0));
    seen.outcome("to a file", std::env::set_current_dir("a"));
    seen.outcome("to nothing", std::env::set_current_dir("none"));
    std::env::set_current_dir(here).expect("it is there");
    let dir = File::open(&folder.0).expect("it is there");
    let (name, none) = (c"a", c"none");
    seen.result(
        "at a folder",
        call!(openat(dir.as_raw_fd(), name.as_ptr(), libc::O_RDONLY))
            .and_then(|fd| call!(close(fd as i32))),
    );
    seen.outcome(
        "missing there",
        call!(openat(dir.as_raw_fd(), none.as_ptr(), libc::O_RDONLY)),
    );
    seen.outcome(
        "at a file",
        call!(openat(fd, name.as_ptr(), libc::O_RDONLY)),
    );
    seen.outcome(
        "at a bad one",
        call!(openat(100_000_000, name.as_ptr(), libc::O_RDONLY)),
    );
    seen.outcome(
        "write to a folder",
        call!(write(dir.as_raw_fd(), b"x".as_ptr().cast(), 1)),
    );
    seen.outcome("folder as a socket", call!(listen(dir.as_raw_fd(), 1)));
}

fn mapping(seen: &mut Seen) {
    let folder = Folder::new("mapping");
    let file = both()
        .open(folder.file("a", "mapped"))
        .expect("it is there");
    let none = std::ptr::null_mut();
    let (protection, fd) = (libc::PROT_READ | libc::PROT_WRITE, file.as_raw_fd());
    // SAFETY: a new mapping, of which the first six bytes are the file's.
    unsafe {
        let place = libc::mmap(none, 4096, protection, libc::MAP_PRIVATE, fd, 0);
        if place == libc::MAP_FAILED {
            seen.note("private", io::Error::last_os_error().raw_os_error());
            return;
        }
        let bytes = place.cast::<u8>();
        seen.note("bytes", std::slice::from_raw_parts(bytes, 8).to_vec());
        bytes.write(b'X');
        libc::munmap(place, 4096);
    }
    seen.result("file is as it was", fs::read_to_string(folder.at("a")));
    let bad = |len: usize, fd: i32, offset: i64| {
        // SAFETY: fails, or makes a new mapping that nobody uses.
        let place =
            unsafe { libc::mmap(none, len, libc::PROT_READ, libc::MAP_PRIVATE, fd, offset) };
        match place == libc::MAP_FAILED {
            true => io::Error::last_os_error().to_string(),
            false => "mapped".to_owned(),
        }
    };
    seen.note("of no length", bad(0, fd, 0));
    seen.note("at an odd offset", bad(4096, fd, 5));
    seen.note("of a bad descriptor", bad(4096, 100_000_000, 0));
    let write_only = File::options()
        .write(true)
        .open(folder.at("a"))
        .expect("it is there");
    seen.note("of one to write", bad(4096, write_only.as_raw_fd(), 0));
}

fn vectors(seen: &mut Seen) {
    let folder = Folder::new("vectors");
    let file = both()
        .open(folder.file("a", "0123456789"))
        .expect("it is there");
    let fd = file.as_raw_fd();
    let parts = |bytes: &mut [u8]| libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let mut bytes = *b"abc";
    let part = parts(&mut bytes);
    let write = |offset: i64, flags: i32| call!(pwritev2(fd, &raw const part, 1, offset, flags));
    seen.result("write", write(1, 0));
    seen.result("append", write(2, libc::RWF_APPEND));
    seen.result("append at its own offset", write(-1, libc::RWF_APPEND));
    seen.result("its offset", call!(lseek(fd, 0, libc::SEEK_CUR)));
    seen.result("at its own offset", write(-1, libc::RWF_HIPRI));
    seen.result("sync", write(0, libc::RWF_SYNC));
    seen.result("sync of data", write(0, libc::RWF_DSYNC));
    seen.result("unknown", write(0, 1 << 30));
    seen.result("below zero", write(-2, 0));
    seen.result("the first form", call!(pwritev(fd, &raw const part, 1, -1)));
    seen.result("is", fs::read_to_string(folder.at("a")));
    let mut place = [0; 4];
    let room = parts(&mut place);
    let read = |offset: i64, flags: i32| call!(preadv2(fd, &raw const room, 1, offset, flags));
    seen.result("read", read(2, 0));
    seen.result("read on", read(-1, 0));
    seen.result("read of unknown", read(0, 1 << 30));
    let mut ends = [0; 2];
    call!(pipe(ends.as_mut_ptr())).expect("there is room");
    seen.result("pipe", call!(pwritev2(ends[1], &raw const part, 1, -1, 0)));
    seen.result(
        "pipe with offset",
        call!(pwritev2(ends[1], &raw const part, 1, 0, 0)),
    );
    seen.result(
        "from the pipe",
        call!(preadv2(ends[0], &raw const room, 1, -1, 0)),
    );
    for end in ends {
        call!(close(end)).expect("it is open");
    }
}
