//! Programs and executables in processes of their own: what is static in one, and whatever it does to its process, is its
//! own. The world's side: see `zygote` for how such a process comes to be, and `exec` for one that runs an executable.

use std::{cell::RefCell, fmt, io, sync::atomic::Ordering::SeqCst};

use squall_engine::world::Panicked;

use crate::fork;

use super::{
    Call, Clock, Clone, Executable, Handler, Local, Mapping, Tid,
    context::real,
    heap,
    mailbox::{CARRIED, Command, Mailbox, PROGRAM, Runs, WORLD, hand_over, mailbox, wait_for},
    own, zygote,
};

/// How a program starts: a function that runs another one, `main`.
#[derive(Clone, Copy)]
pub struct Image {
    /// Runs what it is given.
    pub launch: fn(usize),
    /// The address of `main`.
    pub main: usize,
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image").finish_non_exhaustive()
    }
}

/// A child, as the world sees it.
#[derive(Debug)]
pub struct Remote {
    mailbox: *mut Mailbox,
    slot: usize,
    clock: Clock,
}

thread_local! {
    /// Slots that have been used, and whether by a child that may live: of programs, of executables.
    static USED: [RefCell<Vec<bool>>; 2] = const { [const { RefCell::new(Vec::new()) }; 2] };
}

pub(super) fn checked(answer: isize) -> io::Result<usize> {
    match answer {
        -4095..0 => Err(io::Error::from_raw_os_error(-answer as i32)),
        answer => Ok(answer as usize),
    }
}

/// # Safety
/// The mailbox says what the world wants; addresses in it are the program's own.
pub(super) unsafe fn carry_out(program: &mut Local, mailbox: &mut Mailbox) {
    let [first, second, ..] = mailbox.numbers;
    match mailbox.command {
        Command::Resume => {
            let clock = program.clock();
            clock.monotonic.set(mailbox.monotonic);
            clock.wall_offset.set(mailbox.wall_offset);
            mailbox.call = program.resume(mailbox.tid, first as isize);
            mailbox.monotonic = program.clock().monotonic.get();
            mailbox.wall_reads = program.clock().wall_reads.take();
            if mailbox.call.number == own::ENDED {
                let panic = program.take_panic();
                mailbox.panicked = panic.is_some();
                if let Some(Panicked { message, place }) = panic {
                    let text = format!("{}\0{message}", place.unwrap_or_default());
                    let len = text.len().min(CARRIED);
                    mailbox.carried[..len].copy_from_slice(&text.as_bytes()[..len]);
                    mailbox.numbers[0] = len as u64;
                }
            }
        }
        Command::Clone => {
            let ask = Clone {
                flags: mailbox.numbers[1],
                stack: mailbox.numbers[2] as usize,
                thread_pointer: mailbox.numbers[3] as usize,
                parent_tid: mailbox.numbers[4] as usize,
                child_tid: mailbox.numbers[5] as usize,
            };
            mailbox.succeeded = program.clone_thread(mailbox.tid, first as Tid, &ask);
        }
        Command::Signal => program.signal(mailbox.tid, first as usize, second as i32),
        Command::Forget => program.forget(mailbox.tid),
        Command::Fork | Command::EnterHandler | Command::LeaveHandler | Command::Map => {
            mailbox.succeeded = false;
        }
    }
}

impl Remote {
    /// Starts a program.
    ///
    /// # Errors
    /// There are too many, or the machine refuses.
    pub fn start(image: Image, tid: Tid, environment: &[(String, String)]) -> io::Result<Self> {
        let mut variables = Vec::new();
        for (name, value) in environment {
            for word in [name, value] {
                variables.extend_from_slice(word.as_bytes());
                variables.push(0);
            }
        }
        let numbers = [image.launch as usize, image.main, variables.len()];
        Self::begin(Runs::Function, tid, numbers, &variables)
    }

    /// Starts an executable.
    ///
    /// # Errors
    /// It is none, there are too many, or the machine refuses.
    pub fn start_exec(executable: &Executable, tid: Tid) -> io::Result<Self> {
        let carried = executable.to_bytes();
        Self::begin(Runs::Executable, tid, [carried.len(), 0, 0], &carried)
    }

    fn begin(runs: Runs, tid: Tid, numbers: [usize; 3], carried: &[u8]) -> io::Result<Self> {
        if carried.len() > CARRIED {
            return Err(io::Error::from_raw_os_error(libc::E2BIG));
        }
        zygote::is_prepared()?;
        let remote = Self::of_slot(free_slot(runs)?);
        let mailbox = remote.mailbox;
        // SAFETY: the slot is this child's alone, which is not there yet.
        unsafe {
            (&mut (*mailbox).carried)[..carried.len()].copy_from_slice(carried);
            (*mailbox).tid = tid;
            (*mailbox).runs = runs;
            let places = &mut (*mailbox).numbers;
            for (place, number) in places.iter_mut().zip(numbers) {
                *place = number as u64;
            }
            (*mailbox).turn.store(PROGRAM, SeqCst);
            zygote::fork_for(remote.slot)?;
            wait_for(mailbox, WORLD);
            if !(*mailbox).succeeded {
                return Err(match (*mailbox).numbers[0] {
                    error @ 1..4096 if runs == Runs::Executable => {
                        io::Error::from_raw_os_error(error as i32)
                    }
                    _ => io::Error::other("a process for a program cannot be made"),
                });
            }
        }
        Ok(remote)
    }

    fn of_slot(slot: usize) -> Self {
        Remote {
            mailbox: mailbox(slot),
            slot,
            clock: Clock::default(),
        }
    }

    /// An executable forks: thread `tid`, which stands in its call, goes on in the copy as thread `child`.
    ///
    /// # Errors
    /// There are too many, the machine refuses, or the process is a program's.
    pub fn fork(
        &mut self,
        tid: Tid,
        child: Tid,
        stack: usize,
        thread_pointer: Option<usize>,
    ) -> io::Result<Self> {
        if !self.is_executable() {
            return Err(io::Error::from_raw_os_error(libc::ENOSYS));
        }
        let other = Self::of_slot(free_slot(Runs::Executable)?);
        let numbers = [
            child as u64,
            other.slot as u64,
            stack as u64,
            thread_pointer.is_some().into(),
            thread_pointer.unwrap_or(0) as u64,
            0,
        ];
        // SAFETY: it is the world's turn again.
        match self.order(Command::Fork, tid, numbers) && unsafe { (*self.mailbox).succeeded } {
            true => Ok(other),
            false => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
        }
    }

    /// A thread of an executable begins to handle a signal.
    pub fn enter_handler(&mut self, tid: Tid, handler: &Handler) {
        let words = handler.to_words();
        // SAFETY: it is the world's turn.
        let carried = unsafe { &mut (*self.mailbox).carried };
        for (place, word) in carried.chunks_mut(8).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        self.order(Command::EnterHandler, tid, [0; 6]);
    }

    /// A thread of an executable stands in its `rt_sigreturn`, and goes on where the signal met it: the mask that it had
    /// there, and what its call had answered.
    pub fn leave_handler(&mut self, tid: Tid) -> (u64, isize) {
        self.order(Command::LeaveHandler, tid, [0; 6]);
        // SAFETY: it is the world's turn again.
        let [mask, answer, ..] = unsafe { (*self.mailbox).numbers };
        (mask, answer as isize)
    }

    /// An executable maps something that lies outside of it: where.
    ///
    /// # Errors
    /// What the real kernel says.
    pub fn map(&mut self, mapping: &Mapping) -> io::Result<usize> {
        let path = mapping.path.as_deref().unwrap_or_default();
        let numbers = [
            mapping.at as u64,
            mapping.len as u64,
            mapping.protection as u64,
            mapping.flags as u64,
            mapping.offset,
            path.len() as u64,
        ];
        // SAFETY: it is the world's turn; paths are shorter.
        unsafe { (&mut (*self.mailbox).carried)[..path.len()].copy_from_slice(path) };
        if !self.order(Command::Map, 0, numbers) {
            return Err(io::Error::from_raw_os_error(libc::ENOMEM));
        }
        // SAFETY: it is the world's turn again.
        checked(unsafe { (*self.mailbox).numbers[0] } as isize)
    }

    pub fn is_executable(&self) -> bool {
        self.slot >= heap::SLOTS
    }

    /// The memory that both see.
    pub fn shared(&self) -> std::ops::Range<usize> {
        match self.is_executable() {
            true => 0..0,
            false => heap::slot(self.slot),
        }
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Has a command carried out. False if the child has died.
    fn order(&mut self, command: Command, tid: Tid, numbers: [u64; 6]) -> bool {
        // SAFETY: it is the world's turn, until it hands over.
        unsafe {
            let mailbox = self.mailbox;
            if (*mailbox).died.load(SeqCst) != 0 {
                return false;
            }
            (*mailbox).command = command;
            (*mailbox).tid = tid;
            (&mut (*mailbox).numbers)[..6].copy_from_slice(&numbers);
            fork::program_runs((*mailbox).pid.load(SeqCst));
            hand_over(mailbox, PROGRAM);
            wait_for(mailbox, WORLD);
            fork::program_runs(0);
            (*mailbox).died.load(SeqCst) == 0
        }
    }

    pub fn resume(&mut self, tid: Tid, answer: isize) -> Call {
        // SAFETY: it is the world's turn.
        unsafe {
            (*self.mailbox).monotonic = self.clock.monotonic.get();
            (*self.mailbox).wall_offset = self.clock.wall_offset.get();
        }
        if !self.order(Command::Resume, tid, [answer as u64, 0, 0, 0, 0, 0]) {
            // SAFETY: as above.
            let status = unsafe { (*self.mailbox).died.load(SeqCst) } - 1;
            return Call {
                number: own::DIED,
                arguments: [status as usize, 0, 0, 0, 0, 0],
                at: 0,
            };
        }
        // SAFETY: as above.
        unsafe {
            self.clock.monotonic.set((*self.mailbox).monotonic);
            self.clock.wall_reads.set((*self.mailbox).wall_reads);
            (*self.mailbox).call
        }
    }

    pub fn clone_thread(&mut self, maker: Tid, tid: Tid, ask: &Clone) -> bool {
        let numbers = [
            tid as u64,
            ask.flags,
            ask.stack as u64,
            ask.thread_pointer as u64,
            ask.parent_tid as u64,
            ask.child_tid as u64,
        ];
        // SAFETY: it is the world's turn again.
        self.order(Command::Clone, maker, numbers) && unsafe { (*self.mailbox).succeeded }
    }

    pub fn signal(&mut self, tid: Tid, handler: usize, signal: i32) {
        self.order(
            Command::Signal,
            tid,
            [handler as u64, signal as u64, 0, 0, 0, 0],
        );
    }

    pub fn forget(&mut self, tid: Tid) {
        self.order(Command::Forget, tid, [0; 6]);
    }

    pub fn take_panic(&mut self) -> Option<Panicked> {
        // SAFETY: it is the world's turn.
        unsafe {
            if !std::mem::take(&mut (*self.mailbox).panicked) {
                return None;
            }
            let len = (*self.mailbox).numbers[0] as usize;
            let text = String::from_utf8_lossy(&(&(*self.mailbox).carried)[..len]).into_owned();
            let (place, message) = text.split_once('\0').unwrap_or(("", &text));
            Some(Panicked {
                message: message.to_owned(),
                place: (!place.is_empty()).then(|| place.to_owned()),
            })
        }
    }

    /// Copies what only the child sees. False if it has no such memory.
    pub fn read(&self, from: usize, into: &mut [u8]) -> bool {
        self.transfer(
            libc::SYS_process_vm_readv,
            into.as_mut_ptr(),
            from,
            into.len(),
        )
    }

    /// Copies to where only the child sees. False if it has no such memory.
    pub fn write(&self, to: usize, bytes: &[u8]) -> bool {
        self.transfer(
            libc::SYS_process_vm_writev,
            bytes.as_ptr().cast_mut(),
            to,
            bytes.len(),
        )
    }

    fn transfer(&self, call: libc::c_long, here: *mut u8, there: usize, len: usize) -> bool {
        let part = |at: usize| libc::iovec {
            iov_base: at as *mut libc::c_void,
            iov_len: len,
        };
        let (here, there) = (part(here as usize), part(there));
        // SAFETY: the first part is memory of the caller's, which is written to only if it may be.
        let done = unsafe {
            let pid = (*self.mailbox).pid.load(SeqCst) as usize;
            let (here, there) = (&raw const here as usize, &raw const there as usize);
            real(call, [pid, here, 1, there, 1, 0])
        };
        done == len as isize
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // SAFETY: the child is this one's own; what it shares is free once the zygote has seen it die.
        unsafe {
            let pid = (*self.mailbox).pid.load(SeqCst);
            if pid > 0 && (*self.mailbox).died.load(SeqCst) == 0 {
                real(
                    libc::SYS_kill,
                    [pid as usize, libc::SIGKILL as usize, 0, 0, 0, 0],
                );
            }
        }
        let (kind, ordinal) = place_of(self.slot);
        USED.with(|used| used[kind].borrow_mut()[ordinal] = false);
    }
}

/// Which of the lists of slots a slot is in, and where.
fn place_of(slot: usize) -> (usize, usize) {
    match slot.checked_sub(heap::SLOTS) {
        None => (0, slot),
        Some(ordinal) => (1, ordinal),
    }
}

/// A slot that no child has: one that was never used, or else one whose child is dead.
fn free_slot(runs: Runs) -> io::Result<usize> {
    let (kind, first, most) = match runs {
        Runs::Function => (0, 0, heap::SLOTS),
        Runs::Executable => (1, heap::SLOTS, heap::EXECUTABLES),
    };
    USED.with(|used| {
        let slots = &mut *used[kind].borrow_mut();
        if slots.len() < most {
            slots.push(true);
            return Ok(first + slots.len() - 1);
        }
        let free = slots.iter().position(|used| !used);
        let ordinal = free.ok_or_else(|| io::Error::from_raw_os_error(libc::EAGAIN))?;
        slots[ordinal] = true;
        let slot = first + ordinal;
        // SAFETY: its child was killed; once the zygote says so nobody uses the slot any more.
        unsafe {
            let mailbox = mailbox(slot);
            while (*mailbox).pid.load(SeqCst) > 0 && (*mailbox).died.load(SeqCst) == 0 {
                real(libc::SYS_sched_yield, [0; 6]);
            }
            match runs {
                Runs::Function => heap::wipe(slot),
                Runs::Executable => {
                    (*mailbox).pid.store(0, SeqCst);
                    (*mailbox).died.store(0, SeqCst);
                    (*mailbox).succeeded = false;
                }
            }
        }
        Ok(slot)
    })
}
