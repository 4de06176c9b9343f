//! What `stat` and `statfs` tell, as plain data.

use libc::{S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG};
use squall_engine::disk::{Attributes, BLOCK, ROOT, Usage};

use crate::{machine::Seen, pseudo::Pseudo};

/// The device of the simulated disk: 8:1.
const DISK: u64 = libc::makedev(8, 1);
/// The device of what no disk holds: 0:22.
const ABOVE: u64 = libc::makedev(0, 22);
/// Pages of the disk: 64 GiB.
const PAGES: u64 = 16 << 20;
/// Inodes of the disk.
const INODES: u64 = 4 << 20;

/// What `stat` tells of a file. Times are nanoseconds since the Unix epoch, by the node's wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Type and permission bits.
    pub mode: u32,
    /// Names.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Owner's group.
    pub gid: u32,
    /// Of a device: which.
    pub rdev: u64,
    /// Bytes.
    pub size: u64,
    /// Bytes that are best read at once.
    pub blksize: u32,
    /// Space taken, in units of 512 bytes.
    pub blocks: u64,
    /// Last read.
    pub atime_ns: u64,
    /// Last change of the content.
    pub mtime_ns: u64,
    /// Last change of the inode.
    pub ctime_ns: u64,
    /// When it was made.
    pub btime_ns: u64,
}

impl Stat {
    /// The `S_IFMT` bits.
    pub fn format(&self) -> u32 {
        self.mode & S_IFMT
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.format() == S_IFDIR
    }

    pub(crate) fn of_disk(inode: u64, told: &Attributes, (uid, gid): (u32, u32)) -> Stat {
        Stat {
            dev: DISK,
            ino: shown(inode),
            mode: told.mode,
            nlink: told.links,
            uid,
            gid,
            rdev: 0,
            size: told.len,
            blksize: BLOCK as u32,
            blocks: told.pages * (BLOCK as u64 / 512),
            atime_ns: told.accessed,
            mtime_ns: told.modified,
            ctime_ns: told.changed,
            btime_ns: told.born,
        }
    }

    pub(crate) fn of_pseudo(path: &[u8], pseudo: &Pseudo) -> Stat {
        let is_kernels = path.starts_with(b"/proc") || path.starts_with(b"/sys");
        let (mode, size, rdev) = match pseudo {
            Pseudo::Directory => (S_IFDIR | 0o555, 0, 0),
            Pseudo::Device(device) => (S_IFCHR | 0o666, 0, libc::makedev(1, device.minor())),
            Pseudo::Link(target) => (S_IFLNK | 0o777, target.len() as u64, 0),
            Pseudo::Text(_) if is_kernels => (S_IFREG | 0o444, 0, 0),
            Pseudo::Text(bytes) => (S_IFREG | 0o444, bytes.len() as u64, 0),
        };
        Stat {
            rdev,
            ..Stat::above(path, mode, size)
        }
    }

    pub(crate) fn of_outside(path: &[u8], seen: &Seen) -> Stat {
        match seen {
            Seen::File { len, mode } => Stat::above(path, S_IFREG | mode, *len),
            Seen::Directory => Stat::above(path, S_IFDIR | 0o755, BLOCK as u64),
            Seen::Link(target) => Stat::above(path, S_IFLNK | 0o777, target.len() as u64),
        }
    }

    fn above(path: &[u8], mode: u32, size: u64) -> Stat {
        Stat {
            dev: ABOVE,
            ino: shown_above(path),
            mode,
            nlink: 1 + u32::from(mode & S_IFMT == S_IFDIR),
            size,
            blksize: BLOCK as u32,
            blocks: size.div_ceil(512),
            ..Stat::default()
        }
    }
}

/// Inode numbers as ext4 gives them: the root is 2, those of files begin at 12.
pub(crate) fn shown(inode: u64) -> u64 {
    if inode == ROOT { 2 } else { inode + 11 }
}

/// The inode number of what is not on the disk.
pub(crate) fn shown_above(path: &[u8]) -> u64 {
    squall_core::seed::hash(path) >> 16 | 1
}

/// What `statfs` tells of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatFs {
    /// Its kind: that of ext4.
    pub magic: i64,
    /// Bytes of a block.
    pub block_size: u64,
    /// Blocks.
    pub blocks: u64,
    /// Blocks that are free.
    pub free: u64,
    /// Inodes.
    pub inodes: u64,
    /// Inodes that are free.
    pub inodes_free: u64,
    /// Bytes of a name, at most.
    pub name_max: u64,
}

impl StatFs {
    pub(crate) fn of(usage: Usage) -> StatFs {
        StatFs {
            magic: 0xef53,
            block_size: BLOCK as u64,
            blocks: PAGES,
            free: match usage.full {
                true => 0,
                false => PAGES.saturating_sub(usage.pages),
            },
            inodes: INODES,
            inodes_free: INODES.saturating_sub(usage.inodes),
            name_max: 255,
        }
    }
}
