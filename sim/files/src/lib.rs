//! The file system of a simulated machine, for programs that know nothing of a simulation: paths, directories,
//! descriptors, locks, devices and `/proc` over [`squall_engine::disk`].
//!
//! | | |
//! |---|---|
//! | [`FileSystem`] | one of a node; it outlives the node's processes, as its disk does |
//! | [`Process`] | what a process has of it: a current directory, a umask, range locks. Calls that take a path |
//! | [`OpenFile`] | an open file description. Calls that take a descriptor |
//!
//! It does not own descriptor tables, waiting, or user memory: that is the kernel above it. A call never blocks. How long
//! a sync takes is asked beforehand ([`OpenFile::latency`]), and a lock that cannot be had is `EAGAIN` at once.
//!
//! What survives a crash and what a power loss tears is the disk's business: each page written, each name changed and
//! each sync is a site, at which a storm may end the node. What a process tries after its end fails with `EIO` and has no
//! effect.
//!
//! # What differs from Linux
//!
//! * One user, who may do everything; modes are kept and shown, and `X_OK` asks for them. Owners cannot be changed.
//! * Directories are listed in the order of names, those of ext4 in that of a hash. An open directory is listed as it was
//!   when its first entry was read.
//! * Space that `fallocate` has reserved is data to `SEEK_DATA`; past the end of a file none is reserved.
//! * `O_DIRECT` goes through the page cache and wants no alignment.
//! * `sync_file_range` promises nothing that survives a power loss; nothing is what its caller may do.
//! * Reading costs no time: everything is cached.
//! * ext4 writes out, at its close, a file that was cut to nothing when it was opened; here nothing but a sync, a rename
//!   over an older file or forty seconds do.

mod context;
mod errno;
mod file_system;
mod locks;
mod machine;
mod open_file;
mod process;
mod pseudo;
mod stat;

pub use self::{
    errno::{Errno, Result},
    file_system::FileSystem,
    machine::{Machine, Outside, Program, Seen},
    open_file::{Entry, Lock, LockKind, OpenFile, Operation},
    process::{Process, SetTime},
    stat::{Stat, StatFs},
};
