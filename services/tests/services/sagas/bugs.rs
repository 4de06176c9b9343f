//! What planted bugs of the order service do, without a storm.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use squall_services::{
    kit::{
        Code,
        store::{Seat, Shared},
    },
    orchestration::orders::{self, Config, Execution},
    planted_bug::Bug,
};
use tokio::time::sleep;

use super::order::Town;
use crate::support::{
    machine::{Network, start},
    world::World,
};

async fn town(bug: Option<Bug>, execution: Execution) -> Town {
    Town::of(Config {
        bugs: bug.into_iter().collect(),
        execution,
        answer_within: Duration::from_secs(2),
        ..Config::default()
    })
    .await
}

#[tokio::test]
async fn an_order_under_way_is_told_as_accepted_and_as_refused_only_where_the_bug_is() {
    for (bug, expected) in [(None, 202), (Some(Bug::AcceptedToldAsRefused), 409)] {
        let town = town(bug, Execution::Saga).await;
        town.trouble("payment-capture", 18, Some(Code::ServiceUnavailable));
        assert_eq!(town.place("k1").await.status, expected, "{bug:?}");
        sleep(Duration::from_secs(60)).await;
        assert_eq!(town.orders().await[0]["status"], "COMPLETED", "{bug:?}");
    }
}

#[tokio::test]
async fn a_crash_at_the_end_of_a_saga_leaves_no_key_in_flight_except_where_the_bug_is() {
    for (bug, answered) in [(None, true), (Some(Bug::KeySettledAfterTheEnd), false)] {
        let town = town(bug, Execution::Saga).await;
        let dies = async {
            while town.computer.commits() < 5 {
                tokio::task::yield_now().await;
            }
            town.computer.crash();
        };
        let _ = tokio::join!(town.try_to_place("k1"), dies);
        town.boot().await;
        sleep(Duration::from_secs(60)).await;
        assert_eq!(town.orders().await[0]["status"], "COMPLETED", "{bug:?}");
        let again = town.try_to_place("k1").await;
        assert_eq!(again.is_ok(), answered, "{bug:?}: {again:?}");
    }
}

#[tokio::test]
async fn a_dead_letter_that_is_redriven_twice_pays_twice_only_where_the_bug_is() {
    for (bug, again, captures) in [(None, 409, 1), (Some(Bug::LetterRedrivenTwice), 202, 2)] {
        for execution in [Execution::Saga, Execution::Workflow] {
            let town = town(bug, execution).await;
            town.trouble("payment-capture", 1_000, Some(Code::ServiceUnavailable));
            assert_eq!(town.place("k1").await.status, 202);
            sleep(Duration::from_secs(300)).await;
            let redrive = town.redrive().await;
            town.trouble("payment-capture", 0, None);
            assert_eq!(town.post(&redrive).await.status, 202);
            assert_eq!(town.post(&redrive).await.status, again, "{bug:?}");
            sleep(Duration::from_secs(60)).await;
            assert_eq!(town.orders().await[0]["status"], "COMPLETED", "{bug:?}");
            let standing = town.standing();
            let captured = standing.iter().filter(|step| *step == "payment-capture");
            assert_eq!(captured.count(), captures, "{bug:?} {execution:?}");
        }
    }
}

#[tokio::test]
async fn the_sagas_of_workflows_are_rebuilt_as_they_were_and_again() {
    let town = town(None, Execution::Workflow).await;
    assert_eq!(town.place("k1").await.status, 201);
    town.trouble("payment-capture", 18, Some(Code::ServiceUnavailable));
    assert_eq!(town.place("k2").await.status, 202);
    let (orders, sagas) = ("/orders?user=alice", "/sagas");
    let before = (town.get(orders).await.body, town.get(sagas).await.body);
    for _ in 0..2 {
        let rebuilt = town.post("/sagas/rebuild").await;
        assert_eq!((rebuilt.status, rebuilt.body), (200, json!({ "sagas": 2 })));
    }
    let after = (town.get(orders).await.body, town.get(sagas).await.body);
    assert_eq!(after, before);
    let open = town.get("/sagas?status=Running").await.body;
    assert_eq!(open.as_array().map(Vec::len), Some(1));
    sleep(Duration::from_secs(60)).await;
    let later = town.place("k2").await;
    assert_eq!(later.status, 201, "it has gone on meanwhile");
}

#[tokio::test]
async fn sagas_that_are_kept_as_they_are_cannot_be_rebuilt() {
    let town = town(None, Execution::Saga).await;
    let refused = town.post("/sagas/rebuild").await;
    assert_eq!(refused.problem().code, Code::InvalidState);
}

#[tokio::test]
async fn a_rebuild_is_one_commit_except_where_the_bug_is() {
    for (bug, commits) in [(None, 1), (Some(Bug::RebuildInTwoCommits), 2)] {
        let town = town(bug, Execution::Workflow).await;
        assert_eq!(town.place("k1").await.status, 201);
        let before = town.computer.commits();
        assert_eq!(town.post("/sagas/rebuild").await.status, 200);
        assert_eq!(town.computer.commits() - before, commits, "{bug:?}");
    }
}

#[tokio::test]
async fn ids_of_sagas_differ_except_where_the_bug_is() {
    for (bug, differ) in [(None, true), (Some(Bug::SagaIdsCollide), false)] {
        let town = town(bug, Execution::Saga).await;
        let mut ids = BTreeSet::new();
        for n in 0..300 {
            let placed = town.place(&format!("k{n}")).await.body;
            ids.insert(placed["saga_id"].to_string());
        }
        assert_eq!(ids.len() == 300, differ, "{bug:?}");
    }
}

#[tokio::test]
async fn a_replica_whose_database_is_away_says_so_except_where_the_bug_is() {
    for (bug, expected) in [(None, None), (Some(Bug::ReplicaSaysNotThere), Some(404))] {
        let network = Network::default();
        let shared = Shared {
            seat: Seat::default(),
            peer: Some("database".to_owned()),
            within: Duration::from_millis(100),
        };
        let config = Config {
            bugs: bug.into_iter().collect(),
            ..Config::default()
        };
        let platform = network.sharing("order", &shared);
        start(&platform, |platform| orders::run(platform, config));
        let world = World::over(network);
        world.pass(Duration::from_millis(10)).await;
        for path in ["GET /orders/ORD-1", "GET /sagas/SAGA-1"] {
            let reply = world.call("order", path, None, &Value::Null).await;
            assert_eq!(reply.ok().map(|reply| reply.status), expected, "{path}");
        }
    }
}
