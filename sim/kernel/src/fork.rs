//! Work in a forked child: whatever it leaves in static variables, or does to its process, ends with it.
//!
//! A child is made of a process with threads, and has one. What another thread was about to do is never done there, so
//! a lock that was held is held for ever. malloc and libc see to theirs, and the names that Squall keeps are held over
//! the fork. What is left (a static variable that was being initialised, a stream that was being written to) is rare: a
//! child that stands still is killed, and another one made in its place.

use std::{
    fs::{self, File},
    io,
    mem::ManuallyDrop,
    os::{
        fd::{AsRawFd, FromRawFd},
        unix::fs::FileExt,
    },
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed, Ordering::Release},
    time::Duration,
};

use squall_core::interned;
use squall_engine::isolation::{Child, End, Turn, witnessed_by};

/// How a child is watched.
#[derive(Clone, Copy)]
struct Watch {
    /// A program that keeps its turn for so much CPU time hangs.
    hangs: Duration,
    /// Milliseconds between two looks.
    look_ms: i32,
}

const WATCH: Watch = Watch {
    hangs: Duration::from_secs(20),
    look_ms: 1_000,
};
/// A child that neither runs nor could is given up after this many looks.
const LOOKS: u32 = 4;
/// So many children may stand still one after the other.
const ATTEMPTS: u32 = 3;

/// Does work in a child process, and waits for its end.
///
/// With `SQUALL_FORK=0` in the environment the work is done in place, for a debugger. That is good for one storm: the next
/// one meets what the first has left in static variables.
///
/// # Errors
/// The machine refuses to make a process.
pub fn in_child(work: &dyn Fn() -> Vec<u8>) -> io::Result<Child> {
    if is_wanted() {
        return forked(work);
    }
    Ok(Child {
        end: End::Returned(work()),
        cpu: Duration::ZERO,
        last_turn: None,
        told: Vec::new(),
    })
}

/// Does work in a child process, and waits for its end, whatever the environment says.
///
/// # Errors
/// The machine refuses to make a process.
pub fn forked(work: &dyn Fn() -> Vec<u8>) -> io::Result<Child> {
    // Asked here once: each child would ask the processor anew, which a virtual machine answers slowly.
    let _ = std::arch::is_x86_feature_detected!("avx2");
    let (mut stalled, mut prepared) = (0, 0);
    loop {
        let child = fork(work, WATCH)?;
        match child.end {
            End::Stalled if stalled < ATTEMPTS - 1 => stalled += 1,
            End::Exit(WANTS) if prepared < PREPARATIONS_MAX => {
                prepared += 1;
                prepare(&child.told)?;
            }
            _ => return Ok(child),
        }
    }
}

/// A child that ends with this status wants something to be prepared, and to be begun anew then.
const WANTS: i32 = 0x5a;
/// So many preparations one piece of work may want.
const PREPARATIONS_MAX: u32 = 16;

/// What has to be there before a storm, and is made once: by a function, in a process of its own.
pub type Preparation = fn(&[u8]) -> Result<(), String>;

/// Has something prepared that this storm misses, and the storm begun anew: this call does not return.
///
/// # Errors
/// This is no child that could be begun anew (`SQUALL_FORK=0`).
pub fn prepare_first(
    preparation: Preparation,
    argument: &[u8],
) -> io::Result<std::convert::Infallible> {
    let Some(notes) = notes() else {
        return Err(io::Error::other(
            "it has to be prepared by a run without SQUALL_FORK=0 first",
        ));
    };
    notes.told.store(0, Relaxed);
    // Functions lie at the same address in a process and in those that it forks.
    is_told(&(preparation as usize).to_ne_bytes());
    is_told(argument);
    // SAFETY: the process ends, and nothing of the parent's is dropped or flushed.
    unsafe { libc::_exit(WANTS) }
}

/// Makes what a child wanted.
fn prepare(wanted: &[u8]) -> io::Result<()> {
    let Some((address, argument)) = wanted.split_first_chunk() else {
        return Err(io::Error::other("a storm ended at its beginning"));
    };
    // SAFETY: the child is a copy of this process, and took the address of a function of this type.
    let preparation =
        unsafe { std::mem::transmute::<usize, Preparation>(usize::from_ne_bytes(*address)) };
    let work = || match preparation(argument) {
        Ok(()) => Vec::new(),
        Err(why) => why.into_bytes(),
    };
    match fork(&work, WATCH)?.end {
        End::Returned(why) if why.is_empty() => Ok(()),
        End::Returned(why) => Err(io::Error::other(String::from_utf8_lossy(&why))),
        end => Err(io::Error::other(format!("a preparation died: {end:?}"))),
    }
}

/// Whether storms are to run in processes of their own.
pub(crate) fn is_wanted() -> bool {
    std::env::var_os("SQUALL_FORK").is_none_or(|value| value != "0")
}

/// Whether this is a child that was made for a storm.
pub(crate) fn is_child() -> bool {
    !NOTES.load(Relaxed).is_null()
}

/// The node of this name has its turn, at this instant of virtual time.
pub(crate) fn turn_begins(node: &str, at: u64) {
    let Some(notes) = notes() else { return };
    let len = node.len().min(notes.node.len() * 8);
    for (word, bytes) in notes.node.iter().zip(node.as_bytes()[..len].chunks(8)) {
        let mut eight = [0; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        word.store(u64::from_ne_bytes(eight), Relaxed);
    }
    notes.node_len.store(len as u64, Relaxed);
    notes.at.store(at, Relaxed);
    notes.turns.store(notes.turns.load(Relaxed) + 1, Relaxed);
    notes.goes_on.store(1, Relaxed);
}

/// The turn is that of a program in this process, until it asks for something: 0 stands for none.
pub(crate) fn program_runs(pid: libc::pid_t) {
    if let Some(notes) = notes() {
        notes.program.store(pid as u64, Relaxed);
    }
}

/// That turn is over.
pub(crate) fn turn_ends() {
    if let Some(notes) = notes() {
        notes.goes_on.store(0, Relaxed);
    }
}

/// Keeps what is told of this child.
fn is_told(bytes: &[u8]) {
    let Some(notes) = notes() else { return };
    let told = notes.told.load(Relaxed);
    let file = notes.file.load(Relaxed) as i32;
    // SAFETY: it is open for as long as the child lives, and is not closed here.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(file) });
    if file.write_all_at(bytes, PAGE as u64 + told).is_ok() {
        notes.told.store(told + bytes.len() as u64, Release);
    }
}

/// This process is about to die because a stack is used up.
pub(crate) fn stack_overflows() {
    if let Some(notes) = notes() {
        notes.overflow.store(1, Relaxed);
    }
}

/// What a child notes for its parent, which survives its death. All zeros at first.
#[repr(C)]
struct Notes {
    /// The length of its result, plus 1, once that is there.
    result: AtomicU64,
    /// Turns of programs so far, and the last one.
    turns: AtomicU64,
    at: AtomicU64,
    goes_on: AtomicU64,
    /// The process of the program that runs, if that is not the child's own.
    program: AtomicU64,
    node_len: AtomicU64,
    node: [AtomicU64; 8],
    /// A stack was used up.
    overflow: AtomicU64,
    /// The child's descriptor of the file, and how many bytes of what it has told lie behind the notes.
    file: AtomicU64,
    told: AtomicU64,
}

/// Those of this process, if it is a child.
static NOTES: AtomicPtr<Notes> = AtomicPtr::new(ptr::null_mut());

fn notes() -> Option<&'static Notes> {
    // SAFETY: what is kept there is mapped for as long as the child lives.
    unsafe { NOTES.load(Relaxed).as_ref() }
}

/// Memory that parent and child share. The result lies in a file in memory, behind the page of notes: the child has
/// never to wait for a reader.
struct Shared {
    notes: ptr::NonNull<Notes>,
    file: File,
}

const PAGE: usize = 4096;

impl Shared {
    fn new() -> io::Result<Self> {
        // SAFETY: the name ends with a zero; the descriptor is new, so that the file is its only owner; the page lies in
        // the file, and is unmapped by `drop` alone.
        unsafe {
            let fd = libc::memfd_create(c"squall".as_ptr(), libc::MFD_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            let file = File::from_raw_fd(fd);
            file.set_len(PAGE as u64)?;
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let page = libc::mmap(ptr::null_mut(), PAGE, access, libc::MAP_SHARED, fd, 0);
            match ptr::NonNull::new(page.cast()) {
                Some(notes) if page != libc::MAP_FAILED => Ok(Shared { notes, file }),
                _ => Err(io::Error::last_os_error()),
            }
        }
    }

    fn notes(&self) -> &Notes {
        // SAFETY: it is mapped, and zeros are a value.
        unsafe { self.notes.as_ref() }
    }

    /// The last turn of a program.
    fn last_turn(&self) -> Option<Turn> {
        let notes = self.notes();
        let words = notes.node.iter().map(|word| word.load(Relaxed));
        let mut node: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
        node.truncate(notes.node_len.load(Relaxed) as usize);
        (notes.turns.load(Relaxed) > 0).then(|| Turn {
            node: String::from_utf8_lossy(&node).into_owned(),
            at: notes.at.load(Relaxed),
            goes_on: notes.goes_on.load(Relaxed) != 0,
        })
    }

    /// What the child has told, and its result, which lies behind.
    fn told(&self) -> io::Result<Vec<u8>> {
        self.read(0, self.notes().told.load(Relaxed))
    }

    fn result(&self) -> Option<io::Result<Vec<u8>>> {
        let len = self.notes().result.load(Relaxed).checked_sub(1)?;
        Some(self.read(self.notes().told.load(Relaxed), len))
    }

    fn read(&self, from: u64, len: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len as usize];
        self.file.read_exact_at(&mut bytes, PAGE as u64 + from)?;
        Ok(bytes)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: it was mapped by `new`, and nobody has a reference to it any more.
        unsafe { libc::munmap(self.notes.as_ptr().cast(), PAGE) };
    }
}

/// A child that has not been waited for is killed.
struct Running {
    pid: libc::pid_t,
    waited: bool,
}

fn fork(work: &dyn Fn() -> Vec<u8>, watch: Watch) -> io::Result<Child> {
    let shared = Shared::new()?;
    // SAFETY: reads the process's number.
    let parent = unsafe { libc::getpid() };
    let signals = Blocked::all();
    let names = interned::names();
    // SAFETY: the child has one thread, and goes on as the module says.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        drop(names);
        in_this_child(&shared, parent, signals, work);
    }
    // What went wrong is told by `errno`, before anything else is asked for.
    let failed = (pid < 0).then(io::Error::last_os_error);
    drop(names);
    drop(signals);
    if let Some(error) = failed {
        return Err(error);
    }
    let mut child = Running { pid, waited: false };
    let given_up = child.attend(&shared, watch)?;
    let (status, cpu) = child.wait(given_up.is_some())?;
    let end = match shared.result() {
        _ if given_up.is_some() => given_up.unwrap_or(End::Stalled),
        Some(result) => End::Returned(result?),
        None if shared.notes().overflow.load(Relaxed) != 0 => End::StackOverflow,
        None if libc::WIFSIGNALED(status) => End::Signal(libc::WTERMSIG(status)),
        None => End::Exit(libc::WEXITSTATUS(status)),
    };
    let told = match end {
        End::Returned(_) => Vec::new(),
        _ => shared.told()?,
    };
    Ok(Child {
        end,
        cpu,
        last_turn: shared.last_turn(),
        told,
    })
}

/// All that the child does.
fn in_this_child(
    shared: &Shared,
    parent: libc::pid_t,
    signals: Blocked,
    work: &dyn Fn() -> Vec<u8>,
) -> ! {
    // SAFETY: the child has one thread; none of these touches memory but for its arguments.
    unsafe {
        // It ends with its parent, which may have ended just now. Who ends the parent by the keyboard or asks it to end
        // leaves it to the parent what becomes of the child.
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() != parent {
            libc::_exit(1);
        }
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
            libc::signal(signal, libc::SIG_IGN);
        }
        // One byte is less than a dump of memory takes, and what Linux takes for "none" where a program gets the dump.
        let none = libc::rlimit {
            rlim_cur: 1,
            rlim_max: 1,
        };
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
    }
    let file = shared.file.as_raw_fd() as u64;
    shared.notes().file.store(file, Relaxed);
    NOTES.store(shared.notes.as_ptr(), Relaxed);
    witnessed_by(is_told);
    drop(signals);
    // Where memory runs out, it is the child that goes.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let told = || shared.notes().told.load(Relaxed);
    let status = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(bytes) => match shared.file.write_all_at(&bytes, PAGE as u64 + told()) {
            Ok(()) => {
                let result = &shared.notes().result;
                result.store(bytes.len() as u64 + 1, Release);
                0
            }
            Err(_) => 1,
        },
        Err(_) => 101,
    };
    // SAFETY: the process ends, and nothing of the parent's is dropped or flushed.
    unsafe { libc::_exit(status) }
}

impl Running {
    /// Waits for its end; or says why it must be ended.
    fn attend(&self, shared: &Shared, watch: Watch) -> io::Result<Option<End>> {
        // SAFETY: the child has not been waited for, so its number is its own; the descriptor is new.
        let handle = unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, self.pid, 0);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            File::from_raw_fd(fd as i32)
        };
        let mut ended = libc::pollfd {
            fd: handle.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let (mut still, mut before) = (0, (0, Duration::ZERO));
        let mut turn = (0, Duration::ZERO);
        loop {
            // SAFETY: there is one entry.
            if unsafe { libc::poll(&raw mut ended, 1, watch.look_ms) } > 0 {
                return Ok(None);
            }
            // While a program runs in a process of its own, the storm's waits for it.
            let program = shared.notes().program.load(Relaxed) as libc::pid_t;
            let both = [self.pid, program].into_iter().filter(|pid| *pid != 0);
            let cpu = both.clone().map(cpu_time).sum::<Duration>();
            let turns = shared.notes().turns.load(Relaxed);
            if turns != turn.0 {
                turn = (turns, cpu);
            } else if turns > 0 && cpu.saturating_sub(turn.1) > watch.hangs {
                return Ok(Some(End::Hang(watch.hangs)));
            }
            still = match (turns, cpu) == before && !both.clone().any(is_able) {
                true => still + 1,
                false => 0,
            };
            if still == LOOKS {
                return Ok(Some(End::Stalled));
            }
            before = (turns, cpu);
        }
    }

    /// Its status, and the CPU time that it took.
    fn wait(&mut self, kill: bool) -> io::Result<(i32, Duration)> {
        self.waited = true;
        // SAFETY: the child is there until it is waited for; zeros are a value of what is written.
        unsafe {
            if kill {
                libc::kill(self.pid, libc::SIGKILL);
            }
            let mut status = 0;
            let mut usage: libc::rusage = std::mem::zeroed();
            while libc::wait4(self.pid, &raw mut status, 0, &raw mut usage) < 0 {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            let time = |time: libc::timeval| {
                Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
            };
            Ok((status, time(usage.ru_utime) + time(usage.ru_stime)))
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.waited {
            let _ = self.wait(true);
        }
    }
}

/// All signals wait on this thread until this is dropped.
struct Blocked(libc::sigset_t);

impl Blocked {
    fn all() -> Self {
        // SAFETY: sets of signals are plain data, for which zeros are a value.
        unsafe {
            let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            Blocked(before)
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: it is the set that there was.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}

/// The CPU time of a process so far, to ten milliseconds.
fn cpu_time(pid: libc::pid_t) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let ticks = |nth: usize| field(&stat, nth)?.parse::<u64>().ok();
    Duration::from_millis(10 * (ticks(11).unwrap_or(0) + ticks(12).unwrap_or(0)))
}

/// Whether a thread of a process runs, or would if there were a processor for it.
fn is_able(pid: libc::pid_t) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    threads.flatten().any(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        field(&stat, 0).is_none_or(|state| !matches!(state, "S"))
    })
}

/// A field of `/proc/../stat`, counted from behind the name.
fn field(stat: &str, nth: usize) -> Option<&str> {
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(nth)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Watch = Watch {
        hangs: Duration::from_millis(300),
        look_ms: 50,
    };

    fn spins() -> ! {
        loop {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn a_process_that_never_gives_its_turn_back_hangs() {
        let child = fork(
            &|| {
                turn_begins("server", 7);
                spins()
            },
            SOON,
        );
        let child = child.expect("it is forked");
        assert_eq!(child.end, End::Hang(SOON.hangs));
        let turn = child.last_turn.expect("it had one");
        assert_eq!((&*turn.node, turn.goes_on), ("server", true));
    }

    #[test]
    fn what_a_storm_misses_is_prepared_once_and_the_storm_begun_anew() {
        let file = std::env::temp_dir().join(format!("squall-prepared-{}", std::process::id()));
        let name = file.to_str().expect("it is a text").to_owned();
        let preparation: Preparation = |argument| {
            let name = String::from_utf8_lossy(argument).into_owned();
            fs::write(name, "there").map_err(|error| error.to_string())
        };
        let work = || match fs::read(&name) {
            Ok(found) => found,
            Err(_) => match prepare_first(preparation, name.as_bytes()) {
                Ok(never) => match never {},
                Err(error) => error.to_string().into_bytes(),
            },
        };
        let end = forked(&work).expect("it is forked").end;
        let _ = fs::remove_file(&file);
        assert_eq!(end, End::Returned(b"there".to_vec()));
    }

    #[test]
    fn a_preparation_that_fails_says_why() {
        let work = || match prepare_first(|_| Err("no server is installed".into()), b"") {
            Ok(never) => match never {},
            Err(error) => error.to_string().into_bytes(),
        };
        let error = forked(&work).expect_err("it fails");
        assert_eq!(error.to_string(), "no server is installed");
    }

    #[test]
    fn so_does_a_program_in_a_process_of_its_own_which_is_not_taken_for_one_that_stands_still() {
        let child = fork(
            &|| {
                turn_begins("server", 7);
                // SAFETY: the child has one thread; the program's process ends with it.
                unsafe {
                    match libc::fork() {
                        0 => {
                            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                            spins()
                        }
                        program => {
                            program_runs(program);
                            loop {
                                libc::pause();
                            }
                        }
                    }
                }
            },
            SOON,
        );
        assert_eq!(child.expect("it is forked").end, End::Hang(SOON.hangs));
    }
}
