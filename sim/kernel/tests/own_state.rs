//! What a process has of its own: environment variables, what it has printed, what the harness's own runtime left.

use std::{collections::BTreeMap, env, time::Duration};

use squall::{Processes, Sim, seed::Seed, storm::Plan};
use squall_core::event::{Life, What};
use tokio_real as tokio;

/// What the node `prints` prints in its first life.
fn printed(build: impl Fn(&Sim) + Send + Sync + 'static) -> Vec<String> {
    let storms = squall::storms("own state").plan(Plan::calm());
    let outcome = storms.one(Seed(1), move |sim: &Sim| {
        build(sim);
        sim.client("waits", async |client: squall::Client| {
            client.sleep(Duration::from_millis(100)).await;
        });
    });
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
    let events = outcome.trace.expect("it is kept").events;
    let of_node = events.into_iter().filter(|event| event.node == "prints");
    let first = of_node.take_while(|event| {
        !matches!(
            &event.what,
            What::Node {
                event: Life::Stops,
                ..
            }
        )
    });
    let lines = first.filter_map(|event| match event.what {
        What::Log { message, .. } => Some(message.into_owned()),
        _ => None,
    });
    lines.collect()
}

fn variables() {
    let all = || env::vars().collect::<BTreeMap<_, _>>();
    println!("{:?}", all());
    // SAFETY: nobody else reads variables.
    unsafe {
        env::set_var("B", "2");
        env::remove_var("A");
    }
    println!("{:?} {:?} {:?}", env::var("A"), env::var("B"), all());
}

async fn variables_here() {
    variables();
}

#[test]
fn a_process_has_variables_of_its_own() {
    let expected = [r#"{"A": "1"}"#, r#"Err(NotPresent) Ok("2") {"B": "2"}"#];
    let here = printed(|sim| {
        sim.process("prints", variables_here)
            .env("A", "0")
            .env("A", "1");
        sim.process("another", variables_here).env("B", "3");
    });
    assert_eq!(here, expected);
    let apart = printed(|sim| {
        sim.program("prints", variables).env("A", "0").env("A", "1");
    });
    assert_eq!(apart, expected);
    assert!(env::var("B").is_err() && env::var("PATH").is_ok());
}

fn returns() {
    print!("half a line");
}

#[test]
fn what_a_program_has_printed_is_written_when_it_returns() {
    let lines = printed(|sim| {
        sim.program("prints", returns);
    });
    assert_eq!(lines, ["half a line"]);
}

/// Waits for signals, as a service does that ends gracefully.
#[tokio::main]
async fn waits_for_signals() {
    let signals = tokio::signal::ctrl_c();
    println!("begins");
    let _ = tokio::time::timeout(Duration::from_millis(1), signals).await;
    println!("ends");
    tokio::time::sleep(Duration::from_secs(1_000)).await;
}

#[test]
fn the_harness_may_have_used_the_real_runtime_before() {
    waits_for_nothing();
    let lines = printed(|sim| {
        sim.program("prints", waits_for_signals);
    });
    assert_eq!(lines, ["begins", "ends"]);
}

#[tokio::main]
async fn waits_for_nothing() {
    let _ = tokio::time::timeout(Duration::ZERO, tokio::signal::ctrl_c()).await;
}

fn selects() {
    // SAFETY: sets are plain data, for which zeros are a value.
    static mut SETS: [libc::fd_set; 2] = [const { unsafe { std::mem::zeroed() } }; 2];
    let (mut ends, mut idle) = ([0; 2], [0; 2]);
    // SAFETY: plain calls; this thread alone uses the sets.
    unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        assert_eq!(libc::pipe(idle.as_mut_ptr()), 0);
        let [reads, writes] = [&raw mut SETS[0], &raw mut SETS[1]];
        libc::FD_SET(ends[0], reads);
        libc::FD_SET(idle[0], reads);
        libc::FD_SET(ends[1], writes);
        libc::write(ends[1], c"x".as_ptr().cast(), 1);
        let none = std::ptr::null_mut();
        let count = libc::select(idle[1] + 1, reads, writes, none, none.cast());
        let set = |fd, set| libc::FD_ISSET(fd, set);
        let told = [
            set(ends[0], reads),
            set(idle[0], reads),
            set(ends[1], writes),
        ];
        println!("{count} {told:?}");
    }
}

#[test]
fn sets_for_select_may_be_static_variables() {
    let lines = printed(|sim| {
        sim.program("prints", selects);
    });
    assert_eq!(lines, ["2 [true, false, true]"]);
}
