//! What would get round the simulation, and what becomes of it.

use std::{
    arch::asm,
    collections::{BTreeSet, HashMap},
    io::Read,
    time::Duration,
};

use squall::{Processes, seed::Seed, storm::Plan};
use squall_core::event::What;

/// What a program prints, and what the run finds wrong, with one seed.
fn run_with(seed: u64, main: fn()) -> (Vec<String>, Vec<String>) {
    let outcome =
        squall::storms("leaks")
            .plan(Plan::calm())
            .one(Seed(seed), move |sim: &squall::Sim| {
                sim.program("leaky", main).env("SET", "here");
                sim.client("waits", async |client: squall::Client| {
                    client.sleep(Duration::from_millis(50)).await;
                });
            });
    let is_done = !matches!(outcome.verdict, squall::run::Verdict::HarnessFailed(_));
    assert!(is_done, "{:?}", outcome.verdict);
    let trace = outcome.trace.as_ref().expect("it is kept");
    let logs = trace.events.iter().filter_map(|event| match &event.what {
        What::Log { message, .. } => Some(message.to_string()),
        _ => None,
    });
    let findings = outcome.violations.iter();
    let findings = findings.map(|found| format!("{}: {}", found.invariant, found.found));
    (logs.collect(), findings.collect())
}

/// The same in each run of a seed, and without a finding.
#[track_caller]
fn is_simulated(main: fn()) -> Vec<String> {
    let first = run_with(1, main);
    assert_eq!(first, run_with(1, main), "the same seed, the same run");
    assert_eq!(first.1, Vec::<String>::new());
    assert!(!first.0.is_empty(), "it prints what it finds");
    first.0
}

/// Simulated, and drawn from the seed.
#[track_caller]
fn is_seeded(main: fn()) {
    let first = is_simulated(main);
    assert_ne!(first, run_with(2, main).0, "another seed, another run");
}

/// A finding that says so, and ENOSYS for the program.
#[track_caller]
fn is_refused(main: fn(), what: &str) {
    let (lines, findings) = run_with(1, main);
    let told = "processes ask for nothing that is not simulated";
    assert!(
        findings
            .iter()
            .any(|found| found.starts_with(told) && found.contains(what)),
        "{findings:?}"
    );
    assert!(lines.contains(&"-38".to_owned()), "{lines:?}");
}

/// The program goes on without doing anything: one that ends is started again.
fn stay() {
    loop {
        std::thread::park();
    }
}

/// A system call by an instruction of the program's own.
fn raw(number: i64, arguments: [usize; 4]) -> i64 {
    let answer;
    // SAFETY: the tests hand over valid pointers, or none.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => answer,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            out("rcx") _,
            out("r11") _,
        );
    }
    answer
}

fn last_errno() -> i32 {
    -std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

#[test]
fn raw_system_calls_are_served() {
    let lines = is_simulated(|| {
        let mut time = [0u64; 2];
        let place = time.as_mut_ptr() as usize;
        let served = raw(
            libc::SYS_clock_gettime,
            [libc::CLOCK_REALTIME as usize, place, 0, 0],
        );
        println!("{served} {time:?}");
        println!(
            "{}",
            raw(libc::SYS_getpid, [0; 4]) == i64::from(std::process::id())
        );
        let (family, kind) = (libc::AF_INET as usize, libc::SOCK_STREAM as usize);
        println!("{}", raw(libc::SYS_socket, [family, kind, 0, 0]) >= 3);
        stay();
    });
    assert_eq!(lines[1..], ["true", "true"]);
}

#[test]
fn timestamps_are_virtual_time() {
    is_simulated(|| {
        // SAFETY: x86-64 has it.
        let began = unsafe { core::arch::x86_64::_rdtsc() };
        std::thread::sleep(Duration::from_millis(10));
        // SAFETY: as above.
        let took = unsafe { core::arch::x86_64::_rdtsc() } - began;
        assert!(took >= 10_000_000, "{took}");
        println!("{began} {took}");
        stay();
    });
}

#[test]
fn every_clock_of_libc_is_virtual_time() {
    is_simulated(|| {
        let (mut value, mut time) = ([0i64; 2], [0i64; 2]);
        // SAFETY: the places are there.
        let seconds = unsafe {
            libc::gettimeofday(value.as_mut_ptr().cast(), std::ptr::null_mut());
            libc::clock_gettime(libc::CLOCK_BOOTTIME, time.as_mut_ptr().cast());
            libc::time(std::ptr::null_mut())
        };
        let now = (std::time::SystemTime::now(), std::time::Instant::now());
        println!("{seconds} {value:?} {time:?} {now:?}");
        stay();
    });
}

#[test]
fn entropy_comes_from_the_seed() {
    is_seeded(|| {
        let mut bytes = [0u8; 8];
        // SAFETY: the buffer is there.
        unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), 8, 0) };
        println!("{bytes:?}");
        stay();
    });
    is_seeded(|| {
        let mut bytes = [0u8; 8];
        let mut device = std::fs::File::open("/dev/urandom").expect("it is there");
        device.read_exact(&mut bytes).expect("it has no end");
        println!("{bytes:?}");
        stay();
    });
    is_seeded(|| {
        let map: HashMap<u32, ()> = (0..50).map(|n| (n, ())).collect();
        println!("{:?}", map.keys().collect::<Vec<_>>());
        stay();
    });
}

#[test]
fn what_a_program_sees_of_its_machine_is_the_same_everywhere() {
    let lines = is_simulated(|| {
        println!("{:?}", std::env::vars().collect::<BTreeSet<_>>());
        println!("{:?}", std::thread::available_parallelism());
        // SAFETY: asks who we are.
        println!("{} {}", std::process::id(), unsafe { libc::gettid() });
        println!("{:?}", std::thread::current().name());
        println!("{:?}", std::fs::read_to_string("/etc/hostname"));
        println!("{:?}", std::fs::read_dir("/home").map(Iterator::count));
        let local = 0;
        println!("{:?}", &raw const local);
        stay();
    });
    assert!(
        lines[0].contains("SET") && !lines[0].contains("CARGO"),
        "{lines:?}"
    );
}

#[test]
fn threads_take_turns_by_lot() {
    is_seeded(|| {
        let order = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for n in 0..8 {
                let order = &order;
                scope.spawn(move || {
                    std::thread::yield_now();
                    order.lock().expect("nobody panics").push(n);
                });
            }
        });
        println!("{order:?}");
        stay();
    });
}

#[test]
fn what_is_not_simulated_is_refused_and_told() {
    is_refused(
        || {
            println!("{}", raw(libc::SYS_io_uring_setup, [8, 0, 0, 0]));
            stay();
        },
        "io_uring_setup",
    );
    is_refused(
        || {
            // SAFETY: it is refused.
            if unsafe { libc::fork() } < 0 {
                println!("{}", last_errno());
            }
            stay();
        },
        "fork",
    );
    is_refused(
        || {
            println!("{}", raw(libc::SYS_ptrace, [0, 0, 0, 0]));
            stay();
        },
        "ptrace",
    );
    is_refused(
        || {
            println!("{}", raw(9999, [0; 4]));
            stay();
        },
        "system call 9999",
    );
}

#[test]
fn a_descriptor_of_another_process_is_none_here() {
    let lines = is_simulated(|| {
        // The harness has more open than a program that has just begun.
        println!("{}", raw(libc::SYS_read, [3, 0, 0, 0]));
        println!("{}", raw(libc::SYS_close, [9, 0, 0, 0]));
        stay();
    });
    assert_eq!(
        lines,
        [format!("-{}", libc::EBADF), format!("-{}", libc::EBADF)]
    );
}

/// Nothing can stop this instruction: what it gives is the machine's. The test is here to say so.
#[test]
fn rdrand_is_not_detected() {
    if !std::is_x86_feature_detected!("rdrand") {
        return;
    }
    let draws: fn() = || {
        let value: u64;
        // SAFETY: the machine has it.
        unsafe { asm!("rdrand {}", out(reg) value) };
        println!("{value}");
        stay();
    };
    let (first, second) = (run_with(1, draws), run_with(1, draws));
    assert!(first.1.is_empty() && second.1.is_empty());
    assert_ne!(first.0, second.0);
}
