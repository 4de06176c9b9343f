//! A machine of one disk: a clock that tests set, and a death at the n-th site.

#![allow(dead_code)]

use std::sync::Arc;

use squall_core::host::Host;
use squall_engine::disk::Disk;
use squall_files::{FileSystem, Machine, OpenFile, Outside, Process, Program, Seen};
use squall_fixtures::one_disk::{self, OneDisk};

/// The wall clock at the start of time.
pub const EPOCH_NS: u64 = 1_700_000_000_000_000_000;

struct Around(Arc<OneDisk>);

impl Machine for Around {
    fn now_ns(&self) -> u64 {
        EPOCH_NS + self.0.now().0
    }

    fn random(&self, out: &mut [u8]) {
        out.fill(7);
    }

    fn hostname(&self) -> String {
        "orders".to_owned()
    }

    fn hosts(&self) -> Vec<(String, String)> {
        vec![("10.0.0.4".to_owned(), "orders".to_owned())]
    }

    fn processors(&self) -> usize {
        4
    }

    fn outside(&self) -> Option<&dyn Outside> {
        Some(&Zones)
    }
}

/// One time zone.
struct Zones;

impl Outside for Zones {
    fn look(&self, path: &[u8]) -> Option<Seen> {
        match path {
            b"/usr" | b"/usr/share" | b"/usr/share/zoneinfo" => Some(Seen::Directory),
            b"/usr/share/zoneinfo/UTC" => Some(Seen::File {
                len: 4,
                mode: 0o644,
            }),
            b"/etc/localtime" => Some(Seen::Link(b"/usr/share/zoneinfo/UTC".to_vec())),
            _ => None,
        }
    }

    fn list(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let name: &[u8] = match path {
            b"/" => b"usr",
            b"/usr" => b"share",
            b"/usr/share" => b"zoneinfo",
            b"/usr/share/zoneinfo" => b"UTC",
            b"/etc" => b"localtime",
            _ => return Vec::new(),
        };
        vec![name.to_vec()]
    }

    fn read(&self, path: &[u8], offset: u64, out: &mut [u8]) -> Option<usize> {
        let bytes: &[u8] = match path {
            b"/usr/share/zoneinfo/UTC" => b"TZif",
            _ => return None,
        };
        let rest = &bytes[bytes.len().min(offset as usize)..];
        let len = rest.len().min(out.len());
        out[..len].copy_from_slice(&rest[..len]);
        Some(len)
    }
}

/// A program of which nothing but its number is known.
pub struct Numbered(pub i32);

impl Program for Numbered {
    fn pid(&self) -> i32 {
        self.0
    }

    fn descriptors(&self) -> Vec<(i32, Vec<u8>)> {
        vec![(0, b"/dev/null".to_vec()), (3, b"socket:[1]".to_vec())]
    }
}

/// A machine that is up, with one process (number 7) on it.
pub struct Booted {
    pub world: Arc<OneDisk>,
    pub disk: Arc<Disk>,
    pub fs: Arc<FileSystem>,
    pub process: Process,
}

pub fn booted(seed: u64) -> Booted {
    let (world, disk) = one_disk::booted(seed);
    let fs = FileSystem::new(disk.clone(), Arc::new(Around(world.clone())));
    let process = Process::new(&fs, Arc::new(Numbered(7)));
    Booted {
        world,
        disk,
        fs,
        process,
    }
}

impl Booted {
    /// The process ends as this has it, and the next one starts.
    pub fn end(&mut self, how: fn(&Disk)) {
        how(&self.disk);
        self.disk.boot();
        self.process = Process::new(&self.fs, Arc::new(Numbered(7)));
    }

    /// Opens a file, which is made if there is none.
    pub fn open(&self, path: &str) -> OpenFile {
        let flags = libc::O_RDWR | libc::O_CREAT;
        self.process
            .open(None, path.as_bytes(), flags, 0o644)
            .unwrap()
    }

    /// What is in a file.
    pub fn content(&self, path: &str) -> Vec<u8> {
        let file = self
            .process
            .open(None, path.as_bytes(), libc::O_RDONLY, 0)
            .unwrap();
        let mut bytes = vec![0; file.stat().unwrap().size as usize];
        assert_eq!(file.pread(&mut bytes, 0).unwrap(), bytes.len());
        bytes
    }

    /// Whether there is something of this name.
    pub fn has(&self, path: &str) -> bool {
        self.process.stat(None, path.as_bytes(), false).is_ok()
    }
}
