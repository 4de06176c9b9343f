//! The engine against a world that answers as it likes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use squall_services::{
    kit::{
        Code, Context, Store, StoreError, Table, Writer,
        saga::{
            Act, Call, Config, DEAD_LETTERS, Engine, Execution, OPEN_SAGAS, Saga, SagaRecord,
            Status, Step, Stopped, Undo, Workflow,
        },
    },
    planted_bug::{Bug, Bugs},
    ports::Platform,
};
use tokio::time::sleep;

use crate::support::{computer::Computer, machine::Network};

/// `stock` and `money` can be undone, `capture` is the pivot, `ship` moves forward.
const PLAN: [Step; 6] = [
    Step::compensatable("order-create", "order-cancel").local(),
    Step::compensatable("stock-take", "stock-return"),
    Step::compensatable("money-hold", "money-free"),
    Step::pivot("money-capture"),
    Step::retriable("stock-ship"),
    Step::retriable("order-complete").local(),
];

/// The row that changes in the very commits of the saga.
const MIRROR: Table<Status> = Table::new("mirror");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Yes,
    No,
    Busy,
    /// Carried out, but the answer is lost.
    LostAfter,
    /// Never carried out, and nobody knows.
    LostBefore,
    /// The answer is lost and the work is carried out a good while later.
    Late,
}

/// The peers' truth, which survives every crash of the saga's process.
#[derive(Default)]
pub struct World {
    answers: BTreeMap<String, VecDeque<Answer>>,
    /// What comes after the script's end.
    last: BTreeMap<String, Answer>,
    /// Effects by action: true while it stands, false once it was undone (a tombstone too).
    effects: BTreeMap<String, bool>,
    /// Names asked for, in order.
    asked: Vec<String>,
    /// What workflows took note of, each time that one came by.
    pub noted: Vec<u64>,
    /// Numbers drawn so far.
    drawn: u64,
    /// Workflows hold money before they take stock.
    pub money_first: bool,
}

fn action_of(undo: &str) -> &'static str {
    let of = |step: &&Step| step.undo == Some(undo);
    PLAN.iter().find(of).expect("declared").name
}

impl World {
    fn answer(&mut self, name: &str) -> Answer {
        self.asked.push(name.to_owned());
        let next = self.answers.get_mut(name).and_then(VecDeque::pop_front);
        let last = self.last.get(name).copied();
        next.or(last).unwrap_or(Answer::Yes)
    }

    /// Does it unless it was done, or undone before it came.
    fn apply(&mut self, action: &str) -> bool {
        *self.effects.entry(action.to_owned()).or_insert(true)
    }

    fn standing(&self) -> Vec<&str> {
        let standing = self.effects.iter().filter(|(_, stands)| **stands);
        standing.map(|(name, _)| name.as_str()).collect()
    }

    fn times_asked(&self, name: &str) -> usize {
        self.asked.iter().filter(|asked| *asked == name).count()
    }
}

pub struct Shop {
    world: Arc<Mutex<World>>,
}

#[async_trait::async_trait]
impl Saga for Shop {
    type Data = u32;

    fn kind(&self, _: &u32) -> &'static str {
        "shop"
    }

    fn steps(&self, _: &u32) -> &'static [Step] {
        &PLAN
    }

    async fn run(&self, workflow: &mut Workflow<'_, Self>) -> Result<(), Stopped> {
        let mut steps = PLAN;
        if self.world.lock().unwrap().money_first {
            steps.swap(1, 2);
        }
        for step in steps {
            workflow.step(step).await?;
            if step.name == "stock-take" {
                let draw = || {
                    let mut world = self.world.lock().unwrap();
                    world.drawn += 1;
                    world.drawn
                };
                let number = workflow.note("number", draw)?;
                self.world.lock().unwrap().noted.push(number);
            }
        }
        Ok(())
    }

    async fn act(&self, step: &'static str, data: &mut u32, call: Call<'_>) -> Act {
        assert_eq!(call.key, format!("{}-{step}", call.saga_id));
        assert_eq!(call.context.op, format!("test/{step}"));
        sleep(Duration::from_millis(5)).await;
        *data += 1;
        let answer = self.world.lock().unwrap().answer(step);
        sleep(Duration::from_millis(5)).await;
        match answer {
            Answer::Yes if self.world.lock().unwrap().apply(step) => Act::Done,
            Answer::Yes => Act::Refused(Code::InvalidState.because("undone before")),
            // What was done before is answered as before.
            Answer::No if self.world.lock().unwrap().standing().contains(&step) => Act::Done,
            Answer::No => Act::Refused(Code::OutOfStock.because("none left")),
            Answer::Busy => Act::Busy(Code::SagaInProgress.because("another order")),
            Answer::LostBefore => Act::Unknown("lost".into()),
            Answer::LostAfter => {
                self.world.lock().unwrap().apply(step);
                Act::Unknown("lost".into())
            }
            Answer::Late => {
                let world = self.world.clone();
                #[allow(clippy::disallowed_methods)]
                tokio::spawn(async move {
                    sleep(Duration::from_secs(1)).await;
                    world.lock().unwrap().apply(step);
                });
                Act::Unknown("lost".into())
            }
        }
    }

    async fn undo(&self, undo: &'static str, _: &mut u32, call: Call<'_>) -> Undo {
        assert_eq!(call.key, format!("{}-{undo}", call.saga_id));
        sleep(Duration::from_millis(5)).await;
        let mut world = self.world.lock().unwrap();
        let answer = world.answer(undo);
        if matches!(answer, Answer::Yes | Answer::LostAfter | Answer::Late) {
            world.effects.insert(action_of(undo).to_owned(), false);
        }
        match answer {
            Answer::Yes => Undo::Done,
            _ => Undo::Retry("lost".into()),
        }
    }

    fn on_change(&self, tx: &mut Writer<'_>, saga: &SagaRecord<u32>) -> Result<(), StoreError> {
        tx.put(&MIRROR, &saga.id, &saga.status)
    }
}

/// A shop, its computer and its peers.
pub struct Bench {
    pub computer: Computer,
    pub world: Arc<Mutex<World>>,
    config: Config,
}

impl Bench {
    fn new(bugs: Bugs) -> Self {
        Bench::of(bugs, Execution::Saga)
    }

    pub fn of(bugs: Bugs, execution: Execution) -> Self {
        let config = Config {
            bugs,
            execution,
            ..Config::default()
        };
        Bench {
            computer: Computer::new(&Network::default(), "shop"),
            world: Arc::default(),
            config,
        }
    }

    pub async fn boot(&self) -> (Store, Engine<Shop>) {
        let (platform, store, engine) = self.boot_idle().await;
        platform.spawn("recovery", engine.clone().keep_recovering());
        (store, engine)
    }

    /// Without a recovery.
    pub async fn boot_idle(&self) -> (Platform, Store, Engine<Shop>) {
        let platform = self.computer.boot();
        let store = Store::open(&platform, "db").await.unwrap();
        let world = self.world.clone();
        let engine = Engine::new(&platform, &store, Shop { world }, self.config);
        (platform, store, engine)
    }

    pub fn script(&self, name: &str, answers: &[Answer], last: Answer) {
        let mut world = self.world.lock().unwrap();
        let answers = answers.iter().copied().collect();
        world.answers.insert(name.to_owned(), answers);
        world.last.insert(name.to_owned(), last);
    }

    pub fn asked(&self) -> Vec<String> {
        self.world.lock().unwrap().asked.clone()
    }

    pub fn standing(&self) -> Vec<String> {
        let world = self.world.lock().unwrap();
        world.standing().into_iter().map(str::to_owned).collect()
    }
}

pub async fn start(engine: &Engine<Shop>) -> String {
    let context = Context {
        op: "test".into(),
        ..Context::default()
    };
    let started = engine.start(&context, 0, |tx, saga| {
        tx.put(&MIRROR, &saga.id, &saga.status)
    });
    started.await.unwrap().0
}

/// The saga where it rests.
pub async fn ended(engine: &Engine<Shop>, id: &str) -> SagaRecord<u32> {
    engine.wait(id).await.unwrap().unwrap()
}

pub async fn run(bench: &Bench) -> SagaRecord<u32> {
    let (_store, engine) = bench.boot().await;
    let id = start(&engine).await;
    ended(&engine, &id).await
}

const ALL: [&str; 4] = ["money-capture", "money-hold", "stock-ship", "stock-take"];

#[tokio::test]
async fn a_saga_of_four_remote_steps_costs_five_commits() {
    let bench = Bench::new(Bugs::NONE);
    let saga = run(&bench).await;
    assert_eq!(saga.status, Status::Completed);
    assert_eq!(saga.data, 4, "what the steps learnt is kept");
    assert_eq!(bench.standing(), ALL);
    assert_eq!(bench.computer.commits(), 5);
}

#[tokio::test]
async fn a_refused_step_is_not_undone_and_those_before_it_are_newest_first() {
    let bench = Bench::new(Bugs::NONE);
    bench.script("money-capture", &[], Answer::No);
    let saga = run(&bench).await;
    assert_eq!(saga.status, Status::Compensated);
    assert_eq!(saga.refusal.unwrap().code, Code::OutOfStock);
    let asked = bench.asked();
    let story = ["stock-take", "money-hold", "money-capture"];
    assert_eq!(asked[..3], story);
    assert_eq!(asked[3..], ["money-free", "stock-return"]);
}

#[tokio::test]
async fn a_step_that_stays_unknown_until_the_deadline_is_undone_too() {
    let bench = Bench::new(Bugs::NONE);
    bench.script("money-hold", &[Answer::Late], Answer::LostBefore);
    let begun = tokio::time::Instant::now();
    let saga = run(&bench).await;
    assert_eq!(saga.status, Status::Compensated);
    assert_eq!(begun.elapsed().as_secs(), 60);
    assert_eq!(saga.refusal.unwrap().code, Code::ServiceUnavailable);
    assert!(bench.asked().contains(&"money-free".into()));
    assert!(bench.standing().is_empty());
}

#[tokio::test]
async fn an_unknown_pivot_is_asked_again_and_never_undone() {
    let bench = Bench::new(Bugs::NONE);
    bench.script("money-capture", &[Answer::LostAfter; 11], Answer::Yes);
    let saga = run(&bench).await;
    assert_eq!(saga.status, Status::Completed);
    assert_eq!(bench.standing(), ALL);
}

#[tokio::test]
async fn another_saga_in_the_way_is_waited_for_ten_seconds_then_told() {
    let bench = Bench::new(Bugs::NONE);
    bench.script("stock-take", &[Answer::Busy; 5], Answer::Yes);
    assert_eq!(run(&bench).await.status, Status::Completed);

    let bench = Bench::new(Bugs::NONE);
    bench.script("stock-take", &[], Answer::Busy);
    let begun = tokio::time::Instant::now();
    let saga = run(&bench).await;
    assert_eq!(saga.status, Status::Compensated);
    assert_eq!(saga.refusal.unwrap().code, Code::SagaInProgress);
    assert!((10..13).contains(&begun.elapsed().as_secs()));
}

#[tokio::test]
async fn a_crash_gives_no_saga_a_new_deadline() {
    let bench = Bench::new(Bugs::NONE);
    bench.script("stock-take", &[], Answer::LostBefore);
    let (store, engine) = bench.boot().await;
    let id = start(&engine).await;
    sleep(Duration::from_secs(50)).await;
    bench.computer.crash();
    drop((store, engine));
    let (_store, engine) = bench.boot().await;
    sleep(Duration::from_secs(20)).await;
    let saga = engine.read(&id).unwrap().unwrap();
    assert!(saga.status.is_ended());
}

#[tokio::test]
async fn spent_retries_leave_a_dead_letter_and_a_redrive_ends_the_saga() {
    let bench = Bench::new(Bugs::NONE);
    bench.script("money-capture", &[], Answer::No);
    bench.script("money-free", &[], Answer::LostBefore);
    let (store, engine) = bench.boot().await;
    let id = start(&engine).await;
    let saga = ended(&engine, &id).await;
    assert_eq!(saga.status, Status::NeedsAttention);
    let letters = || store.read(|tx| tx.scan(&DEAD_LETTERS, "")).unwrap();
    let letter = letters().pop().unwrap().1;
    assert_eq!((letter.saga_id, letter.redriven_ms), (id.clone(), None));
    assert_eq!(letter.reason, "money-free: lost");

    engine.redrive(&letter.id).await.unwrap();
    let saga = ended(&engine, &id).await;
    assert_eq!(saga.status, Status::NeedsAttention);
    let spent = engine.redrive(&letter.id).await.unwrap_err();
    assert_eq!(spent.code, Code::InvalidState, "there is a later letter");
    let mut letters_now = letters().into_iter().map(|(_, letter)| letter);
    let letter = letters_now.find(|l| l.redriven_ms.is_none()).unwrap();

    bench.script("money-free", &[], Answer::Yes);
    engine.redrive(&letter.id).await.unwrap();
    let saga = ended(&engine, &id).await;
    assert_eq!(saga.status, Status::Compensated);
    assert!(bench.standing().is_empty());
    assert!(letters().iter().all(|(_, l)| l.redriven_ms.is_some()));
    let again = engine.redrive(&letter.id).await.unwrap_err();
    assert_eq!(again.code, Code::InvalidState);
    let missing = engine.redrive("DEAD-00000000").await.unwrap_err();
    assert_eq!(missing.code, Code::NotFound);
}

#[tokio::test]
async fn a_cancel_turns_the_saga_back_before_the_pivot_and_is_refused_from_there_on() {
    let bench = Bench::new(Bugs::NONE);
    bench.script("money-hold", &[], Answer::LostAfter);
    let (_store, engine) = bench.boot().await;
    let id = start(&engine).await;
    sleep(Duration::from_secs(3)).await;
    engine.request_cancel(&id).await.unwrap();
    let saga = ended(&engine, &id).await;
    assert_eq!(saga.status, Status::Compensated);
    assert!(bench.standing().is_empty());
    engine.request_cancel(&id).await.unwrap();

    let bench = Bench::new(Bugs::NONE);
    bench.script("money-capture", &[Answer::LostBefore; 3], Answer::Yes);
    let (_store, engine) = bench.boot().await;
    let id = start(&engine).await;
    sleep(Duration::from_millis(300)).await;
    let refused = engine.request_cancel(&id).await.unwrap_err();
    assert_eq!(refused.code, Code::InvalidState);
    let saga = ended(&engine, &id).await;
    assert_eq!(saga.status, Status::Completed);
    let refused = engine.request_cancel(&id).await.unwrap_err();
    assert_eq!(refused.code, Code::InvalidState);
    let missing = engine.request_cancel("SAGA-0").await.unwrap_err();
    assert_eq!(missing.code, Code::NotFound);
}

/// What the peers answer, and when the process dies.
#[derive(Clone, Debug)]
struct Storm {
    scripts: Vec<Vec<Answer>>,
    crashes_ms: Vec<u64>,
    cancel_ms: Option<u64>,
}

const NAMES: [&str; 6] = [
    "stock-take",
    "money-hold",
    "money-capture",
    "stock-ship",
    "money-free",
    "stock-return",
];

fn storms() -> impl Strategy<Value = Storm> {
    let answer = prop_oneof![
        4 => Just(Answer::Yes),
        1 => Just(Answer::No),
        1 => Just(Answer::Busy),
        2 => Just(Answer::LostAfter),
        2 => Just(Answer::LostBefore),
        1 => Just(Answer::Late),
    ];
    let script = proptest::collection::vec(answer, 0..5);
    let crash = prop_oneof![1..60u64, 1..3_000u64, 1..70_000u64];
    (
        proptest::collection::vec(script, NAMES.len()),
        proptest::collection::vec(crash, 0..4),
        proptest::option::weighted(0.3, 1..200u64),
    )
        .prop_map(|(scripts, crashes_ms, cancel_ms)| Storm {
            scripts,
            crashes_ms,
            cancel_ms,
        })
}

async fn weather(storm: &Storm, execution: Execution) -> Status {
    let bench = Bench::of(Bugs::NONE, execution);
    for (name, script) in NAMES.iter().zip(&storm.scripts) {
        bench.script(name, script, Answer::Yes);
    }
    let (mut store, mut engine) = bench.boot().await;
    let id = start(&engine).await;
    if let Some(cancel) = storm.cancel_ms {
        sleep(Duration::from_millis(cancel)).await;
        let _ = engine.request_cancel(&id).await;
    }
    for crash in &storm.crashes_ms {
        sleep(Duration::from_millis(*crash)).await;
        bench.computer.crash();
        drop((store, engine));
        sleep(Duration::from_millis(20)).await;
        (store, engine) = bench.boot().await;
    }
    let saga = ended(&engine, &id).await;
    // What was still on its way arrives.
    sleep(Duration::from_secs(2)).await;

    assert_eq!(engine.read(&id).unwrap().unwrap(), saga);
    let (mirror, open) = store
        .read(|tx| Ok::<_, StoreError>((tx.get(&MIRROR, &id)?, tx.scan(&OPEN_SAGAS, "")?)))
        .unwrap();
    assert_eq!(mirror, Some(saga.status), "the service's row moves along");
    assert!(open.is_empty());
    assert_eq!(bench.computer.failure(), None);

    let world = bench.world.lock().unwrap();
    let first = |name: &str| world.asked.iter().position(|asked| asked == name);
    match saga.status {
        Status::Completed => {
            assert_eq!(world.standing(), ALL);
            assert_eq!(world.times_asked("money-free"), 0);
            assert_eq!(world.times_asked("stock-return"), 0);
        }
        Status::Compensated => {
            assert_eq!(world.standing(), [""; 0]);
            for undo in ["money-free", "stock-return"] {
                let asked = world.times_asked(undo) == 0 || first(action_of(undo)) < first(undo);
                assert!(
                    asked,
                    "{undo} of what was never intended: {:?}",
                    world.asked
                );
            }
            if let (Some(newer), Some(older)) = (first("money-free"), first("stock-return")) {
                assert!(newer < older, "out of order: {:?}", world.asked);
            }
            assert_eq!(world.times_asked("stock-ship"), 0);
        }
        other => panic!("it ended {other:?}"),
    }
    saga.status
}

#[tokio::test]
async fn in_every_storm_a_saga_ends_whole_or_leaves_nothing() {
    in_every_storm(Execution::Saga).await;
}

#[tokio::test]
async fn in_every_storm_a_workflow_ends_whole_or_leaves_nothing() {
    in_every_storm(Execution::Workflow).await;
}

async fn in_every_storm(execution: Execution) {
    let mut runner = TestRunner::deterministic();
    let mut ends = BTreeMap::new();
    for _ in 0..400 {
        let storm = storms().new_tree(&mut runner).unwrap().current();
        println!("{storm:?}");
        *ends.entry(weather(&storm, execution).await).or_insert(0) += 1;
    }
    for status in [Status::Completed, Status::Compensated] {
        assert!(ends.get(&status).is_some_and(|n| *n > 50), "{ends:?}");
    }
}

#[tokio::test]
async fn each_gap_breaks_what_it_says() {
    // A lost answer is taken for a no: the hold stands for ever.
    let bench = Bench::new(Bugs::NONE.with(Bug::TimeoutMeansNo));
    bench.script("money-hold", &[Answer::LostAfter], Answer::Yes);
    assert_eq!(run(&bench).await.status, Status::Compensated);
    assert_eq!(bench.standing(), ["money-hold"]);

    // One undo fails, and the saga is left where it is.
    let bench = Bench::new(Bugs::NONE.with(Bug::CompensationNotRetried));
    bench.script("money-capture", &[], Answer::No);
    bench.script("money-free", &[Answer::LostBefore], Answer::Yes);
    assert_eq!(run(&bench).await.status, Status::Compensating);
    sleep(Duration::from_secs(600)).await;
    assert_eq!(bench.standing(), ["money-hold", "stock-take"]);

    // A crash forgets what was done.
    let bench = Bench::new(Bugs::NONE.with(Bug::NoJournal));
    let (store, engine) = bench.boot().await;
    let id = start(&engine).await;
    sleep(Duration::from_millis(25)).await;
    bench.computer.crash();
    drop((store, engine));
    sleep(Duration::from_millis(20)).await;
    let (_store, engine) = bench.boot().await;
    sleep(Duration::from_secs(600)).await;
    let saga = ended(&engine, &id).await;
    assert_eq!(saga.status, Status::Running);
    assert!(!bench.standing().is_empty());

    // The recovery drives a saga that a live task drives.
    for (bugs, races) in [
        (Bugs::NONE, false),
        (Bugs::NONE.with(Bug::RecoveryRacesOwner), true),
    ] {
        let bench = Bench::new(bugs);
        bench.script("money-capture", &[Answer::LostBefore; 2], Answer::Yes);
        let (_store, engine) = bench.boot().await;
        let id = start(&engine).await;
        sleep(Duration::from_millis(100)).await;
        engine.recover().unwrap();
        engine.wait(&id).await.unwrap();
        sleep(Duration::from_secs(5)).await;
        let shipped = bench.world.lock().unwrap().times_asked("stock-ship");
        assert_eq!(shipped > 1, races);
    }
}
