//! Faults that only programs meet.

use std::time::Duration;

use squall::{
    Sim,
    fault::{FailNames, NoDescriptors, SlowNames, Terminate},
    seed::Seed,
    storm::Plan,
    trace::text,
};
use squall_kernel::Processes;
use tokio_real as tokio;

/// Runs a storm by hand over `sim`'s programs, and tells it.
fn told(build: impl Fn(&Sim) + Send + Sync) -> String {
    let storms = squall::storms("faults by hand").plan(Plan::calm());
    let outcome = storms.one(Seed(1), build);
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
    let trace = outcome.trace.expect("it is kept");
    text::render(&trace, &text::Options::default())
}

/// Tells every 100 ms what becomes of looking up its own name, and of opening a file.
async fn looks() {
    loop {
        let found = tokio::net::lookup_host("looks:80").await;
        let opened = std::fs::File::open("/etc/hostname");
        let (found, opened) = (found.is_ok(), opened.map_err(|e| e.raw_os_error()));
        println!("found {found}, opened {:?}", opened.map(|_| ()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn at_second_one(
    sim: &Sim,
    fault: impl Into<squall::storm::Action> + Clone + Send + Sync + 'static,
) {
    let by_hand = sim.clone();
    sim.client("storm", async move |client: squall::Client| {
        client.sleep(Duration::from_secs(1)).await;
        by_hand.inflict(fault.into());
        client.sleep(Duration::from_secs(2)).await;
    });
}

#[test]
fn names_fail_and_are_slow() {
    let text = told(|sim| {
        sim.process("looks", looks);
        at_second_one(sim, FailNames::new("looks", 500));
    });
    assert!(
        text.contains("found false") && text.contains("found true"),
        "{text}"
    );
    let text = told(|sim| {
        sim.process("looks", looks);
        at_second_one(sim, SlowNames::new("looks", 1_000, 500));
    });
    assert!(!text.contains("found false"), "{text}");
    let times = text.lines().filter(|line| line.contains("found true"));
    let times: Vec<f64> = times
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect();
    let longest = times
        .windows(2)
        .map(|two| two[1] - two[0])
        .fold(0.0, f64::max);
    assert!(longest > 1.0, "{text}");
}

#[test]
fn a_program_without_descriptors_is_told_so() {
    let text = told(|sim| {
        sim.process("looks", looks);
        at_second_one(sim, NoDescriptors::new("looks", 500));
    });
    assert!(text.contains("opened Err(Some(24))"), "{text}");
    assert!(text.contains("opened Ok(())"), "{text}");
}

/// Ends when it is told to, after half a second of tidying up.
#[tokio::main]
async fn graceful() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("it can be handled");
    println!("up");
    terminate.recv().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    println!("tidied up");
}

/// The same on one thread.
#[tokio::main(flavor = "current_thread")]
async fn alone() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("it can be handled");
    println!("up");
    terminate.recv().await;
    println!("tidied up");
}

/// Does not care.
#[tokio::main]
async fn stubborn() {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .expect("it can be handled");
    loop {
        terminate.recv().await;
        println!("no");
    }
}

#[test]
fn a_program_that_is_told_to_end_tidies_up_and_is_started_again() {
    let text = told(|sim| {
        sim.program("graceful", graceful);
        at_second_one(sim, Terminate::new("graceful"));
    });
    assert!(
        text.contains("tidied up") && text.matches("· up").count() == 2,
        "{text}"
    );
}

#[test]
fn a_program_of_one_thread_hears_it_too() {
    let text = told(|sim| {
        sim.program("alone", alone);
        at_second_one(sim, Terminate::new("alone"));
    });
    assert!(
        text.contains("tidied up") && text.matches("· up").count() == 2,
        "{text}"
    );
}

#[test]
fn a_program_that_does_not_end_when_it_is_told_to_is_killed() {
    let text = told(|sim| {
        sim.program("stubborn", stubborn);
        let by_hand = sim.clone();
        sim.client("storm", async move |client: squall::Client| {
            client.sleep(Duration::from_secs(1)).await;
            by_hand.inflict(Terminate::new("stubborn"));
            client.sleep(Duration::from_secs(12)).await;
        });
    });
    assert!(text.contains("SIGKILL: it did not end"), "{text}");
}
