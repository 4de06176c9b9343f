//! What descriptors refer to.

use std::collections::{BTreeMap, BTreeSet};

use squall_files::OpenFile;

use super::{
    epoll::Epoll, pipe::PipeEnd, signals::Set, socket::Socket, time::Timer, udp::Udp,
    unix::UnixSocket,
};

/// An object's number; none is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectId(pub u64);

/// An open file description, as Linux calls it: shared by the descriptors that were made of it by `dup` or `fork`.
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
    /// A Unix socket, until it is connected.
    Unix(Box<UnixSocket>),
    Udp(Box<Udp>),
    File(OpenFile),
    /// `signalfd`, with the signals that it takes.
    Signals(Set),
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

/// The objects of a machine.
#[derive(Default)]
pub(crate) struct Objects {
    all: BTreeMap<ObjectId, Object>,
    /// Those that are timers.
    timers: BTreeSet<ObjectId>,
    /// Those that take signals.
    signals: BTreeSet<ObjectId>,
    next: u64,
}

impl Objects {
    /// A new object, to which nothing refers yet.
    pub fn add(&mut self, kind: Kind, nonblocking: bool) -> ObjectId {
        let id = ObjectId(self.next);
        self.next += 1;
        match kind {
            Kind::Timer(_) => self.timers.insert(id),
            Kind::Signals(_) => self.signals.insert(id),
            _ => false,
        };
        let object = Object {
            kind,
            descriptors: 0,
            nonblocking,
            watchers: Vec::new(),
        };
        self.all.insert(id, object);
        id
    }

    pub fn get(&self, id: ObjectId) -> Option<&Object> {
        self.all.get(&id)
    }

    pub fn get_mut(&mut self, id: ObjectId) -> Option<&mut Object> {
        self.all.get_mut(&id)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (ObjectId, &mut Object)> {
        self.all.iter_mut().map(|(id, object)| (*id, object))
    }

    pub fn remove(&mut self, id: ObjectId) -> Option<Object> {
        self.timers.remove(&id);
        self.signals.remove(&id);
        self.all.remove(&id)
    }

    /// Those that take some of these signals.
    pub fn signal_descriptors(&self, of: Set) -> Vec<ObjectId> {
        let takes = |id: &&ObjectId| match self.all.get(id).map(|object| &object.kind) {
            Some(Kind::Signals(set)) => set & of != 0,
            _ => false,
        };
        self.signals.iter().filter(takes).copied().collect()
    }

    /// When the next of its timers runs out.
    pub fn next_expiry(&self) -> Option<u64> {
        let timers = self.timers.iter().filter_map(|id| self.all.get(id));
        let next = timers.filter_map(|object| match &object.kind {
            Kind::Timer(timer) => timer.next(),
            _ => None,
        });
        next.min()
    }

    /// Timers that have run out by now, of which nobody has been told yet; from now on somebody has.
    pub fn ring_timers(&mut self, now: u64) -> Vec<ObjectId> {
        let mut due = Vec::new();
        for id in &self.timers {
            if let Some(Kind::Timer(timer)) = self.all.get_mut(id).map(|o| &mut o.kind)
                && timer.ring(now)
            {
                due.push(*id);
            }
        }
        due
    }
}
