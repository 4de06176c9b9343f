//! Workflows: whatever is run again goes the same way.

use std::time::Duration;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, json};
use squall_services::{
    kit::{
        Code, Table, Writer,
        saga::{
            DEAD_LETTERS, Execution, SagaRecord, Status, StepStatus, facts, workflow::WaitsFor,
        },
    },
    orchestration::orders::Config,
    planted_bug::{Bug, Bugs},
};
use tokio::time::sleep;

use super::{
    engine::{Answer, Bench, ended, run, start},
    order::Town,
};

fn bench() -> Bench {
    Bench::of(Bugs::NONE, Execution::Workflow)
}

/// How a saga ended, without how often it asked. A step that was asked in two lives and refused in the second is undone
/// to be sure, so the two count as one.
fn end(saga: &SagaRecord<u32>) -> (Status, Vec<(String, StepStatus)>, Option<Code>) {
    let steps = saga.steps.iter().map(|step| match step.status {
        StepStatus::Failed => (step.name.clone(), StepStatus::Compensated),
        status => (step.name.clone(), status),
    });
    let why = saga.refusal.as_ref().map(|why| why.code);
    (saga.status, steps.collect(), why)
}

/// What was asked, each thing once in a row.
fn forward(asked: &[String]) -> Vec<&str> {
    let undos = ["stock-return", "money-free"];
    let mut steps: Vec<&str> = asked.iter().map(String::as_str).collect();
    steps.retain(|name| !undos.contains(name));
    steps.dedup();
    steps
}

#[tokio::test]
async fn a_workflow_of_four_remote_steps_costs_six_commits() {
    let bench = bench();
    let saga = run(&bench).await;
    assert_eq!(saga.status, Status::Completed);
    assert_eq!(saga.data, 4, "what the steps learnt is kept");
    let steps = ["stock-take", "money-hold", "money-capture", "stock-ship"];
    assert_eq!(bench.asked(), steps);
    let commits = bench.computer.commits();
    assert_eq!(commits, 6, "it begins in a commit of its own");
}

/// What the peers answer, always the same to the same question.
fn worlds() -> impl Strategy<Value = Vec<(&'static str, Answer)>> {
    let names = ["stock-take", "money-hold", "money-capture"];
    let answer = prop_oneof![2 => Just(Answer::Yes), 1 => Just(Answer::No)];
    proptest::collection::vec(answer, 3)
        .prop_map(move |answers| names.into_iter().zip(answers).collect())
}

/// Runs a workflow whose process dies right after its n-th commit, and what is done about that. `None`: it ended before.
async fn interrupted(
    world: &[(&'static str, Answer)],
    commits: usize,
    restarts: bool,
) -> Option<(SagaRecord<u32>, Bench)> {
    let bench = bench();
    for (name, answer) in world {
        bench.script(name, &[], *answer);
    }
    let (store, engine) = bench.boot().await;
    let id = start(&engine).await;
    while bench.computer.commits() < commits {
        sleep(Duration::from_millis(1)).await;
        if engine.read(&id).unwrap().unwrap().status.is_ended() {
            return None;
        }
    }
    bench.computer.crash();
    drop((store, engine));
    sleep(Duration::from_millis(20)).await;
    let engine = match restarts {
        true => {
            let (_, _, engine) = bench.boot_idle().await;
            engine.restart(&id).await.unwrap();
            let refused = engine.restart(&id).await.unwrap_err();
            assert_eq!(refused.code, Code::InvalidState, "it is driven by now");
            engine
        }
        false => bench.boot().await.1,
    };
    let saga = ended(&engine, &id).await;
    assert_eq!(engine.read(&id).unwrap().unwrap(), saga);
    Some((saga, bench))
}

#[tokio::test]
async fn a_replay_of_any_beginning_of_the_journal_goes_on_the_same_way() {
    let mut runner = TestRunner::deterministic();
    let (mut replays, mut ends) = (0, Vec::new());
    for _ in 0..20 {
        let world = worlds().new_tree(&mut runner).unwrap().current();
        let calm = bench();
        for (name, answer) in &world {
            calm.script(name, &[], *answer);
        }
        let expected = run(&calm).await;
        ends.push(expected.status);
        for restarts in [false, true] {
            for commits in 1.. {
                let Some((saga, bench)) = interrupted(&world, commits, restarts).await else {
                    break;
                };
                replays += 1;
                assert_eq!(end(&saga), end(&expected), "{world:?}, {commits} commits");
                assert_eq!(bench.standing(), calm.standing());
                let (asked, once) = (bench.asked(), calm.asked());
                assert_eq!(forward(&asked), forward(&once), "{commits} commits");
                assert!(
                    asked.len() <= once.len() + 2,
                    "only what was under way is asked again, and undone if it was refused: {asked:?}"
                );
                let mut noted = bench.world.lock().unwrap().noted.clone();
                noted.dedup();
                let once = noted.len() <= 1 || commits < 3;
                assert!(once, "a note is taken once: {noted:?}");
            }
        }
    }
    assert!(replays > 100, "{replays}");
    assert!(ends.contains(&Status::Completed) && ends.contains(&Status::Compensated));
}

#[tokio::test]
async fn a_replay_that_asks_for_something_else_needs_attention_and_loses_nothing() {
    let bench = bench();
    bench.script("money-capture", &[Answer::LostBefore; 3], Answer::Yes);
    let (store, engine) = bench.boot().await;
    let id = start(&engine).await;
    sleep(Duration::from_millis(60)).await;
    bench.computer.crash();
    let told = engine.history(&id).unwrap().unwrap().1;
    drop((store, engine));

    bench.world.lock().unwrap().money_first = true;
    let before = bench.asked();
    sleep(Duration::from_millis(20)).await;
    let (store, engine) = bench.boot().await;
    let saga = ended(&engine, &id).await;
    assert_eq!(saga.status, Status::NeedsAttention);
    assert_eq!(bench.asked(), before, "nothing is carried out");
    let letters = store.read(|tx| tx.scan(&DEAD_LETTERS, "")).unwrap();
    let reason = &letters[0].1.reason;
    let both = reason.contains("asks for money-hold") && reason.contains("stock-take");
    assert!(both, "{reason}");
    let after = engine.history(&id).unwrap().unwrap().1;
    assert_eq!(after[..told.len()], told[..], "the journal is as it was");

    // Once the function is mended, a restart takes it to its end.
    bench.world.lock().unwrap().money_first = false;
    engine.restart(&id).await.unwrap();
    let saga = ended(&engine, &id).await;
    assert_eq!(saga.status, Status::Completed);
    let all = ["money-capture", "money-hold", "stock-ship", "stock-take"];
    assert_eq!(bench.standing(), all);
    let refused = engine.restart(&id).await.unwrap_err();
    assert_eq!(refused.code, Code::InvalidState);
    let missing = engine.restart("SAGA-00000000").await.unwrap_err();
    assert_eq!(missing.code, Code::NotFound);
}

#[tokio::test]
async fn a_workflow_that_waits_for_a_person_is_shown_and_restarted_without_reading_others_letters()
{
    let bench = bench();
    bench.script("money-capture", &[], Answer::No);
    bench.script("money-free", &[], Answer::LostBefore);
    let (store, engine) = bench.boot().await;
    let another = Table::<Value>::new(DEAD_LETTERS.name);
    let unreadable = move |tx: &mut Writer| tx.put(&another, "DEAD-00000000", &Value::Null);
    store.write(unreadable).await.unwrap();
    let id = start(&engine).await;
    for _ in 0..2 {
        let saga = ended(&engine, &id).await;
        let reason = "money-free: lost".to_owned();
        let waits_for = store.read(|rows| engine.waits_for(rows, &saga)).unwrap();
        assert_eq!(waits_for, Some(WaitsFor::Person { reason }));
        engine.restart(&id).await.unwrap();
    }
    bench.script("money-free", &[], Answer::Yes);
    let saga = ended(&engine, &id).await;
    assert_eq!(saga.status, Status::Compensated);
    let waits_for = store.read(|rows| engine.waits_for(rows, &saga)).unwrap();
    assert_eq!(waits_for, None);
}

#[tokio::test]
async fn a_workflow_whose_letter_an_earlier_build_has_left_without_a_note_is_shown_and_restarted() {
    let bench = bench();
    bench.script("money-capture", &[], Answer::No);
    bench.script("money-free", &[], Answer::LostBefore);
    let (store, engine) = bench.boot().await;
    let id = start(&engine).await;
    engine.wait(&id).await.unwrap();
    let noted = id.clone();
    let forgets =
        move |tx: &mut Writer| tx.delete(&Table::<String>::new("open_dead_letters"), &noted);
    store.write(forgets).await.unwrap();
    bench.computer.crash();
    let (store, engine) = bench.boot().await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let saga = engine.read(&id).unwrap().unwrap();
    let reason = "money-free: lost".to_owned();
    let waits_for = store.read(|rows| engine.waits_for(rows, &saga)).unwrap();
    assert_eq!(waits_for, Some(WaitsFor::Person { reason }));
    bench.script("money-free", &[], Answer::Yes);
    engine.restart(&id).await.unwrap();
    let saga = ended(&engine, &id).await;
    assert_eq!(saga.status, Status::Compensated);
}

#[tokio::test]
async fn a_workflow_that_looks_at_the_clock_again_goes_astray_once_its_deadline_has_passed() {
    for (bugs, expected) in [
        (Bugs::NONE, Status::Completed),
        (
            Bugs::NONE.with(Bug::WorkflowNotDeterministic),
            Status::NeedsAttention,
        ),
    ] {
        let bench = Bench::of(bugs, Execution::Workflow);
        bench.script("money-capture", &[Answer::LostBefore; 3], Answer::Yes);
        let (store, engine) = bench.boot().await;
        let id = start(&engine).await;
        sleep(Duration::from_millis(60)).await;
        bench.computer.crash();
        drop((store, engine));
        sleep(Duration::from_secs(61)).await;
        let (store, engine) = bench.boot().await;
        let saga = ended(&engine, &id).await;
        assert_eq!(saga.status, expected);
        let journal = store
            .read(|tx| tx.scan(&facts::table::<u32>(), ""))
            .unwrap();
        let noted = journal.iter().filter(|(_, row)| row.name == "time noted");
        assert_eq!(noted.count(), 1);
    }
}

async fn town() -> Town {
    Town::of(Config {
        execution: squall_services::orchestration::orders::Execution::Workflow,
        ..Config::default()
    })
    .await
}

fn events(workflow: &Value) -> Vec<String> {
    let history = workflow["history"].as_array().unwrap();
    let told = history
        .iter()
        .map(|entry| match entry["event"].as_str().unwrap() {
            "step" => format!("{} {}", entry["step"], entry["status"]).replace('"', ""),
            event => event.to_owned(),
        });
    told.collect()
}

#[tokio::test]
async fn a_workflow_shows_its_history_and_cannot_be_restarted_once_it_has_ended() {
    let town = town().await;
    let placed = town.place("k1").await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    let id = placed.body["saga_id"].as_str().unwrap();
    let shown = town.get(&format!("/workflows/{id}")).await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.body["order_id"], placed.body["id"]);
    let state = [&shown.body["status"], &shown.body["waits_for"]];
    assert_eq!(state, [&json!("Completed"), &Value::Null]);
    assert_eq!(
        events(&shown.body),
        [
            "began",
            "order-create Done",
            "inventory-reserve Intended",
            "inventory-reserve Done",
            "payment-authorize Intended",
            "payment-authorize Done",
            "noted",
            "payment-capture Intended",
            "payment-capture Done",
            "inventory-confirm Intended",
            "inventory-confirm Done",
            "order-complete Done",
            "came",
        ]
    );
    let tells = shown.body.to_string().contains("card-1");
    assert!(!tells, "the data is nobody else's business");

    assert_eq!(town.place("k2").await.status, 201);
    let page = town.get("/workflows?limit=1").await;
    assert_eq!(page.body.as_array().map(Vec::len), Some(1));
    let after = page.body[0]["id"].as_str().unwrap();
    let rest = format!("/workflows?after={after}&status=Completed");
    assert_eq!(town.get(&rest).await.body.as_array().map(Vec::len), Some(1));

    let restart = |id: &str| format!("/workflows/{id}/restart");
    let (bad, missing) = ("INVALID_REQUEST", "NOT_FOUND");
    for (method, path, code, said) in [
        ("POST", &*restart(id), "INVALID_STATE", "has ended"),
        ("POST", &restart("SAGA-0"), missing, "SAGA-0"),
        ("GET", "/workflows/SAGA-0", missing, "no workflow SAGA-0"),
        ("GET", "/workflows?limit=0", bad, "limit"),
        ("GET", "/workflows?status=Lost", bad, "Lost"),
        ("DELETE", "/workflows", "METHOD_NOT_ALLOWED", "GET"),
    ] {
        let refused = town.ask(method, path, None, Value::Null).await;
        assert_eq!(refused.body["code"], code, "{path}");
        let detail = refused.body["detail"].as_str().unwrap();
        assert!(detail.contains(said), "{path}: {detail}");
    }
}

#[tokio::test]
async fn a_workflow_tells_what_it_waits_for_and_is_restarted_when_it_needs_a_person() {
    let town = town().await;
    let away = Some(Code::ServiceUnavailable);
    town.trouble("payment-capture", usize::MAX, away);
    let placed = town.place("k1").await;
    assert_eq!(placed.status, 202, "{}", placed.body);
    let path = format!("/workflows/{}", placed.body["saga_id"].as_str().unwrap());
    let restart = format!("{path}/restart");
    let shown = town.get(&path).await.body;
    assert_eq!(shown["status"], "Running");
    assert_eq!(shown["waits_for"]["step"], "payment-capture");
    let refused = town.post(&restart).await;
    assert_eq!(refused.status, 409);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("being driven right now"), "{detail}");

    sleep(Duration::from_secs(300)).await;
    let shown = town.get(&path).await.body;
    let state = [&shown["status"], &shown["waits_for"]["for"]];
    assert_eq!(state, ["NeedsAttention", "person"]);
    let reason = shown["waits_for"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("payment-capture: "), "{reason}");

    town.trouble("payment-capture", 0, None);
    assert_eq!(town.post(&restart).await.status, 202);
    sleep(Duration::from_secs(1)).await;
    let shown = town.get(&path).await.body;
    assert_eq!(shown["status"], "Completed");
    let mut calls = town.calls();
    calls.retain(|call| call.starts_with("inventory-reserve"));
    assert_eq!(calls.len(), 1, "what was done is answered from the journal");
    let letters = town.get("/dead-letters").await.body;
    assert!(letters[0]["redriven_ms"].is_u64(), "{letters}");
}

#[tokio::test]
async fn a_service_that_runs_no_workflows_shows_none() {
    let town = Town::of(Config::default()).await;
    let shown = town.get("/workflows").await;
    assert_eq!(shown.body["code"], "NOT_FOUND");
}
