//! Timers are sites: a process can die or stand still just as one of its timers runs out.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{
    Client, Node, Sim,
    campaign::{Campaign, Seeds, Totals},
    explore::{Sweep, sweep::Matrix},
    run::{Options, Outcome, Spec, Verdict, run, run_with},
    scenario::{Bug, Scenario, Setup},
    seed::Seed,
    site::{Kind, Met},
    storm::{Fault, Plan, Profile},
    trace::Row,
};
use tracing::Instrument;

use crate::little::{
    Asking, Little, Log, crash, echo, for_ever, lasts, now, nth, pause, power_loss, seconds, site,
    turns,
};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A worker that waits on behalf of two operations, wins one race against a timeout, loses another, drops a sleep, and
/// sweeps once a second in a task with a name. Everything happens in the storm, which begins after 20 ms.
fn worker(log: Log) -> impl Fn(&Sim) + Send + Sync + use<> {
    move |sim: &Sim| {
        echo(sim, "peer");
        sim.node("worker", move |node: Node| async move {
            node.spawn_named("sweeper", {
                async move {
                    loop {
                        tokio::time::sleep(ms(1_000)).await;
                        log.tell(now(), "sweeps");
                    }
                }
            });
            node.sleep(ms(100)).await;
            log.tell(now(), "begins");
            let mut peer = Asking::default();
            async {
                tokio::time::sleep(ms(200)).await;
                log.tell(now(), "ann waited");
                peer.ask(&node, "peer", "ann?").await;
                log.tell(now(), "ann was answered");
            }
            .instrument(tracing::info_span!("work", op = "ann-1"))
            .await;
            async {
                let silence = std::future::pending::<()>();
                let _ = tokio::time::timeout(ms(300), silence).await;
                log.tell(now(), "ben gave up");
                drop(Box::pin(tokio::time::sleep(ms(10))));
            }
            .instrument(tracing::info_span!("work", op = "ben-2/step"))
            .await;
            for_ever().await
        });
        lasts(sim, 3);
    }
}

fn timers(outcome: &Outcome) -> Vec<(String, u32, f64)> {
    let timers = outcome
        .sites
        .iter()
        .filter(|met| met.site.kind == Kind::Timer);
    timers
        .map(|Met { site, at, .. }| {
            let at = (seconds(*at) * 100.0).round() / 100.0;
            (format!("{} {}", site.node, site.label), site.attempt, at)
        })
        .collect()
}

fn with(options: Options, faults: Vec<Fault>) -> (Outcome, Vec<String>) {
    let log = Log::default();
    let scenario = Little(worker(log));
    let spec = Spec::of(&scenario, Seed(1)).under(Plan::new(faults));
    let outcome = run_with(&scenario, &spec, options);
    (outcome, log.lines())
}

fn census() -> Options {
    Options {
        census: true,
        ..Options::traced(true)
    }
}

#[test]
fn timers_that_run_out_are_sites_named_after_what_waits() {
    let (outcome, _) = with(census(), vec![]);
    // Won races and what is not waited for any more are none, nor are the network's own waits.
    let expected = [
        ("worker main", 1, 0.12),
        ("worker ann-1", 1, 0.32),
        ("worker ben-2/step", 1, 0.62),
        ("worker sweeper", 1, 1.02),
        ("worker sweeper", 2, 2.02),
        ("worker sweeper", 3, 3.02),
    ];
    let mut timers = timers(&outcome);
    // The node boots at the very beginning, the storm some milliseconds later.
    timers.iter_mut().for_each(|(_, _, at)| *at += 0.02);
    let near = |a: f64, b: f64| (a - b).abs() < 0.025;
    assert_eq!(timers.len(), expected.len(), "{timers:?}");
    for ((name, attempt, at), (expected, nth, when)) in timers.iter().zip(expected) {
        assert_eq!((&**name, *attempt), (expected, nth));
        assert!(near(*at, when), "{name} at {at}");
    }
}

#[test]
fn whoever_dies_at_a_timer_does_nothing_more() {
    for action in [crash("worker", 60_000), power_loss("worker", 60_000)] {
        let fault = site("worker", Kind::Timer, "ann-1", 1, action);
        let (outcome, said) = with(Options::traced(true), vec![fault]);
        let report = &outcome.faults[0];
        let fired = seconds(report.fired.expect("it fired"));
        assert!((0.3..0.31).contains(&fired), "{fired}");
        assert!(report.effective);
        assert_eq!(report.site.as_ref().expect("at a site").kind, Kind::Timer);
        let before: Vec<&str> = said.iter().map(|line| &**line).take(1).collect();
        assert_eq!(before, ["begins"]);
        assert_ne!(said.get(1).map(|line| &**line), Some("ann waited"));
    }
}

#[test]
fn whoever_stands_still_at_a_timer_goes_on_where_it_stood() {
    for schedule in [None, Some(2)] {
        let log = Log::default();
        let scenario = Little(worker(log));
        let fault = nth("worker", Kind::Timer, 2, pause("worker", 10_000));
        let plan = Plan {
            pct: schedule,
            ..Plan::new(vec![fault])
        };
        let spec = Spec::of(&scenario, Seed(1)).under(plan);
        let outcome = run(&scenario, &spec, true);
        assert_eq!(outcome.verdict, Verdict::Survived);
        let lives: Vec<&str> = turns(&outcome, "worker").iter().map(|t| t.1).collect();
        assert_eq!(lives, ["boots", "pauses", "resumes"]);
        let told = log.take();
        let at = |line: &str| {
            let found = told.iter().find(|(_, said)| said == line);
            found.map(|(at, _)| seconds(*at)).expect("it was said")
        };
        assert!((0.1..0.11).contains(&at("begins")));
        assert!((10.3..10.4).contains(&at("ann waited")), "{told:?}");
        assert!(told.iter().filter(|(_, said)| said == "ann waited").count() == 1);
    }
}

#[test]
fn to_watch_timers_changes_nothing() {
    let run_of = |options, fault: Option<Fault>| with(options, fault.into_iter().collect()).0;
    let fault = || nth("peer", Kind::Timer, 99, crash("peer", 10));
    let other = || nth("worker", Kind::Commit, 99, crash("worker", 10));
    let watched = run_of(Options::traced(true), Some(fault()));
    let unwatched = run_of(Options::traced(true), Some(other()));
    let counted = run_of(census(), Some(fault()));
    assert_eq!(watched.hash, unwatched.hash);
    assert_eq!(watched.hash, counted.hash);
}

/// A holder of a lease that waits for a while before it writes. Planted, it looks at its lease before it waits and not
/// after.
struct Leased;

const LEASE: Duration = Duration::from_secs(10);

impl Scenario for Leased {
    fn name(&self) -> &str {
        "leased"
    }

    fn about(&self) -> &str {
        "a lease, and a wait before what it is for"
    }

    fn bugs(&self) -> Vec<Bug> {
        vec![Bug {
            name: "looks-too-early",
            about: "the holder looks at its lease before it waits",
        }]
    }

    fn profile(&self) -> Profile {
        Profile::new(&["holder"], &[])
    }

    fn build(&self, sim: &Sim, setup: &Setup) {
        let too_early = setup.plant.is_some();
        let owner: Arc<Mutex<Option<&'static str>>> = Arc::default();
        sim.node("keeper", {
            let owner = owner.clone();
            move |node| keeper(node, owner.clone())
        });
        sim.node("holder", move |node| holder(node, too_early));
        sim.client("rival", |client: Client| async move {
            client.node().sleep(ms(20_000)).await;
            Asking::default()
                .insist(client.node(), "keeper", "take rival")
                .await;
            client.node().sleep(ms(80_000)).await;
        });
        sim.always("who writes holds the lease", move |commit, findings| {
            let owner = *owner.lock().unwrap();
            if owner.is_some_and(|owner| owner != commit.rows[0].key) {
                findings.broken("written by another", &["keeper"], "the owner", "another");
            }
        });
    }
}

async fn keeper(node: Node, owner: Arc<Mutex<Option<&'static str>>>) -> std::io::Result<()> {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let mut listener = node.listen()?;
    let free_at = Arc::new(Mutex::new(now()));
    loop {
        let mut caller = BufReader::new(listener.accept().await?);
        let (own, owner, free_at) = (node.clone(), owner.clone(), free_at.clone());
        node.spawn(async move {
            let mut line = String::new();
            while matches!(caller.read_line(&mut line).await, Ok(1..)) {
                let (verb, who) = line.trim_end().split_once(' ').expect("two words");
                let who = if who == "holder" { "holder" } else { "rival" };
                let free = now() >= *free_at.lock().unwrap();
                let done = match verb {
                    "take" => free || *owner.lock().unwrap() == Some(who),
                    _ => true,
                };
                if verb == "take" && done {
                    *owner.lock().unwrap() = Some(who);
                    *free_at.lock().unwrap() = now() + LEASE;
                } else if verb == "write" {
                    let row = Row::new("rows", who, Some(b"written".to_vec()));
                    own.committed("rows", vec![row]);
                }
                let told = if done { "ok\n" } else { "no\n" };
                if caller.write_all(told.as_bytes()).await.is_err() || caller.flush().await.is_err()
                {
                    return;
                }
                line.clear();
            }
        });
    }
}

async fn holder(node: Node, too_early: bool) -> Result<(), String> {
    loop {
        // The storm begins while it sleeps.
        node.sleep(ms(100)).await;
        let (mut keeper, asked) = (Asking::default(), now());
        let holds = || now().since(asked) < LEASE / 2;
        if keeper.ask(&node, "keeper", "take holder").await.as_deref() != Some("ok") {
            node.sleep(ms(1_000)).await;
            continue;
        }
        let held = holds();
        node.sleep(ms(500)).await;
        if if too_early { held } else { holds() } {
            keeper.ask(&node, "keeper", "write holder").await;
            return for_ever().await;
        }
    }
}

fn sweep(plant: Option<&str>) -> (Totals, Matrix) {
    let seeds = Seeds::one(Seed(1));
    let campaign = Campaign {
        plant: plant.map(str::to_owned),
        ..Campaign::over(&Leased, seeds)
    };
    let mut explorer = Sweep::new(&Leased, seeds, 0);
    let totals = campaign.explore(&mut explorer, &mut |_| ());
    (totals, explorer.matrix())
}

#[test]
fn a_sweep_finds_what_only_a_pause_at_a_timer_shows() {
    let (totals, matrix) = sweep(Some("looks-too-early"));
    assert!(!totals.is_clean());
    let mut broken = 0;
    for row in &matrix.rows {
        for cell in row.cells.iter().filter(|cell| cell.broke.is_some()) {
            assert_eq!((&row.site.kind, &*cell.column), (&Kind::Timer, "pause"));
            broken += 1;
        }
    }
    assert!(broken > 0);

    let (totals, matrix) = sweep(None);
    assert!(totals.is_clean(), "{:#?}", totals.failures);
    let timers = matrix
        .rows
        .iter()
        .filter(|row| row.site.kind == Kind::Timer);
    assert!(timers.count() > 1);
}
