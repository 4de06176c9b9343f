//! Faults that only programs meet.

use std::{net::SocketAddr, time::Duration};

use squall::{
    Sim,
    fault::{FailNames, NoDescriptors, SlowNames, StaleNames, Terminate},
    seed::Seed,
    storm::{Fault, Plan, When},
    trace::text,
};
use squall_kernel::Processes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
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

/// Answers each connection with its own name.
async fn says_who_it_is() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:80").await?;
    let name = std::fs::read("/etc/hostname")?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let _ = stream.write_all(&name).await;
    }
}

/// Asks "one" who it is: by its name each time, and at the address that it found first.
async fn asks() -> std::io::Result<()> {
    let who = async |address: SocketAddr| {
        let mut told = String::new();
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        stream.read_to_string(&mut told).await?;
        std::io::Result::Ok(told.trim().to_owned())
    };
    let find = async || -> std::io::Result<SocketAddr> {
        let mut found = tokio::net::lookup_host("one:80").await?;
        found.next().ok_or(std::io::ErrorKind::NotFound.into())
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    let kept = find().await?;
    loop {
        println!(
            "found {}, kept {}",
            who(find().await?).await?,
            who(kept).await?
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn old_addresses_lead_to_other_machines_whoever_keeps_what_was_found_is_spared() {
    let by_hand = |sim: &Sim, fault: StaleNames| {
        sim.process("one", says_who_it_is);
        sim.process("other", says_who_it_is);
        sim.process("asks", asks);
        at_second_one(sim, fault);
    };
    // Other machines are the other one and the storm, which does not listen.
    let text = |choice| told(|sim| by_hand(sim, StaleNames::new("asks", choice, 500)));
    let texts: Vec<_> = (0..8).map(text).collect();
    let hit = |text: &&String| text.contains("found other, kept one");
    assert!(texts.iter().any(|text| hit(&text)), "{}", texts[0]);
    for text in texts.iter().filter(hit) {
        assert!(!text.contains("kept other"), "{text}");
        let last = text.lines().rfind(|line| line.contains("kept one"));
        assert!(
            last.is_some_and(|line| line.contains("found one")),
            "{text}"
        );
    }
}

#[test]
fn an_old_address_counts_once_a_name_is_looked_up() {
    let plan = |node: &str| {
        let action = StaleNames::new(node, 1, 500).into();
        let when = When::AtMs(600);
        let faults = vec![Fault { when, action }];
        Plan {
            faults,
            ..Plan::calm()
        }
    };
    for (node, hits) in [("asks", true), ("one", false)] {
        let outcome = squall::storms("faults")
            .plan(plan(node))
            .one(Seed(1), |sim| {
                sim.process("one", says_who_it_is);
                sim.process("other", says_who_it_is);
                sim.process("asks", asks);
            });
        let [report] = &outcome.faults[..] else {
            panic!("{:?}", outcome.faults);
        };
        assert_eq!(
            (report.fired.is_some(), report.effective),
            (true, hits),
            "{report:?}"
        );
    }
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
