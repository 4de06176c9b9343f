//! The files that no disk holds: devices, and what the machine tells of itself.
//!
//! A text is made when it is opened. Writing to one is refused: a program that wants to change the machine is told so.

use std::{collections::BTreeSet, sync::Arc};

use crate::machine::{Machine, Program};

/// A character device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    Null,
    Zero,
    Full,
    Random,
    Urandom,
}

impl Device {
    /// Its minor number; the major is 1.
    pub fn minor(self) -> u32 {
        match self {
            Device::Null => 3,
            Device::Zero => 5,
            Device::Full => 7,
            Device::Random => 8,
            Device::Urandom => 9,
        }
    }
}

/// What there is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pseudo {
    Directory,
    Device(Device),
    Link(Vec<u8>),
    Text(Arc<[u8]>),
}

#[derive(Clone, Copy)]
enum Entry {
    Device(Device),
    Link(fn(&About<'_>) -> Vec<u8>),
    Text(fn(&About<'_>) -> String),
    Bytes(fn(&About<'_>) -> Vec<u8>),
}

use Entry::{Bytes, Link, Text};

/// Who asks, and where.
pub(crate) struct About<'a> {
    pub machine: &'a dyn Machine,
    pub program: &'a dyn Program,
    /// The program's current directory.
    pub directory: Vec<u8>,
}

/// All of them, in order of their paths.
const ENTRIES: &[(&str, Entry)] = &[
    ("/dev/fd", Link(|_| b"/proc/self/fd".to_vec())),
    ("/dev/full", Entry::Device(Device::Full)),
    ("/dev/null", Entry::Device(Device::Null)),
    ("/dev/random", Entry::Device(Device::Random)),
    ("/dev/stderr", Link(|_| b"/proc/self/fd/2".to_vec())),
    ("/dev/stdin", Link(|_| b"/proc/self/fd/0".to_vec())),
    ("/dev/stdout", Link(|_| b"/proc/self/fd/1".to_vec())),
    ("/dev/urandom", Entry::Device(Device::Urandom)),
    ("/dev/zero", Entry::Device(Device::Zero)),
    (
        "/etc/group",
        Text(|about| format!("root:x:0:\n{}", group(about))),
    ),
    ("/etc/host.conf", Text(|_| "multi on\n".to_owned())),
    (
        "/etc/hostname",
        Text(|about| about.machine.hostname() + "\n"),
    ),
    ("/etc/hosts", Text(hosts)),
    (
        "/etc/machine-id",
        Text(|about| format!("{:016x}{:016x}\n", name_hash(about), 0)),
    ),
    (
        "/etc/nsswitch.conf",
        Text(|_| "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n".to_owned()),
    ),
    (
        "/etc/os-release",
        Text(|_| "ID=linux\nNAME=Linux\nPRETTY_NAME=\"Linux\"\n".to_owned()),
    ),
    (
        "/etc/passwd",
        Text(|about| format!("root:x:0:0:root:/root:/bin/sh\n{}", user(about))),
    ),
    (
        "/etc/protocols",
        Text(|_| "ip 0 IP\nicmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\n".to_owned()),
    ),
    (
        "/etc/resolv.conf",
        Text(|_| "nameserver 127.0.0.53\n".to_owned()),
    ),
    (
        "/etc/services",
        Text(|_| "domain 53/tcp\ndomain 53/udp\nhttp 80/tcp\nhttps 443/tcp\n".to_owned()),
    ),
    ("/proc/cpuinfo", Text(cpuinfo)),
    (
        "/proc/filesystems",
        Text(|_| "nodev\tproc\nnodev\ttmpfs\n\text4\n".to_owned()),
    ),
    (
        "/proc/loadavg",
        Text(|_| "0.00 0.00 0.00 1/1 1\n".to_owned()),
    ),
    ("/proc/meminfo", Text(meminfo)),
    ("/proc/mounts", Text(|_| MOUNTS.to_owned())),
    ("/proc/self/cgroup", Text(|_| "0::/\n".to_owned())),
    (
        "/proc/self/cmdline",
        Bytes(|about| zero_ended(about.program.args())),
    ),
    ("/proc/self/comm", Text(|about| comm(about) + "\n")),
    ("/proc/self/cwd", Link(|about| about.directory.clone())),
    (
        "/proc/self/environ",
        Bytes(|about| zero_ended(about.program.environment())),
    ),
    ("/proc/self/exe", Link(|about| about.program.exe())),
    ("/proc/self/limits", Text(|_| LIMITS.to_owned())),
    ("/proc/self/maps", Bytes(|about| about.program.maps())),
    (
        "/proc/self/mountinfo",
        Text(|_| {
            "1 0 8:1 / / rw,relatime - ext4 /dev/root rw\n2 1 0:2 / /proc rw - proc proc rw\n3 1 0:3 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n".to_owned()
        }),
    ),
    ("/proc/self/mounts", Text(|_| MOUNTS.to_owned())),
    ("/proc/self/oom_score_adj", Text(|_| "0\n".to_owned())),
    ("/proc/self/root", Link(|_| b"/".to_vec())),
    ("/proc/self/stat", Text(stat)),
    (
        "/proc/self/statm",
        Text(|_| "2000 1000 500 100 0 500 0\n".to_owned()),
    ),
    ("/proc/self/status", Text(status)),
    (
        "/proc/stat",
        Text(|_| "cpu  0 0 0 0 0 0 0 0 0 0\nctxt 0\nbtime 0\nprocesses 1\n".to_owned()),
    ),
    (
        "/proc/sys/fs/file-max",
        Text(|_| "9223372036854775807\n".to_owned()),
    ),
    ("/proc/sys/fs/nr_open", Text(|_| "1048576\n".to_owned())),
    (
        "/proc/sys/kernel/hostname",
        Text(|about| about.machine.hostname() + "\n"),
    ),
    (
        "/proc/sys/kernel/osrelease",
        Text(|_| "6.18.0\n".to_owned()),
    ),
    ("/proc/sys/kernel/ostype", Text(|_| "Linux\n".to_owned())),
    ("/proc/sys/kernel/pid_max", Text(|_| "4194304\n".to_owned())),
    ("/proc/sys/kernel/random/boot_id", Text(uuid)),
    (
        "/proc/sys/kernel/random/entropy_avail",
        Text(|_| "256\n".to_owned()),
    ),
    ("/proc/sys/kernel/random/uuid", Text(uuid)),
    (
        "/proc/sys/net/core/somaxconn",
        Text(|_| "4096\n".to_owned()),
    ),
    ("/proc/sys/vm/max_map_count", Text(|_| "65530\n".to_owned())),
    ("/proc/sys/vm/overcommit_memory", Text(|_| "1\n".to_owned())),
    ("/proc/uptime", Text(|_| "1000.00 1000.00\n".to_owned())),
    (
        "/proc/version",
        Text(|_| "Linux version 6.18.0 (root@localhost) #1 SMP\n".to_owned()),
    ),
    ("/sys/devices/system/cpu/online", Text(processors)),
    ("/sys/devices/system/cpu/possible", Text(processors)),
    ("/sys/devices/system/cpu/present", Text(processors)),
    (
        "/sys/fs/cgroup/cgroup.controllers",
        Text(|_| "cpu memory\n".to_owned()),
    ),
    (
        "/sys/fs/cgroup/cpu.max",
        Text(|_| "max 100000\n".to_owned()),
    ),
    ("/sys/fs/cgroup/memory.max", Text(|_| "max\n".to_owned())),
    (
        "/sys/kernel/mm/transparent_hugepage/enabled",
        Text(|_| "always madvise [never]\n".to_owned()),
    ),
];

const MOUNTS: &str = "/dev/root / ext4 rw,relatime 0 0\nproc /proc proc rw 0 0\n\
                      cgroup /sys/fs/cgroup cgroup2 rw 0 0\n";

const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1048576              1048576              files     \n";

/// Where the descriptors of a program are listed.
const FD: &str = "/proc/self/fd";

/// What is at this absolute path.
pub(crate) fn look(path: &[u8], about: &About<'_>) -> Option<Pseudo> {
    let path = own(path, about)?;
    if path == "/" || path == FD || is_folder(&path) {
        return Some(Pseudo::Directory);
    }
    if let Some(number) = path
        .strip_prefix(FD)
        .and_then(|rest| rest.strip_prefix('/'))
    {
        let open = about.program.descriptors().into_iter();
        let mut this = open.filter(|(fd, _)| fd.to_string() == number);
        return this.next().map(|(_, target)| Pseudo::Link(target));
    }
    let found = ENTRIES.binary_search_by(|(known, _)| (*known).cmp(&path));
    Some(match ENTRIES[found.ok()?].1 {
        Entry::Device(device) => Pseudo::Device(device),
        Link(target) => Pseudo::Link(target(about)),
        Text(text) => Pseudo::Text(text(about).into_bytes().into()),
        Bytes(bytes) => Pseudo::Text(bytes(about).into()),
    })
}

/// The names in a directory of this absolute path.
pub(crate) fn list(path: &[u8], about: &About<'_>) -> BTreeSet<Vec<u8>> {
    let Some(path) = own(path, about) else {
        return BTreeSet::new();
    };
    if path == FD {
        let open = about.program.descriptors().into_iter();
        return open.map(|(fd, _)| fd.to_string().into_bytes()).collect();
    }
    let folder = format!("{}/", path.trim_end_matches('/'));
    let mut names: BTreeSet<Vec<u8>> = ENTRIES
        .iter()
        .filter_map(|(known, _)| known.strip_prefix(&folder)?.split('/').next())
        .map(|name| name.as_bytes().to_vec())
        .collect();
    if path == "/proc/self" {
        names.insert(b"fd".to_vec());
    }
    names
}

fn is_folder(path: &str) -> bool {
    let inside = |known: &str| {
        known
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    ENTRIES.iter().any(|(known, _)| inside(known))
}

/// The path with `self` where the program's own number is.
fn own(path: &[u8], about: &About<'_>) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    let Some(process) = path.strip_prefix("/proc/") else {
        return Some(path.to_owned());
    };
    let (name, rest) = process.split_at(process.find('/').unwrap_or(process.len()));
    let is_own = name == "thread-self" || name == about.program.pid().to_string();
    Some(if is_own {
        format!("/proc/self{rest}")
    } else {
        path.to_owned()
    })
}

fn hosts(about: &About<'_>) -> String {
    let mut text = "127.0.0.1 localhost\n::1 localhost\n".to_owned();
    for (address, name) in about.machine.hosts() {
        text += &format!("{address} {name}\n");
    }
    text
}

/// The owner of the files, where that is not root.
fn user(about: &About<'_>) -> String {
    match about.machine.owner() {
        (0, _) => String::new(),
        (user, group) => format!("service:x:{user}:{group}::/home/service:/bin/sh\n"),
    }
}

fn group(about: &About<'_>) -> String {
    match about.machine.owner() {
        (_, 0) => String::new(),
        (_, group) => format!("service:x:{group}:\n"),
    }
}

fn name_hash(about: &About<'_>) -> u64 {
    squall_core::seed::hash(about.machine.hostname().as_bytes())
}

fn cpuinfo(about: &About<'_>) -> String {
    (0..about.machine.processors())
        .map(|n| {
            format!(
                "processor\t: {n}\nmodel name\t: simulated\ncpu MHz\t\t: 1000.000\ncore id\t\t: {n}\n\n"
            )
        })
        .collect()
}

fn meminfo(about: &About<'_>) -> String {
    let total = about.machine.memory() / 1024;
    let line = |name: &str, value: u64| format!("{:<16}{value:>8} kB\n", format!("{name}:"));
    [
        line("MemTotal", total),
        line("MemFree", total / 2),
        line("MemAvailable", total / 2),
        line("Buffers", 0),
        line("Cached", 0),
        line("SwapTotal", 0),
        line("SwapFree", 0),
    ]
    .concat()
}

fn processors(about: &About<'_>) -> String {
    match about.machine.processors() {
        0 | 1 => "0\n".to_owned(),
        n => format!("0-{}\n", n - 1),
    }
}

/// The first 15 bytes of the executable's name.
fn comm(about: &About<'_>) -> String {
    let exe = about.program.exe();
    let name = exe.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    String::from_utf8_lossy(&name[..name.len().min(15)]).into_owned()
}

fn stat(about: &About<'_>) -> String {
    let (pid, threads) = (about.program.pid(), about.program.threads());
    let rest = " 0".repeat(32);
    format!(
        "{pid} ({}) R 1 {pid} {pid} 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads}{rest}\n",
        comm(about)
    )
}

fn status(about: &About<'_>) -> String {
    let (user, group) = about.machine.owner();
    format!(
        "Name:\t{}\nUmask:\t0022\nState:\tR (running)\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t1\nTracerPid:\t0\n\
         Uid:\t{user}\t{user}\t{user}\t{user}\nGid:\t{group}\t{group}\t{group}\t{group}\nFDSize:\t64\n\
         VmPeak:\t    8000 kB\nVmSize:\t    8000 kB\nVmHWM:\t    4000 kB\nVmRSS:\t    4000 kB\n\
         Threads:\t{}\nCpus_allowed_list:\t{}",
        comm(about),
        about.program.threads(),
        processors(about),
        pid = about.program.pid(),
    )
}

/// A random (version 4) UUID.
fn uuid(about: &About<'_>) -> String {
    let mut bytes = [0; 16];
    about.machine.random(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{}-{}-{}-{}-{}\n",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

fn zero_ended(parts: Vec<Vec<u8>>) -> Vec<u8> {
    parts
        .into_iter()
        .flat_map(|mut part| {
            part.push(0);
            part
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::ENTRIES;

    #[test]
    fn the_entries_are_in_order_so_that_each_is_found() {
        assert!(ENTRIES.is_sorted_by_key(|(path, _)| *path));
    }
}
