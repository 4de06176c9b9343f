//! Rows of unmodified programs, read from their files at each sync.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{
    Sim,
    disk::Files,
    run::Outcome,
    seed::Seed,
    storm::Plan,
    trace::{Event, What},
};
use squall_kernel::Processes;
use tokio_real as tokio;

/// Writes down how much it has: 3, for a moment less than nothing, and 2 in the end.
async fn keeper() -> io::Result<()> {
    std::fs::create_dir_all("data")?;
    for has in ["3", "-1", "2"] {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open("data/has")?;
        file.write_all(has.as_bytes())?;
        file.sync_all()?;
        println!("has {has}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    std::future::pending().await
}

fn rows(files: &Files<'_>) -> io::Result<Vec<(String, String, Vec<u8>)>> {
    assert_eq!(files.files(), ["data/has"]);
    let has = std::fs::read(files.unpack()?.path("/data/has"))?;
    Ok(vec![("has".into(), "it".into(), has)])
}

fn run(seed: Seed, plan: Option<Plan>, extra: impl Fn(&Sim) + Send + Sync) -> Outcome {
    let storms = squall::storms("rows");
    let storms = match plan {
        Some(plan) => storms.plan(plan),
        None => storms,
    };
    storms.one(seed, move |sim| {
        sim.process("keeper", keeper);
        sim.client("waits", async |client: squall::Client| {
            client.sleep(Duration::from_secs(1)).await;
        });
        extra(sim);
    })
}

#[test]
fn what_is_there_only_between_two_syncs_is_seen() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let outcome = run(Seed(1), Some(Plan::calm()), |sim| {
        sim.read_rows("keeper", rows);
        sim.always("it has something", |commit, findings| {
            for row in commit.rows {
                let has = String::from_utf8_lossy(row.value.as_deref().unwrap_or_default());
                if has.starts_with('-') {
                    findings.broken("less than nothing", &[&row.key], "something", has);
                }
            }
        });
        let seen = seen.clone();
        sim.finally("it is known", Duration::ZERO, move |truth, _| {
            let has = truth.row("keeper", "has", "it").map(<[u8]>::to_vec);
            seen.lock().unwrap().push(has);
        });
    });
    let broken: Vec<_> = outcome.violations.iter().map(|v| &*v.found).collect();
    assert_eq!(broken, ["-1"]);
    let commits = outcome.trace.as_ref().unwrap().events.iter();
    let commits = commits.filter(|event| matches!(event.what, What::Commit { .. }));
    assert_eq!(commits.count(), 3);
}

#[test]
fn reading_changes_nothing_of_what_the_nodes_do() {
    /// What nodes do until the storm ends: how long it takes until all is quiet depends on what is judged.
    fn done(outcome: &Outcome) -> Vec<String> {
        let events = &outcome.trace.as_ref().unwrap().events;
        let of_storm = |event: &&Event| !matches!(&event.what, What::Healed);
        let events = events.iter().take_while(of_storm);
        let events = events.filter(|event| !matches!(event.what, What::Commit { .. }));
        let told: Vec<_> = events
            .map(|event| format!("{} {} {:?}", event.at, event.node, event.what))
            .collect();
        assert!(told.len() > 4, "{told:?}");
        told
    }
    for seed in (0..50).map(Seed) {
        let without = run(seed, None, |_| ());
        let with = run(seed, None, |sim| sim.read_rows("keeper", rows));
        assert_eq!(done(&with), done(&without), "{seed:?}");
    }
}

#[test]
fn rows_that_cannot_be_read_in_the_end_are_a_finding() {
    let outcome = run(Seed(1), Some(Plan::calm()), |sim| {
        sim.read_rows("keeper", |_| Err::<Vec<_>, _>("no rows"));
    });
    let [broken] = &outcome.violations[..] else {
        panic!("{:?}", outcome.violations);
    };
    assert_eq!((&*broken.tag, &*broken.found), ("unreadable", "no rows"));
}
