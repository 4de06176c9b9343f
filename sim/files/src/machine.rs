//! What the file system asks of the machine around it and of the programs that use it.

/// The machine that a file system belongs to.
pub trait Machine: Send + Sync {
    /// The node's wall clock, in nanoseconds since the Unix epoch.
    fn now_ns(&self) -> u64;

    /// Fills `out` with the node's random bytes, for `/dev/urandom` and its like.
    fn random(&self, out: &mut [u8]);

    /// The node's name.
    fn hostname(&self) -> String;

    /// Addresses and names, for `/etc/hosts`; its own is among them.
    fn hosts(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// How many processors programs see.
    fn processors(&self) -> usize {
        1
    }

    /// Bytes of memory that programs see.
    fn memory(&self) -> u64 {
        8 << 30
    }

    /// The user and group that files belong to.
    fn owner(&self) -> (u32, u32) {
        (0, 0)
    }

    /// The paths of the real file system that programs may read.
    fn outside(&self) -> Option<&dyn Outside> {
        None
    }
}

/// What of the real file system can be seen, read-only: certificates, time zones, shared libraries. A path of the
/// simulated disk hides one of these.
pub trait Outside: Send + Sync {
    /// What is at this absolute path, links not followed. Directories on the way to what can be seen are seen too.
    fn look(&self, path: &[u8]) -> Option<Seen>;

    /// The names in a directory that can be seen.
    fn list(&self, path: &[u8]) -> Vec<Vec<u8>>;

    /// Reads of a file that can be seen, from this offset on: how many bytes.
    fn read(&self, path: &[u8], offset: u64, out: &mut [u8]) -> Option<usize>;
}

/// Something of the real file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A regular file.
    File {
        /// Its length in bytes.
        len: u64,
        /// Its permission bits.
        mode: u32,
    },
    /// A directory.
    Directory,
    /// A symbolic link and what it points to.
    Link(Vec<u8>),
}

/// A program that runs on the machine: what `/proc/self` tells of it.
pub trait Program: Send + Sync {
    /// Its process number.
    fn pid(&self) -> i32;

    /// The path of its executable.
    fn exe(&self) -> Vec<u8> {
        b"/usr/bin/program".to_vec()
    }

    /// Its arguments, the first its own name.
    fn args(&self) -> Vec<Vec<u8>> {
        vec![self.exe()]
    }

    /// Its environment: `NAME=value`.
    fn environment(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// How many threads it has.
    fn threads(&self) -> usize {
        1
    }

    /// Its open descriptors and what each is: a path, or such as `socket:[7]`.
    fn descriptors(&self) -> Vec<(i32, Vec<u8>)> {
        Vec::new()
    }

    /// The text of `/proc/self/maps`.
    fn maps(&self) -> Vec<u8> {
        Vec::new()
    }
}
