//! The healing: every storm ends, whatever of it was still to come.

use std::{sync::Arc, time::Duration};

use squall::{
    Client, Node, Sim,
    fault::{
        CrashLoop, Cut, DiskFull, Flap, HangConnects, Isolate, Latency, Loss, Pause, Refuse,
        SlowDisk, SlowNode, Trickle,
    },
    run::Verdict,
    storm::Action,
    trace::{Fate, FaultEvent, Life, What},
};

use crate::{
    bank::stormy,
    little::{Asking, Little, at, crash, events, for_ever, now, power_loss, seconds},
};

#[test]
fn after_the_healing_no_fault_begins_and_every_node_is_up_and_every_link_is_open() {
    let mut unfinished = 0;
    for outcome in stormy(0..100) {
        assert_eq!(outcome.verdict, Verdict::Survived);
        let events = events(&outcome);
        let is_healing = |what: &What<'_>| *what == What::Healed;
        let healed = events
            .iter()
            .position(|event| is_healing(&event.what))
            .expect("every run heals");
        let (before, after) = events.split_at(healed);
        let count = |part: &[squall::trace::Event], turn: FaultEvent| {
            let faults = part
                .iter()
                .filter(|event| matches!(&event.what, What::Fault { event, .. } if *event == turn));
            faults.count()
        };
        assert_eq!(
            count(after, FaultEvent::Begins) + count(after, FaultEvent::Fires),
            0
        );
        unfinished +=
            usize::from(count(before, FaultEvent::Begins) > count(before, FaultEvent::Ends));

        for node in ["front", "vault"] {
            let mut up = false;
            for event in before.iter().filter(|event| event.node == node) {
                // An old process comes and goes beside the one that counts.
                if let What::Node { event: turn, .. } = &event.what
                    && *turn != Life::OldEnds
                {
                    up = matches!(turn, Life::Boots | Life::Resumes | Life::Pauses);
                }
            }
            assert!(up, "{node} is down after the healing");
        }
        // Connections that a cut or a lost burst has killed stay dead: the prober's are new ones.
        let probing = after.iter().filter(|event| event.node == "prober");
        let fates: Vec<_> = probing
            .filter_map(|event| match &event.what {
                What::Burst { latency, fate, .. } => Some((*fate, *latency)),
                _ => None,
            })
            .collect();
        assert_eq!(fates.len(), 3);
        let open = |(fate, latency): &(Fate, Duration)| {
            *fate == Fate::Sent && *latency <= Duration::from_millis(10)
        };
        assert!(fates.iter().all(open), "{fates:?}");
    }
    assert!(
        unfinished > 20,
        "{unfinished} storms were cut short by the healing"
    );
}

#[test]
fn the_healing_ends_what_would_have_gone_on_for_a_day() {
    let day = 86_400_000;
    let node = || "peer".to_owned();
    let (from, to) = (|| "alice".to_owned(), || "peer".to_owned());
    for action in [
        crash("peer", day),
        power_loss("peer", day),
        Action::CrashLoop(CrashLoop::new(node(), 1_000, 1_000)),
        Action::Pause(Pause::new(node(), day)),
        Action::SlowNode(SlowNode::new(node(), 2_000, day)),
        Action::Cut(Cut::new(from(), to(), true, day)),
        Action::Isolate(Isolate::new(node(), day)),
        Action::Flap(Flap::new(from(), to(), 1_000, 60_000)),
        Action::Latency(Latency::new(from(), to(), 2_000, day)),
        Action::Loss(Loss::new(from(), to(), 99, day)),
        Action::Trickle(Trickle::new(to(), from(), 1, day)),
        Action::Refuse(Refuse::new(node(), day)),
        Action::HangConnects(HangConnects::new(node(), day)),
        Action::DiskFull(DiskFull::new(node(), day)),
        Action::SlowDisk(SlowDisk::new(node(), 5_000, day)),
    ] {
        let told = action.to_string();
        let outcome = Little(|sim: &Sim| {
            sim.node("peer", |node: Node| async move {
                use redb::StorageBackend;
                use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
                let file = Arc::new(node.disk().open("file").map_err(|e| e.to_string())?);
                let mut listener = node.listen().map_err(|e| e.to_string())?;
                let mut at = 0;
                loop {
                    let accepted = listener.accept().await.map_err(|e| e.to_string())?;
                    let mut caller = BufReader::new(accepted);
                    let mut line = String::new();
                    let read = caller.read_line(&mut line);
                    let _ = tokio::time::timeout(Duration::from_secs(1), read).await;
                    at += 4096;
                    let wrote = Arc::new(std::sync::Mutex::new(false));
                    let (written, to) = (wrote.clone(), file.clone());
                    let job = move || {
                        let done = to.set_len(at + 4096).and_then(|()| to.write(at, &[1]));
                        *written.lock().unwrap() = done.is_ok();
                    };
                    node.execute(Box::new(job)).await;
                    if *wrote.lock().unwrap() {
                        let _ = caller.write_all(line.as_bytes()).await;
                        let _ = caller.flush().await;
                    }
                }
                #[allow(unreachable_code)]
                for_ever().await
            });
            sim.client("alice", |client: Client| async move {
                let mut served = false;
                while !served {
                    client.node().sleep(Duration::from_millis(200)).await;
                    let asked = Asking::default().ask(client.node(), "peer", "hello").await;
                    served = asked.is_some() && seconds(now()) > 1.0;
                }
            });
        })
        .run(vec![at(500, action)]);
        assert_eq!(outcome.verdict, Verdict::Survived, "{told}");
        assert!(outcome.faults[0].effective, "{told}");
        // The client gets no answer in the storm, which ends after 1,200 s, and one soon after it.
        let ended = seconds(outcome.ended);
        assert!(ended < 1_220.0, "{told}: {ended}");
    }
}
