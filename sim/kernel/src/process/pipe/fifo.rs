//! Pipes with a name.

use std::collections::BTreeMap;

use super::{
    super::{Answer, Errno, Kernel, Wait},
    Pipe, PipeEnd,
};
use crate::{cpu::Tid, process::object::Kind};

/// The pipes of a machine that have a name, by inode.
#[derive(Default)]
pub(in crate::process) struct Fifos(BTreeMap<u64, Pipe>);

impl Fifos {
    /// What is written to it and not read is gone when all its ends are.
    fn get(&mut self, inode: u64) -> Pipe {
        let is_used = |pipe: &&Pipe| {
            let buffer = pipe.buffer();
            buffer.readers > 0 || buffer.writers > 0
        };
        if let Some(pipe) = self.0.get(&inode).filter(is_used) {
            return pipe.clone();
        }
        let pipe = Pipe::new(false);
        {
            let mut buffer = pipe.buffer();
            (buffer.readers, buffer.writers) = (0, 0);
            (buffer.readers_ever, buffer.writers_ever) = (0, 0);
        }
        self.0.insert(inode, pipe.clone());
        pipe
    }
}

impl PipeEnd {
    /// One more end of a pipe with a name.
    fn of_fifo(pipe: &Pipe, reads: bool, writes: bool) -> Self {
        let mut buffer = pipe.buffer();
        let met = match reads {
            true => buffer.writers_ever,
            false => buffer.readers_ever,
        };
        buffer.readers += u32::from(reads);
        buffer.writers += u32::from(writes);
        buffer.readers_ever += u64::from(reads);
        buffer.writers_ever += u64::from(writes);
        PipeEnd {
            is_socket: false,
            met,
            ..PipeEnd::new(reads.then(|| pipe.clone()), writes.then(|| pipe.clone()))
        }
    }

    /// Whether there has been somebody at the other end since this one was opened, or is.
    fn has_met(&self) -> bool {
        match (&self.reads, &self.writes) {
            (Some(pipe), None) => {
                let buffer = pipe.buffer();
                buffer.writers > 0 || buffer.writers_ever != self.met
            }
            (None, Some(pipe)) => {
                let buffer = pipe.buffer();
                buffer.readers > 0 || buffer.readers_ever != self.met
            }
            _ => true,
        }
    }
}

impl Kernel {
    /// Opens a pipe by its name, which waits for somebody at the other end unless it must not.
    pub(in crate::process) fn open_fifo(&mut self, tid: Tid, inode: u64, flags: i32) -> Answer {
        let access = flags & libc::O_ACCMODE;
        let (reads, writes) = (access != libc::O_WRONLY, access != libc::O_RDONLY);
        let is_nonblocking = flags & libc::O_NONBLOCK != 0;
        let begun = self.threads.get(&tid).and_then(|thread| thread.opening);
        let id = match begun {
            Some(id) => id,
            None => {
                let pipe = self.fifos.get(inode);
                if is_nonblocking && !reads && pipe.buffer().readers == 0 {
                    return Err(Errno(libc::ENXIO)).into();
                }
                let others = {
                    let buffer = pipe.buffer();
                    [buffer.reader.clone(), buffer.writer.clone()].concat()
                };
                let end = PipeEnd::of_fifo(&pipe, reads, writes);
                let id = self.objects.add(Kind::Pipe(end.clone()), is_nonblocking);
                end.attend(id);
                for other in others {
                    self.notify(other, 0);
                }
                id
            }
        };
        let has_met = match self.objects.get(id).map(|object| &object.kind) {
            Some(Kind::Pipe(end)) => end.has_met(),
            _ => true,
        };
        if is_nonblocking || has_met {
            // What kept it meanwhile is given up at the thread's next turn.
            return self.install(id, flags).into();
        }
        if let (None, Some(object), Some(thread)) =
            (begun, self.objects.get_mut(id), self.threads.get_mut(&tid))
        {
            object.descriptors += 1;
            thread.opening = Some(id);
        }
        Answer::Wait(Wait {
            on: vec![id],
            ..Wait::default()
        })
    }
}
