//! Threads of programs on the simulated processor.

use std::collections::VecDeque;

use squall_kernel::cpu::{Call, Clone, Memory, Processor, Tid, own, prepare};

#[test]
fn a_program_with_threads_runs_call_by_call() {
    prepare().expect("this machine can");
    let main = || {
        let threads: Vec<_> = (0..3).map(|i| std::thread::spawn(move || i * 10)).collect();
        let sum: i32 = threads
            .into_iter()
            .map(|t| t.join().expect("it ends"))
            .sum();
        assert_eq!(sum, 30);
        assert!(std::time::Instant::now().elapsed().as_millis() < 5);
        println!("hello from a guest {}", std::process::id());
        let mut deep = [0u8; 64];
        // SAFETY: the buffer is there.
        unsafe { libc::getrandom(deep.as_mut_ptr().cast(), 64, 0) };
    };
    let mut processor = Processor::start(Box::new(main), 100, &[]).expect("it starts");
    let mut ready: VecDeque<(Tid, isize)> = [(100, 0)].into();
    let mut waiting: Vec<(Tid, usize)> = Vec::new();
    let mut clear: Vec<(Tid, usize)> = Vec::new();
    let (mut next, mut log) = (101, Vec::new());
    while let Some((tid, answer)) = ready.pop_front() {
        let call: Call = processor.resume(tid, answer);
        log.push((tid, call.name(), call.arguments));
        if let Some(ask) = Clone::read(&call, &Memory::default()) {
            assert!(processor.clone_thread(tid, next, &ask));
            if ask.flags & libc::CLONE_PARENT_SETTID as u64 != 0 {
                Memory::default().write_u32(ask.parent_tid, next as u32);
            }
            clear.push((next, ask.child_tid));
            ready.push_back((next, 0));
            ready.push_back((tid, next as isize));
            next += 1;
            continue;
        }
        let answer = match call.number {
            own::ENDED => {
                eprintln!("ended {:?}", call);
                0
            }
            libc::SYS_futex if call.arguments[1] & 0x7f == 0 || call.arguments[1] & 0x7f == 9 => {
                if Memory::default().read_u32(call.arguments[0]) == call.arguments[2] as u32 {
                    waiting.push((tid, call.arguments[0]));
                    continue;
                }
                -(libc::EAGAIN as isize)
            }
            libc::SYS_futex => {
                let at = call.arguments[0];
                waiting.retain(|(t, a)| {
                    if *a == at {
                        ready.push_back((*t, 0));
                    }
                    *a != at
                });
                1
            }
            libc::SYS_exit => {
                for (t, at) in &clear {
                    if *t == tid {
                        Memory::default().write_u32(*at, 0);
                        waiting.retain(|(t, a)| {
                            if *a == *at {
                                ready.push_back((*t, 0));
                            }
                            *a != *at
                        });
                    }
                }
                processor.forget(tid);
                continue;
            }
            libc::SYS_write => call.arguments[2] as isize,
            libc::SYS_gettid | libc::SYS_getpid => tid as isize,
            libc::SYS_getrandom => call.arguments[1] as isize,
            _ => {
                eprintln!("? {}", call.name());
                0
            }
        };
        ready.push_front((tid, answer));
    }
    for l in &log {
        eprintln!("{l:?}");
    }
    assert!(waiting.is_empty());
}

#[test]
fn the_executable_lies_where_it_always_does() {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux has it");
    assert!(
        maps.starts_with("555555554000"),
        "{}",
        maps.lines().next().unwrap_or("")
    );
}
