//! What descriptors refer to.

use squall_files::OpenFile;

use super::{epoll::Epoll, pipe::PipeEnd, socket::Socket, time::Timer};

/// An object's number; none is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectId(pub u64);

/// An open file description, as Linux calls it: shared by the descriptors that were made of it by `dup`.
pub(crate) struct Object {
    pub kind: Kind,
    /// How many descriptors refer to it.
    pub descriptors: usize,
    pub nonblocking: bool,
    /// Epolls that watch it.
    pub watchers: Vec<ObjectId>,
}

pub(crate) enum Kind {
    /// Standard input: always at its end.
    Input,
    /// Standard output, or error.
    Output {
        is_error: bool,
    },
    /// `eventfd`.
    Event {
        count: u64,
        semaphore: bool,
    },
    Timer(Timer),
    Epoll(Epoll),
    Pipe(PipeEnd),
    Socket(Box<Socket>),
    File(OpenFile),
}

/// Events of `epoll` and `poll`.
pub(crate) mod events {
    pub const IN: u32 = 1;
    pub const PRI: u32 = 2;
    pub const OUT: u32 = 4;
    pub const ERR: u32 = 8;
    pub const HUP: u32 = 16;
    pub const RDHUP: u32 = 0x2000;
    pub const ONESHOT: u32 = 1 << 30;
    pub const EDGE: u32 = 1 << 31;
}
