//! UDP between unmodified programs, under faults.

use std::{collections::BTreeMap, time::Duration};

use squall::{
    Processes, Sim,
    fault::{Crash, Cut, DelayBurst, DuplicateBurst, LoseBurst, Loss, PowerLoss},
    seed::Seed,
    storm::{Action, Fault, Plan, When},
    unmodified,
};
use squall_core::{event::What, site::Kind};
use tokio::net::UdpSocket;
use tokio_real as tokio;

/// Sends each datagram back, with the number of those that came before it.
async fn echo() -> std::io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:9000").await?;
    let mut buffer = [0; 1500];
    for count in 0u32.. {
        let (len, from) = socket.recv_from(&mut buffer).await?;
        let answer = [&count.to_be_bytes(), &buffer[..len]].concat();
        socket.send_to(&answer, from).await?;
    }
    Ok(())
}

/// Asks ten times, 100 ms apart, and tells which question each answer is to and how many the server had heard before.
async fn asks(client: squall::Client) {
    let socket = UdpSocket::bind("0.0.0.0:0").await.expect("there is a port");
    socket.connect("echo:9000").await.expect("it has a name");
    let mut buffer = [0; 64];
    for question in 0..10u8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        socket.send(&[question]).await.expect("it leaves");
        let patience = Duration::from_millis(90);
        while let Ok(answer) = tokio::time::timeout(patience, socket.recv(&mut buffer)).await {
            let len = answer.expect("nobody refuses");
            assert_eq!(len, 5);
            let [a, b, c, d, to, ..] = buffer;
            let before = u32::from_be_bytes([a, b, c, d]);
            client.ok("answer", &format!("to {to} after {before}"));
        }
    }
}

fn system(sim: &Sim) {
    sim.process("echo", echo);
    sim.client("asks", unmodified(asks));
}

/// How often each question was answered.
fn answers(storm: Plan, build: impl Fn(&Sim) + Send + Sync) -> BTreeMap<String, usize> {
    let outcome = squall::storms("datagrams").plan(storm).one(Seed(1), build);
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
    let trace = outcome.trace.expect("it is kept");
    let mut answers = BTreeMap::new();
    for event in &trace.events {
        if let What::Client { op, detail, .. } = &event.what
            && op == "answer"
        {
            let to = detail.split(" after").next().unwrap_or_default();
            *answers.entry(to.to_owned()).or_default() += 1;
        }
    }
    answers
}

fn at(nth: u64, action: impl Into<Action>) -> Plan {
    let when = When::nth("asks", Kind::Send("echo".to_owned()), nth);
    Plan::new(vec![Fault {
        when,
        action: action.into(),
    }])
}

fn at_ms(ms: u64, action: impl Into<Action>) -> Plan {
    let when = When::AtMs(ms);
    Plan::new(vec![Fault {
        when,
        action: action.into(),
    }])
}

#[test]
fn each_datagram_arrives_once() {
    let answers = answers(Plan::calm(), system);
    let expected = (0..10).map(|question| (format!("to {question}"), 1));
    assert_eq!(answers, expected.collect());
}

#[test]
fn a_datagram_that_is_lost_or_comes_twice_is_that_one_alone() {
    let lost = answers(at(4, LoseBurst::new()), system);
    assert_eq!((lost.get("to 3"), lost.len()), (None, 9), "{lost:?}");
    let twice = answers(at(4, DuplicateBurst::new(5)), system);
    assert_eq!((twice["to 3"], twice.len()), (2, 10), "{twice:?}");
    let late = answers(at(4, DelayBurst::new(150)), system);
    assert_eq!((late["to 3"], late.len()), (1, 10), "{late:?}");
}

#[test]
fn nothing_passes_a_partition_and_nothing_is_sent_again_after_it() {
    let cut = answers(at_ms(450, Cut::new("asks", "echo", false, 500)), system);
    assert_eq!(cut.values().sum::<usize>(), 7, "{cut:?}");
    let back = answers(at_ms(450, Cut::new("echo", "asks", false, 500)), system);
    assert_eq!(back, cut);
}

#[test]
fn a_link_loses_some() {
    let lossy = answers(at_ms(0, Loss::new("asks", "echo", 50, 20_000)), system);
    assert!((2..9).contains(&lossy.len()), "{lossy:?}");
}

#[test]
fn a_crashed_receiver_refuses_and_a_machine_without_power_is_silent() {
    let refused = |fault: Action| {
        let build = |sim: &Sim| {
            sim.process("echo", echo);
            sim.client(
                "asks",
                unmodified(async |client: squall::Client| {
                    let socket = UdpSocket::bind("0.0.0.0:0").await.expect("there is a port");
                    socket.connect("echo:9000").await.expect("it has a name");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    let mut refused = 0;
                    for _ in 0..10 {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        refused += usize::from(socket.send(b"x").await.is_err());
                    }
                    client.ok("answer", &format!("refused {}", refused > 2));
                }),
            );
        };
        answers(at_ms(900, fault), build)
    };
    let yes = [("refused true".to_owned(), 1)];
    let no = [("refused false".to_owned(), 1)];
    assert_eq!(refused(Crash::new("echo", 3_000).into()), yes.into());
    assert_eq!(refused(PowerLoss::new("echo", 3_000).into()), no.into());
}

#[test]
fn a_hundred_storms_are_repeatable() {
    let hash = |seed| squall::storms("datagrams").one(Seed(seed), system).hash;
    let hashes = || -> Vec<_> { (0..100).map(hash).collect() };
    assert_eq!(hashes(), hashes());
}
