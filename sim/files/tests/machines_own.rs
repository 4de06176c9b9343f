//! The files that no disk holds: devices, what the machine tells of itself, and what of the real file system is let
//! through.

mod machine;

use libc::{EACCES, EEXIST, EINVAL, EISDIR, ENOENT, ENOSPC, ENOTDIR, EROFS, EXDEV};
use libc::{O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, SEEK_SET};
use machine::{Booted, booted};
use squall_files::Errno;

/// All bytes of a file, as `std::fs::read` gets them: its length may be told as 0.
fn read(machine: &Booted, path: &str) -> Vec<u8> {
    let file = machine
        .process
        .open(None, path.as_bytes(), O_RDONLY, 0)
        .unwrap();
    let (mut all, mut part) = (Vec::new(), [0; 100]);
    loop {
        match file.read(&mut part).unwrap() {
            0 => return all,
            n => all.extend(&part[..n]),
        }
    }
}

fn text(machine: &Booted, path: &str) -> String {
    String::from_utf8(read(machine, path)).unwrap()
}

fn names(machine: &Booted, path: &str) -> Vec<String> {
    let dir = machine
        .process
        .open(None, path.as_bytes(), O_RDONLY | O_DIRECTORY, 0)
        .unwrap();
    let mut names = Vec::new();
    while let Some(entry) = dir.next_entry().unwrap() {
        names.push(String::from_utf8(entry.name).unwrap());
    }
    names
}

#[test]
fn devices_answer_as_theirs_do() {
    let machine = booted(1);
    let open = |path: &str| {
        machine
            .process
            .open(None, path.as_bytes(), O_RDWR, 0)
            .unwrap()
    };
    let mut bytes = [1; 3];
    assert_eq!(open("/dev/null").read(&mut bytes), Ok(0));
    assert_eq!(open("/dev/null").write(&bytes), Ok(3));
    assert_eq!(open("/dev/zero").read(&mut bytes), Ok(3));
    assert_eq!(bytes, [0; 3]);
    assert_eq!(open("/dev/full").write(&bytes), Err(Errno(ENOSPC)));
    for random in ["/dev/urandom", "/dev/random"] {
        assert_eq!(open(random).read(&mut bytes), Ok(3));
        assert_eq!(bytes, [7; 3]);
    }
    let null = open("/dev/null");
    assert_eq!(null.stat().unwrap().format(), libc::S_IFCHR);
    assert_eq!(null.stat().unwrap().rdev, libc::makedev(1, 3));
    assert_eq!(null.sync(false), Err(Errno(EINVAL)));
    assert_eq!(null.lseek(10, SEEK_SET), Ok(0));
    let made = machine
        .process
        .open(None, b"/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0o644);
    assert_eq!(made.unwrap().write(&bytes), Ok(3));
}

#[test]
fn the_machine_tells_its_name_its_hosts_and_its_processors() {
    let machine = booted(1);
    assert_eq!(text(&machine, "/etc/hostname"), "orders\n");
    assert!(text(&machine, "/etc/hosts").contains("10.0.0.4 orders\n"));
    assert!(text(&machine, "/etc/nsswitch.conf").contains("hosts: files dns\n"));
    assert!(text(&machine, "/etc/resolv.conf").starts_with("nameserver "));
    assert!(text(&machine, "/etc/passwd").starts_with("root:x:0:0:"));
    assert_eq!(text(&machine, "/sys/devices/system/cpu/online"), "0-3\n");
    assert_eq!(
        text(&machine, "/proc/cpuinfo")
            .matches("processor\t:")
            .count(),
        4
    );
    assert_eq!(text(&machine, "/proc/self/cgroup"), "0::/\n");
    assert_eq!(text(&machine, "/sys/fs/cgroup/cpu.max"), "max 100000\n");
    assert!(text(&machine, "/proc/meminfo").starts_with("MemTotal:        8388608 kB\n"));
    let id = text(&machine, "/proc/sys/kernel/random/uuid");
    assert_eq!(id, "07070707-0707-4707-8707-070707070707\n");
}

#[test]
fn a_program_finds_itself_under_self_and_its_number_and_nobody_else() {
    let machine = booted(1);
    assert_eq!(read(&machine, "/proc/self/cmdline"), b"/usr/bin/program\0");
    assert_eq!(
        text(&machine, "/proc/7/status"),
        text(&machine, "/proc/self/status")
    );
    assert!(text(&machine, "/proc/self/status").contains("\nPid:\t7\n"));
    assert!(text(&machine, "/proc/self/stat").starts_with("7 (program) R "));
    let link = |path: &str| machine.process.readlink(None, path.as_bytes());
    assert_eq!(link("/proc/self/exe"), Ok(b"/usr/bin/program".to_vec()));
    machine.process.chdir(b"/tmp").unwrap();
    assert_eq!(link("/proc/self/cwd"), Ok(b"/tmp".to_vec()));
    assert_eq!(link("/proc/self/fd/3"), Ok(b"socket:[1]".to_vec()));
    assert_eq!(link("/proc/self/fd/4"), Err(Errno(ENOENT)));
    assert_eq!(names(&machine, "/proc/self/fd"), [".", "..", "0", "3"]);
    assert_eq!(link("/proc/8/exe"), Err(Errno(ENOENT)));
    assert_eq!(read(&machine, "/dev/stdin"), b"");
}

#[test]
fn directories_show_what_is_on_the_disk_and_what_is_not_together() {
    let machine = booted(1);
    let root = names(&machine, "/");
    for name in ["dev", "etc", "proc", "sys", "tmp", "usr"] {
        assert!(
            root.iter().any(|known| known == name),
            "{name} is not in {root:?}"
        );
    }
    machine.open("/etc/app.conf");
    let etc = names(&machine, "/etc");
    assert!(
        ["app.conf", "hosts", "localtime"]
            .iter()
            .all(|name| etc.iter().any(|n| n == name))
    );
    assert!(etc.is_sorted());
    machine.process.chdir(b"/proc/self").unwrap();
    assert_eq!(machine.process.getcwd().unwrap(), b"/proc/self");
    assert_eq!(text(&machine, "comm"), "program\n");
    assert_eq!(text(&machine, "../../etc/hostname"), "orders\n");
    assert_eq!(text(&machine, "../self/../sys/kernel/ostype"), "Linux\n");
}

#[test]
fn what_is_not_on_the_disk_cannot_be_changed_but_hidden() {
    let machine = booted(1);
    let process = &machine.process;
    let open = |path: &[u8], flags| process.open(None, path, flags, 0o644).map(drop);
    assert_eq!(open(b"/etc/hosts", O_RDWR), Err(Errno(EROFS)));
    assert_eq!(open(b"/proc/self/new", O_RDWR | O_CREAT), Err(Errno(EROFS)));
    assert_eq!(
        open(b"/etc/hosts", O_RDWR | O_CREAT | O_EXCL),
        Err(Errno(EEXIST))
    );
    assert_eq!(open(b"/proc", O_RDWR), Err(Errno(EISDIR)));
    assert_eq!(open(b"/etc/hosts/x", O_RDONLY), Err(Errno(ENOTDIR)));
    assert_eq!(process.unlink(None, b"/etc/hosts"), Err(Errno(EROFS)));
    assert_eq!(process.mkdir(None, b"/sys/x", 0o755), Err(Errno(EROFS)));
    assert_eq!(process.chmod(None, b"/etc/hosts", 0o600), Err(Errno(EROFS)));
    assert_eq!(
        process.link(None, b"/etc/hosts", false, None, b"/h"),
        Err(Errno(EXDEV))
    );
    assert_eq!(
        process.access(None, b"/etc/hosts", libc::W_OK),
        Err(Errno(EROFS))
    );
    assert_eq!(
        process.access(None, b"/etc/hosts", libc::X_OK),
        Err(Errno(EACCES))
    );
    assert_eq!(process.access(None, b"/dev/null", libc::W_OK), Ok(()));
    machine
        .fs
        .put("etc/hosts", b"10.0.0.9 elsewhere\n", 0o644)
        .unwrap();
    assert_eq!(text(&machine, "/etc/hosts"), "10.0.0.9 elsewhere\n");
    process.unlink(None, b"/etc/hosts").unwrap();
    assert!(text(&machine, "/etc/hosts").starts_with("127.0.0.1 localhost\n"));
}

#[test]
fn what_is_let_through_from_outside_is_read_and_the_rest_is_not_there() {
    let machine = booted(1);
    assert_eq!(read(&machine, "/usr/share/zoneinfo/UTC"), b"TZif");
    assert_eq!(read(&machine, "/etc/localtime"), b"TZif");
    assert_eq!(names(&machine, "/usr/share/zoneinfo"), [".", "..", "UTC"]);
    assert!(!machine.has("/usr/bin") && !machine.has("/etc/shadow") && !machine.has("/home/me"));
    machine
        .fs
        .put("usr/share/zoneinfo/Mars", b"TZif", 0o644)
        .unwrap();
    assert_eq!(
        names(&machine, "/usr/share/zoneinfo"),
        [".", "..", "Mars", "UTC"]
    );
    assert_eq!(read(&machine, "/usr/share/zoneinfo/UTC"), b"TZif");
}

#[test]
fn directory_entries_are_packed_as_the_kernel_packs_them() {
    let machine = booted(1);
    machine.process.mkdir(None, b"d", 0o755).unwrap();
    for name in ["d/a", "d/quite-a-long-name", "d/z"] {
        machine.open(name);
    }
    let dir = machine.process.open(None, b"d", O_RDONLY, 0).unwrap();
    assert_eq!(dir.getdents(&mut [0; 20]), Err(Errno(EINVAL)));
    let mut found = Vec::new();
    let mut buffer = [0; 64];
    loop {
        let n = dir.getdents(&mut buffer).unwrap();
        let mut rest = &buffer[..n];
        if n == 0 {
            break;
        }
        while !rest.is_empty() {
            let len = u16::from_ne_bytes([rest[16], rest[17]]) as usize;
            assert_eq!(len % 8, 0);
            let name = rest[19..len].split(|byte| *byte == 0).next().unwrap();
            found.push((String::from_utf8(name.to_vec()).unwrap(), rest[18]));
            rest = &rest[len..];
        }
        // What goes in the meantime does not move the rest.
        let _ = machine.process.unlink(None, b"d/a");
    }
    let expected = [
        (".", libc::DT_DIR),
        ("..", libc::DT_DIR),
        ("a", libc::DT_REG),
        ("quite-a-long-name", libc::DT_REG),
        ("z", libc::DT_REG),
    ];
    assert!(
        found
            .iter()
            .map(|(name, kind)| (name.as_str(), *kind))
            .eq(expected)
    );
    dir.lseek(0, SEEK_SET).unwrap();
    let mut left = 0;
    while dir.next_entry().unwrap().is_some() {
        left += 1;
    }
    assert_eq!(left, 4);
}

#[test]
fn an_open_file_is_opened_anew_with_an_offset_of_its_own() {
    let machine = booted(1);
    let file = machine.open("f");
    file.write(b"content").unwrap();
    machine.process.unlink(None, b"f").unwrap();
    let again = file.reopen(O_RDONLY).unwrap();
    let mut bytes = [0; 7];
    assert_eq!(again.read(&mut bytes), Ok(7));
    assert_eq!(&bytes, b"content");
    assert_eq!(again.write(b"x"), Err(Errno(libc::EBADF)));
}
