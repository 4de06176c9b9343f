//! Who comes when: clients with the storm, operators beside them, late clients once all is settled.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{
    Client, Node, Sim,
    fault::Cut,
    run::Verdict,
    storm::{Action, Fault, Plan},
    trace::Row,
};

use crate::little::{Little, Log, at, crash, echo, for_ever, lasts, now};

fn row(key: &str) -> Vec<Row> {
    vec![Row::new("rows", key, Some(b"1".to_vec()))]
}

#[test]
fn an_operator_begins_with_the_storm_and_nobody_waits_for_its_end() {
    let log = Log::default();
    let outcome = Little(move |sim: &Sim| {
        sim.prepare(|client: Client| async move {
            client.node().sleep(Duration::from_secs(3)).await;
        });
        sim.operator("operator", move |client: Client| async move {
            log.tell(now(), "begins");
            std::future::pending::<()>().await;
            drop(client);
        });
        lasts(sim, 1);
    })
    .run(vec![]);
    assert_eq!(outcome.verdict, Verdict::Survived);
    let [(began, _)] = &log.take()[..] else {
        panic!("it begins once");
    };
    assert!((3.0..3.1).contains(&began.since_start().as_secs_f64()));
}

#[test]
fn a_late_client_comes_once_all_is_settled_and_all_settles_anew_after_it() {
    let came = Arc::new(Mutex::new(None));
    let saw = came.clone();
    let outcome = Little(move |sim: &Sim| {
        // Right from 30 s on; wrong for 10 s from when the late client comes.
        sim.node("slow", |node: Node| async move {
            node.sleep(Duration::from_secs(30)).await;
            node.committed("file", row("right"));
            for_ever().await
        });
        let saw = saw.clone();
        let late = saw.clone();
        sim.late_client("late", move |client: Client| async move {
            *saw.lock().unwrap() = Some(client.now());
            client.node().sleep(Duration::from_secs(5)).await;
        });
        sim.finally("right", Duration::from_secs(40), move |truth, findings| {
            let arrived = *late.lock().unwrap();
            let disturbed = arrived.is_some_and(|at| findings.now().since(at).as_secs() < 10);
            if disturbed || truth.row("slow", "rows", "right").is_none() {
                findings.broken("wrong", &[], "right", "wrong");
            }
        });
        lasts(sim, 1);
    })
    .run(vec![]);
    assert_eq!(outcome.verdict, Verdict::Survived);
    let came = came.lock().unwrap().expect("it came");
    assert!(came.since_start() >= Duration::from_secs(35), "{came}");
    assert!(outcome.ended.since(came) >= Duration::from_secs(10));
}

#[test]
fn a_late_client_that_does_not_end_makes_a_run_stuck() {
    let outcome = Little(|sim: &Sim| {
        sim.late_client("late", |_: Client| std::future::pending());
        lasts(sim, 1);
    })
    .run(vec![]);
    let Verdict::Stuck(why) = &outcome.verdict else {
        panic!("{:?}", outcome.verdict);
    };
    assert!(why.starts_with("1 late clients did not end"), "{why}");
}

#[test]
fn a_plan_may_do_without_operators_and_late_clients() {
    let plan = Plan {
        without: vec!["operator".to_owned(), "late".to_owned()],
        ..Plan::calm()
    };
    let little = Little(|sim: &Sim| {
        for_both(sim, |client: Client| async move {
            client.broken(
                "nobody comes",
                "came",
                &[client.name()],
                "nobody",
                "somebody",
            );
        });
        lasts(sim, 1);
    });
    let outcome = little.run_plan(plan);
    assert_eq!(outcome.verdict, Verdict::Survived);
    assert_eq!(outcome.unmet, Vec::<String>::new());
}

fn for_both<F>(sim: &Sim, task: impl FnOnce(Client) -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    sim.operator("operator", task.clone());
    sim.late_client("late", task);
}

/// For how long it has been calm, in whole tenths of a second, every 500 ms of a storm.
fn calm_times(faults: Vec<Fault>) -> Vec<Option<u128>> {
    let seen: Arc<Mutex<Vec<Option<u128>>>> = Arc::default();
    let calm = seen.clone();
    Little(move |sim: &Sim| {
        echo(sim, "peer");
        let calm = calm.clone();
        sim.client("alice", move |client: Client| async move {
            for _ in 0..6 {
                client.node().sleep(Duration::from_millis(500)).await;
                let tenths = client.calm_for().map(|calm| calm.as_millis() / 100);
                calm.lock().unwrap().push(tenths);
            }
        });
    })
    .run(faults);
    std::mem::take(&mut seen.lock().unwrap())
}

#[test]
fn a_client_is_told_for_how_long_it_has_been_calm() {
    let ever = [5, 10, 15, 20, 25, 30].map(Some);
    assert_eq!(calm_times(vec![]), ever);

    // Down from 1.2 s to 1.9 s.
    let down = calm_times(vec![at(1_200, crash("peer", 700))]);
    assert_eq!(down, [Some(5), Some(10), None, Some(1), Some(6), Some(11)]);

    let cut = Action::Cut(Cut::new("alice", "peer", true, 700));
    let cut = calm_times(vec![at(1_200, cut)]);
    assert_eq!(cut, [Some(5), Some(10), None, Some(1), Some(6), Some(11)]);
}

/// Whether a disturbance of the last three seconds explains what happens, and in which life the peer is, at four instants.
fn weather_of(faults: Vec<Fault>) -> Vec<(bool, u32)> {
    let seen: Arc<Mutex<Vec<(bool, u32)>>> = Arc::default();
    let weather = seen.clone();
    Little(move |sim: &Sim| {
        echo(sim, "peer");
        let (told, weather) = (weather.clone(), sim.weather());
        sim.client("alice", move |client: Client| async move {
            for wait in [500, 700, 800, 4_000] {
                client.node().sleep(Duration::from_millis(wait)).await;
                let explained = weather.explains(Duration::from_secs(3));
                told.lock()
                    .unwrap()
                    .push((explained, weather.life_of("peer")));
            }
        });
    })
    .run(faults);
    std::mem::take(&mut seen.lock().unwrap())
}

#[test]
fn a_check_knows_whether_a_disturbance_explains_what_happens_and_in_which_life_a_node_is() {
    assert_eq!(weather_of(vec![]), [(false, 1); 4]);
    // Down from 1 s to 1.5 s.
    let crashed = weather_of(vec![at(1_000, crash("peer", 500))]);
    assert_eq!(crashed, [(true, 1), (true, 1), (true, 2), (false, 2)]);
}

#[test]
fn a_check_hears_what_a_node_says_and_no_goal_comes_of_it() {
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let ears = heard.clone();
    let outcome = Little(move |sim: &Sim| {
        for (name, n) in [("one", 1), ("two", 2)] {
            sim.node(name, move |_: Node| async move {
                tracing::info!(n, "here it is");
                tracing::info!(n, "something else");
                for_ever().await
            });
        }
        let ears = ears.clone();
        sim.hear("one", "here it is", move |_, fields| {
            ears.lock().unwrap().push(fields.to_owned());
        });
        lasts(sim, 1);
    })
    .run(vec![]);
    assert_eq!(*heard.lock().unwrap(), ["n=1"]);
    assert!(outcome.sometimes.is_empty());
}
