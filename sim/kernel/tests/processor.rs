//! Threads of programs on the simulated processor.

use std::collections::VecDeque;

use squall_kernel::cpu::{Call, Clone, Memory, Processor, Tid, own, prepare};

/// A kernel that knows just enough for threads to begin, wait for each other and end.
#[derive(Default)]
struct Kernel {
    ready: VecDeque<(Tid, isize)>,
    /// Who waits for a word of memory to change.
    waiting: Vec<(Tid, usize)>,
    /// The words in which the ends of threads are told.
    ends: Vec<(Tid, usize)>,
    last: Tid,
}

impl Kernel {
    fn wake(&mut self, word: usize) {
        let (woken, waiting) = self.waiting.iter().partition(|(_, at)| *at == word);
        self.waiting = waiting;
        let woken: Vec<(Tid, usize)> = woken;
        self.ready
            .extend(woken.into_iter().map(|(tid, _)| (tid, 0)));
    }

    /// The answer to a call; none if the thread waits, or is no more.
    fn serve(&mut self, processor: &mut Processor, tid: Tid, call: &Call) -> Option<isize> {
        let memory = Memory::default();
        if let Some(ask) = Clone::read(call, &memory) {
            self.last += 1;
            assert!(processor.clone_thread(tid, self.last, &ask));
            memory.write_u32(ask.parent_tid, self.last as u32);
            self.ends.push((self.last, ask.child_tid));
            self.ready.push_back((self.last, 0));
            return Some(self.last as isize);
        }
        let [first, operation, value, ..] = call.arguments;
        match call.number {
            libc::SYS_futex if matches!(operation & 0x7f, 0 | 9) => {
                if memory.read_u32(first) != value as u32 {
                    return Some(-(libc::EAGAIN as isize));
                }
                self.waiting.push((tid, first));
                None
            }
            libc::SYS_futex => {
                self.wake(first);
                Some(1)
            }
            libc::SYS_exit => {
                for (_, word) in self.ends.clone().iter().filter(|(ended, _)| *ended == tid) {
                    memory.write_u32(*word, 0);
                    self.wake(*word);
                }
                processor.forget(tid);
                None
            }
            libc::SYS_gettid | libc::SYS_getpid => Some(tid as isize),
            _ => Some(0),
        }
    }
}

#[test]
fn a_program_with_threads_runs_call_by_call() {
    const FIRST: Tid = 100;
    prepare().expect("this machine can");
    let main = || {
        let begin = |i| std::thread::spawn(move || i * 10);
        let threads: Vec<_> = (0..3).map(begin).collect();
        let ends = threads.into_iter().map(|thread| thread.join());
        let sum: i32 = ends.map(|end| end.expect("it ends")).sum();
        assert_eq!(sum, 30);
        assert_eq!(std::process::id(), FIRST as u32);
    };
    let mut processor = Processor::start(Box::new(main), FIRST, &[]).expect("it starts");
    let mut kernel = Kernel {
        ready: [(FIRST, 0)].into(),
        last: FIRST,
        ..Kernel::default()
    };
    let mut has_ended = false;
    while let Some((tid, answer)) = kernel.ready.pop_front() {
        let call = processor.resume(tid, answer);
        if call.number == own::ENDED {
            assert_eq!(processor.take_panic(), None);
            has_ended = true;
        }
        if let Some(answer) = kernel.serve(&mut processor, tid, &call) {
            kernel.ready.push_front((tid, answer));
        }
    }
    assert!(has_ended);
}

#[test]
fn the_executable_lies_where_it_always_does() {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux has it");
    assert!(
        maps.lines().any(|line| line.starts_with("555555554000")),
        "{maps}"
    );
}
