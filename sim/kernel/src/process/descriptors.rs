//! A process's descriptors.

use std::{
    cell::Cell,
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use super::{
    Errno, Kernel, Process,
    object::{Kind, Object, ObjectId, Objects, events},
};

/// How long it takes to be refused a descriptor.
const REFUSED_NS: u64 = 1_000_000;

/// Descriptors that a process may have (`RLIMIT_NOFILE`).
pub(super) const DESCRIPTORS_MAX: usize = 65_536;

#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor {
    pub object: ObjectId,
    pub close_on_exec: bool,
}

thread_local! {
    /// The next descriptor of this thread's run. Processes of one address space share static variables: a descriptor of
    /// another one that turns up in a process must not be taken for one of its own, so no two have the same, even of
    /// different runs.
    static NEXT_FD: Cell<i32> = Cell::new(first_fd());
}

fn first_fd() -> i32 {
    const PER_RUN: u32 = 1 << 20;
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = RUNS.fetch_add(1, Relaxed) % 1_000;
    3 + (run * PER_RUN) as i32
}

/// The descriptors of a process.
#[derive(Clone)]
pub(crate) struct Descriptors {
    table: BTreeMap<i32, Descriptor>,
    /// All descriptors that the process was ever given, in order.
    given: Vec<i32>,
    /// Its static variables are its own: descriptors are numbered as on Linux.
    is_apart: bool,
}

impl Descriptors {
    /// Standard input, output and error.
    pub fn new(objects: &mut Objects, is_apart: bool) -> Self {
        let mut all = Descriptors {
            table: BTreeMap::new(),
            given: Vec::new(),
            is_apart,
        };
        let kinds = [
            Kind::Input,
            Kind::Output { is_error: false },
            Kind::Output { is_error: true },
        ];
        for (fd, kind) in (0..).zip(kinds) {
            let object = objects.add(kind, false);
            all.refer(objects, fd, object, false);
        }
        all
    }

    pub fn refer(&mut self, objects: &mut Objects, fd: i32, object: ObjectId, close_on_exec: bool) {
        if let Some(object) = objects.get_mut(object) {
            object.descriptors += 1;
        }
        let descriptor = Descriptor {
            object,
            close_on_exec,
        };
        self.table.insert(fd, descriptor);
    }

    /// The lowest number that is free, from `least` on.
    fn lowest(&self, least: i32) -> i32 {
        let mut fd = least;
        for used in self.table.range(least..).map(|(used, _)| *used) {
            if used > fd {
                break;
            }
            fd = used + 1;
        }
        fd
    }

    /// Those of a child.
    pub fn fork(&self, objects: &mut Objects) -> Self {
        for descriptor in self.table.values() {
            if let Some(object) = objects.get_mut(descriptor.object) {
                object.descriptors += 1;
            }
        }
        self.clone()
    }

    /// Those that end where the process begins to run another program.
    pub fn closed_on_exec(&self) -> Vec<i32> {
        let all = self.table.iter().filter(|(_, one)| one.close_on_exec);
        all.map(|(fd, _)| *fd).collect()
    }

    /// All from one number to another.
    fn range(&self, numbers: RangeInclusive<i32>) -> Vec<i32> {
        self.table.range(numbers).map(|(fd, _)| *fd).collect()
    }

    pub fn get(&self, fd: i32) -> Option<ObjectId> {
        self.table.get(&fd).map(|descriptor| descriptor.object)
    }

    pub fn descriptor_mut(&mut self, fd: i32) -> Result<&mut Descriptor, Errno> {
        self.table.get_mut(&fd).ok_or(Errno(libc::EBADF))
    }
}

impl Kernel {
    /// What a descriptor of the process refers to.
    pub(super) fn object(&self, fd: i32) -> Result<ObjectId, Errno> {
        self.process.descriptors.get(fd).ok_or(Errno(libc::EBADF))
    }

    pub(super) fn by_fd(&mut self, fd: i32) -> Result<(ObjectId, &mut Object), Errno> {
        let id = self.object(fd)?;
        let object = self.objects.get_mut(id).ok_or(Errno(libc::EBADF))?;
        Ok((id, object))
    }

    /// A new descriptor for an object.
    pub(super) fn install(&mut self, object: ObjectId, flags: i32) -> Result<isize, Errno> {
        self.install_from(0, object, flags)
    }

    fn install_from(&mut self, least: i32, object: ObjectId, flags: i32) -> Result<isize, Errno> {
        if self.process.descriptors.table.len() >= DESCRIPTORS_MAX {
            self.drop_unreferred(object);
            return Err(Errno(libc::EMFILE));
        }
        let fd = match self.process.descriptors.is_apart {
            true => self.process.descriptors.lowest(least),
            false => NEXT_FD.replace(NEXT_FD.get() + 1),
        };
        let close_on_exec = flags & libc::O_CLOEXEC != 0;
        let descriptors = &mut self.process.descriptors;
        descriptors.given.push(fd);
        descriptors.refer(&mut self.objects, fd, object, close_on_exec);
        Ok(fd as isize)
    }

    /// Whether the process may open another file or connection. What its runtime is made of it has.
    pub(super) fn may_open(&mut self) -> Result<(), Errno> {
        if self.node.has_descriptors() {
            return Ok(());
        }
        // Servers try again at once for as long as somebody wants to connect: time has to pass meanwhile.
        self.answered_late = Some(REFUSED_NS);
        Err(Errno(libc::EMFILE))
    }

    /// A new object with a descriptor. The flags are `O_NONBLOCK` and `O_CLOEXEC`, which those of sockets, events and epolls
    /// are the same as.
    pub(super) fn open_object(&mut self, kind: Kind, flags: i32) -> Result<isize, Errno> {
        let object = self.objects.add(kind, flags & libc::O_NONBLOCK != 0);
        self.install(object, flags)
    }

    pub(super) fn dup(&mut self, fd: i32, least: i32, flags: i32) -> Result<isize, Errno> {
        let object = match self.object(fd) {
            Ok(object) => object,
            Err(_) if self.is_foreign(fd) => self.adopt()?,
            Err(error) => return Err(error),
        };
        self.install_from(least, object, flags)
    }

    /// `dup2` and `dup3`.
    pub(super) fn dup_to(&mut self, fd: i32, to: i32, flags: i32) -> Result<isize, Errno> {
        let object = self.object(fd)?;
        if !(0..DESCRIPTORS_MAX as i32).contains(&to) && self.object(to).is_err() {
            return Err(Errno(libc::EBADF));
        }
        if fd == to {
            return Ok(to as isize);
        }
        if self.process.descriptors.table.contains_key(&to) {
            self.close(to)?;
        }
        let close_on_exec = flags & libc::O_CLOEXEC != 0;
        let descriptors = &mut self.process.descriptors;
        descriptors.refer(&mut self.objects, to, object, close_on_exec);
        Ok(to as isize)
    }

    pub(super) fn close(&mut self, fd: i32) -> Result<isize, Errno> {
        let Some(descriptor) = self.process.descriptors.table.remove(&fd) else {
            return Err(Errno(libc::EBADF));
        };
        if let Some(object) = self.objects.get_mut(descriptor.object) {
            object.descriptors -= 1;
            if let Kind::File(file) = &object.kind {
                // Whatever ranges of it the process has locked.
                self.process.files.close(file.clone());
            }
        }
        self.drop_unreferred(descriptor.object);
        Ok(0)
    }

    pub(super) fn close_range(
        &mut self,
        first: usize,
        last: usize,
        flags: u32,
    ) -> Result<isize, Errno> {
        let known = libc::CLOSE_RANGE_UNSHARE | libc::CLOSE_RANGE_CLOEXEC;
        let (first, last) = (first as u32, last as u32);
        if flags & !known != 0 || first > last {
            return Err(Errno(libc::EINVAL));
        }
        let most = i32::MAX as u32;
        let numbers = first.min(most) as i32..=last.min(most) as i32;
        for fd in self.process.descriptors.range(numbers) {
            match flags & libc::CLOSE_RANGE_CLOEXEC {
                0 => self.close(fd)?,
                _ => {
                    self.process.descriptors.descriptor_mut(fd)?.close_on_exec = true;
                    0
                }
            };
        }
        Ok(0)
    }

    /// A process that is no more has no descriptors.
    pub(super) fn close_all(&mut self, process: &Process) {
        for descriptor in process.descriptors.table.values() {
            self.give_up(descriptor.object);
        }
    }

    /// There is one less that refers to an object.
    pub(super) fn give_up(&mut self, id: ObjectId) {
        if let Some(object) = self.objects.get_mut(id) {
            object.descriptors -= 1;
        }
        self.drop_unreferred(id);
    }

    fn drop_unreferred(&mut self, id: ObjectId) {
        if self
            .objects
            .get(id)
            .is_none_or(|object| object.descriptors > 0)
        {
            return;
        }
        let Some(object) = self.objects.remove(id) else {
            return;
        };
        for epoll in &object.watchers {
            if let Some(Kind::Epoll(epoll)) = self.objects.get_mut(*epoll).map(|o| &mut o.kind) {
                epoll.forget(id);
            }
        }
        match object.kind {
            Kind::Epoll(_) => {
                for (_, other) in self.objects.iter_mut() {
                    other.watchers.retain(|watcher| *watcher != id);
                }
            }
            Kind::Pipe(end) => self.pipe_closes(&end),
            Kind::Socket(socket) => socket.close(),
            Kind::Unix(socket) => self.unix_closes(*socket),
            Kind::File(_)
            | Kind::Udp(_)
            | Kind::Input
            | Kind::Output { .. }
            | Kind::Event { .. }
            | Kind::Signals(_)
            | Kind::Timer(_) => {}
        }
    }

    /// Whether another process of the address space was given this descriptor, be it in another run.
    fn is_foreign(&self, fd: i32) -> bool {
        !self.process.descriptors.is_apart
            && fd >= 3
            && self.process.descriptors.given.binary_search(&fd).is_err()
    }

    /// What a static variable of the address space refers to was made by a process that is another one, or is gone: this
    /// one gets an idle pipe of its own. tokio's signal handling is the case in point, which keeps a pair of sockets for
    /// the life of a program.
    fn adopt(&mut self) -> Result<ObjectId, Errno> {
        let end = self.idle_pipe();
        let object = self.objects.add(Kind::Pipe(end), true);
        Ok(object)
    }

    /// What an object is ready for.
    pub(super) fn mask(&mut self, id: ObjectId) -> u32 {
        let Some(object) = self.objects.get_mut(id) else {
            return 0;
        };
        match &mut object.kind {
            Kind::Input => events::IN,
            Kind::Output { .. } => events::OUT,
            Kind::Event { count, .. } => {
                let room = if *count < u64::MAX - 1 {
                    events::OUT
                } else {
                    0
                };
                room | if *count > 0 { events::IN } else { 0 }
            }
            Kind::Timer(timer) => timer.mask(self.now),
            Kind::Epoll(epoll) => {
                let mut candidates = epoll.candidates().into_iter();
                match candidates.any(|(id, wanted)| self.mask(id) & wanted != 0) {
                    true => events::IN,
                    false => 0,
                }
            }
            Kind::Pipe(end) => end.mask(),
            Kind::Socket(socket) => socket.mask(),
            Kind::Unix(socket) => socket.mask(),
            Kind::Udp(udp) => udp.mask(),
            Kind::File(_) => events::IN | events::OUT,
            Kind::Signals(set) => {
                let set = *set;
                match self.pending(set) {
                    0 => 0,
                    _ => events::IN,
                }
            }
        }
    }

    /// Tells everybody who waits for it that an object has these news.
    pub(super) fn notify(&mut self, id: ObjectId, news: u32) {
        self.retry_waiters(id);
        let Some(object) = self.objects.get(id) else {
            return;
        };
        for epoll in object.watchers.clone() {
            let Some(watcher) = self.objects.get_mut(epoll) else {
                continue;
            };
            if let Kind::Epoll(watcher) = &mut watcher.kind
                && watcher.news(id, news)
            {
                self.notify(epoll, events::IN);
            }
        }
    }

    /// The network has woken an object.
    pub(super) fn on_wake(&mut self, id: ObjectId, news: u32) {
        let Some(object) = self.objects.get_mut(id) else {
            return;
        };
        match &mut object.kind {
            Kind::Socket(socket) => socket.progress(),
            Kind::Udp(_) => {}
            _ => return,
        }
        let mask = self.mask(id);
        let over = mask & (events::ERR | events::HUP | events::RDHUP);
        let key = match news {
            events::IN => mask & events::IN | over,
            _ => mask & events::OUT | over,
        };
        if key != 0 {
            self.notify(id, key);
        }
    }
}
