//! The lifecycle of a run: boot, prepare, storm, heal, settle, judge, kill.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use madsim::{Config, runtime::Runtime};

use squall_core::{census::Census, time::VirtualTime};

use super::{Options, Outcome, Spec, Verdict, lock};
use crate::{
    scenario::Scenario,
    sim::{AtEnd, Cast, Parts, Role, Sim},
    storm::{Fault, Plan, Profile, STORM_MS_MAX},
    timer_watch::attend,
    trace::{self, Coverage, Mode, Recorder},
    world::{Checker, Gate, Occasion, Todo, World, wait},
};

/// The storm is over at the latest this long after it began, whatever the clients do.
const STORM_MAX: Duration = Duration::from_millis(STORM_MS_MAX);
/// The clients have to come to an end this long after the storm, else the run is stuck.
const CLIENTS_MAX: Duration = Duration::from_secs(1_200);
/// Those who come once all is settled have to come to an end within this time, else the run is stuck.
const LATE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Nothing committed and nothing in flight for this long is quiet.
const QUIET: Duration = Duration::from_secs(5);
/// How often the end of the storm and of the run are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// One run in this many reads all databases at its end, to see that the feed of commits told the truth. That of a node
/// whose disk the storm aimed at is always read.
const CROSS_CHECK_ONE_IN: u64 = 16;

pub(super) fn run_here(
    scenario: &dyn Scenario,
    spec: &Spec,
    profile: &Profile,
    options: Options,
) -> Outcome {
    let plan = &spec.plan;
    // A real tokio runtime around it all, seeded, without time or I/O: a stray `select!` draws from its generator.
    let schedule = plan
        .schedule
        .unwrap_or_else(|| spec.seed.keyed(&[squall_core::seed::hash(b"schedule")]));
    let around = tokio_real::runtime::Builder::new_current_thread()
        .rng_seed(tokio_real::runtime::RngSeed::from_bytes(
            &schedule.to_le_bytes(),
        ))
        .build()
        .expect("a runtime without I/O needs nothing that can fail");
    // By its handle, which brings the generator and no scheduler: a task that yields is then woken at once, where a
    // scheduler would put its waker off until this thread is idle, which is never.
    let outcome = around
        .handle()
        .block_on(tokio_real::task::unconstrained(async {
            let runtime = Runtime::with_seed_and_config(schedule, Config::default());
            let gate = plan.pct.map(|depth| Gate::new(schedule, depth));
            runtime.block_on(attend(lifecycle(scenario, spec, profile, options, gate)))
        }));
    assert_eq!(
        around.metrics().num_alive_tasks(),
        0,
        "something was started with the real tokio::spawn and never ran: depend on madsim-tokio under the name tokio"
    );
    outcome
}

async fn lifecycle(
    scenario: &dyn Scenario,
    spec: &Spec,
    profile: &Profile,
    options: Options,
    gate: Option<Arc<Gate>>,
) -> Outcome {
    let plan = &spec.plan;
    let mode = if options.full {
        Mode::Full
    } else {
        Mode::HashOnly
    };
    let faults = plan
        .faults
        .iter()
        .map(|Fault { action, .. }| (action.counted_as(), action.lasts_ms().is_some()));
    let recorder = options.watch.then(|| match options.cover {
        true => Recorder::new(mode).covering(Coverage::new(faults)),
        false => Recorder::new(mode),
    });
    let world = World::new(
        spec.seed,
        plan,
        recorder,
        options.full,
        gate,
        profile.upgrades.clone(),
        options.census || options.cover,
    );
    let _tracing = options.watch.then(|| trace::install(world.sink()));
    lock(&world.checker).unchecked = !options.watch;
    let sim = Sim::new(world.clone(), plan.faults.is_empty());
    scenario.build(&sim, &spec.setup());
    sim.complete();
    if options.census {
        let clients = world.nodes().into_iter().filter(|node| node.is_client);
        let clients = clients.map(|node| node.name.to_string());
        lock(&world.injector).take_census(Census::new(clients));
    }
    let parts = std::mem::take(&mut *lock(&sim.parts));
    let Parts { cast, at_end, .. } = parts;

    for node in world.nodes() {
        world.boot(&node);
    }
    let storm = madsim::task::spawn({
        let world = world.clone();
        attend(async move { world.carry_out().await })
    });
    // Long enough for every service to create its database and listen.
    wait(Duration::from_millis(20)).await;
    // A plan that was given may be for a world in which some nodes of the profile are left out.
    let drawn = (*plan == profile.draw(spec.seed)).then_some(profile);
    let played = match possible(&world, plan, drawn) {
        Ok(()) => play(&world, cast, plan).await,
        Err(wrong) => {
            lock(&world.checker).harness = Some(wrong);
            Ok(())
        }
    };
    // The task waits for what its own world holds: the two would keep each other for ever.
    storm.abort();
    finish(&world, plan, played.err(), at_end).await
}

/// Whether all that the scenario and the storm speak of is in this world. `drawn` is what the storm was drawn from, if it is
/// the seed's own.
fn possible(world: &World, plan: &Plan, drawn: Option<&Profile>) -> Result<(), String> {
    let nodes = world.nodes();
    let services = nodes.iter().filter(|node| !node.is_client);
    let services: Vec<&str> = services.map(|node| &*node.name).collect();
    let nodes: Vec<&str> = nodes.iter().map(|node| &*node.name).collect();
    let known = |node: &str, what: &str| match nodes.contains(&node) {
        true => Ok(()),
        false => Err(format!(
            "the scenario speaks of {what} of node \"{node}\", and no node is called \"{node}\"; there are: {}",
            nodes.join(", ")
        )),
    };
    for node in lock(&world.checker).goals.listened_to() {
        known(node, "messages")?;
    }
    for node in lock(&world.row_readers).keys() {
        known(node, "rows")?;
    }
    for node in drawn.into_iter().flat_map(Profile::everywhere) {
        known(node, "faults")?;
    }
    let keeps_files = |name: &str| match world.find(name) {
        Some(node) if node.is_client => Some("is a client".to_owned()),
        Some(node) => {
            let files = node.disk.files();
            (!files.is_empty())
                .then(|| format!("keeps files, which its process locks: {}", files.join(", ")))
        }
        None => None,
    };
    let checked = plan.check(&nodes).and_then(|()| {
        plan.check_overlaps(
            |node| keeps_files(node).is_none(),
            |node| {
                let why = keeps_files(node).unwrap_or_default();
                format!("{node} can't have two processes at once: it {why}")
            },
        )
    });
    let checked = checked.and_then(|()| plan.check_without(&services));
    checked.map_err(|wrong| wrong.to_string())
}

/// Everything between boot and verdict. `Err` says what did not come to an end.
async fn play(world: &Arc<World>, cast: Cast, plan: &Plan) -> Result<(), String> {
    if let Some(role) = cast.prepare {
        enter(world, role);
        if !until(world, Duration::from_secs(60), || {
            *lock(&world.clients) == 0
        })
        .await
        {
            return Err("the preparation did not end within 60 s".to_owned());
        }
    }
    let began = world.now();
    for (index, at) in lock(&world.injector).timed().collect::<Vec<_>>() {
        world.queue.at(began + at.since_start(), Todo::Fire(index));
    }
    lock(&world.injector).arm(began);
    if let Some(recorder) = &mut *lock(&world.recorder) {
        recorder.storm_begins(began);
    }
    if let Some(gate) = &world.gate {
        gate.begin();
    }
    for role in cast.clients {
        enter(world, role);
    }
    for role in cast.operators {
        start(role);
    }
    let mut ends = began;
    loop {
        ends = ends.max(world.storm_ends());
        // A census wants to see what a storm would meet.
        let is_census = lock(&world.injector).is_census();
        let calm = plan.faults.is_empty() && !is_census && !world.was_by_hand();
        let idle = *lock(&world.clients) == 0 || calm;
        if world.is_over() {
            return Ok(());
        }
        if world.now().since(began) >= STORM_MAX || (idle && world.now() >= ends) {
            break;
        }
        look(world).await;
    }
    if let Some(recorder) = &mut *lock(&world.recorder) {
        recorder.storm_ends();
    }
    world.heal();
    let healed = world.now();
    if !until(world, CLIENTS_MAX, || *lock(&world.clients) == 0).await {
        return Err(format!(
            "{} clients did not end within {CLIENTS_MAX:?} after the storm",
            lock(&world.clients)
        ));
    }
    // What goes on by hand goes on until the clients' end.
    let healed = match world.was_by_hand() {
        true => {
            world.heal();
            world.now()
        }
        false => healed,
    };
    for role in cast.after_storm {
        start(role);
    }
    settle(world, healed).await;
    if cast.late.is_empty() || world.is_over() {
        return Ok(());
    }
    world.settles.store(false, Relaxed);
    for role in cast.late {
        enter(world, role);
    }
    if !until(world, LATE_MAX, || *lock(&world.clients) == 0).await {
        return Err(format!(
            "{} late clients did not end within {LATE_MAX:?}",
            lock(&world.clients)
        ));
    }
    if world.was_by_hand() {
        world.heal();
    }
    settle(world, world.now()).await;
    Ok(())
}

/// Waits until everything is as it finally must be and quiet, or some bound has passed.
async fn settle(world: &Arc<World>, healed: VirtualTime) {
    world.settles.store(true, Relaxed);
    let last = healed + lock(&world.checker).last_bound().max(QUIET) + LOOK;
    let mut judged = None;
    let mut open = 0;
    let mut bound = None;
    loop {
        let now = world.now();
        let commits = lock(&world.checker).commits;
        // What lives in memory (leases, permits) changes without a commit.
        let stands = judged.is_some_and(|(at, of)| of == commits && now.since(at) < QUIET);
        if !stands || bound.is_some_and(|at| now >= at) {
            world.read_all_rows(Occasion::Meanwhile);
            open = lock(&world.checker).settle(now, healed);
            bound = lock(&world.checker).next_bound(now, healed);
            judged = Some((now, commits));
            world.report_violations();
        }
        if world.is_over() || now >= last {
            break;
        }
        let quiet = now.since(lock(&world.checker).last_commit.max(healed)) >= QUIET
            && world.net.in_flight() == 0;
        if open == 0 && quiet {
            break;
        }
        look(world).await;
    }
}

async fn look(world: &Arc<World>) {
    let end = async {
        loop {
            world.activity.notified().await;
            if world.is_over() || *lock(&world.clients) == 0 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(LOOK, end).await;
}

/// Waits until `done`, or `max` of virtual time; true unless it was the last.
async fn until(world: &Arc<World>, max: Duration, done: impl Fn() -> bool) -> bool {
    let begin = world.now();
    while !done() && !world.is_over() {
        if world.now().since(begin) >= max {
            return false;
        }
        look(world).await;
    }
    true
}

/// Starts what the run does not wait for.
fn start(Role { client, task }: Role) {
    let node = client.node().clone();
    node.spawn(task(client));
}

/// Starts what the run waits for.
fn enter(world: &Arc<World>, Role { client, task }: Role) {
    *lock(&world.clients) += 1;
    let (node, present) = (client.node().clone(), Present(world.clone()));
    node.spawn(async move {
        task(client).await;
        drop(present);
    });
}

/// A client whose end the run waits for, be it by a panic.
struct Present(Arc<World>);

impl Drop for Present {
    fn drop(&mut self) {
        *lock(&self.0.clients) -= 1;
        self.0.activity.notify_one();
    }
}

/// Being stuck is worse than what only a look inside shows.
fn verdict(checker: &mut Checker, stuck: Option<String>) -> Verdict {
    match (checker.harness.take(), stuck) {
        (Some(panic), _) => Verdict::HarnessFailed(panic),
        (None, Some(why)) if !checker.does_damage() => Verdict::Stuck(why),
        _ if checker.is_broken() => Verdict::Violated,
        _ => Verdict::Survived,
    }
}

async fn finish(
    world: &Arc<World>,
    plan: &Plan,
    stuck: Option<String>,
    at_end: Vec<AtEnd>,
) -> Outcome {
    let every = world.full
        || world
            .seed
            .keyed(&[squall_core::seed::hash(b"cross check")])
            .is_multiple_of(CROSS_CHECK_ONE_IN);
    let faults = lock(&world.injector).all().to_vec();
    let damage = faults.iter().map(|report| &report.fault.action);
    let damage = damage.filter(|action| action.damages_disk());
    let struck: Vec<&str> = damage.flat_map(|action| action.nodes()).collect();
    let judged = |checker: &Checker| !checker.unchecked && !checker.is_void();
    if judged(&lock(&world.checker)) {
        world.read_all_rows(Occasion::End);
        for node in world.nodes() {
            if every || struck.contains(&&*node.name) {
                world.reconcile(&node);
            }
        }
    }
    let verdict = verdict(&mut lock(&world.checker), stuck);
    world.unfinished_faults();
    for node in world.nodes() {
        world.kill_for_good(&node);
    }
    // Dead tasks are dropped when the scheduler next meets them.
    wait(Duration::from_millis(1)).await;

    let mut checker = lock(&world.checker);
    let checker = &mut *checker;
    for count in at_end {
        for (name, n) in count(&checker.truth) {
            *checker.counts.entry(name).or_insert(0) += n;
        }
    }
    *checker.counts.entry("commits".to_owned()).or_insert(0) += checker.commits;
    let named = checker.checks.names();
    let invariants = named.map(|name| (name, checker.class(name))).collect();
    checker.checks = Default::default();
    let unheard = checker.goals.unheard();
    let sometimes = checker.goals.finish();
    let mut recorder = lock(&world.recorder).take();
    let coverage = recorder.as_mut().and_then(Recorder::take_coverage);
    let features = coverage.map_or_else(Vec::new, |mut coverage| {
        let reached = sometimes.iter().filter(|(_, times)| **times > 0);
        reached.for_each(|(name, _)| coverage.sometimes(name));
        coverage.finish()
    });
    let recorded = recorder.map(Recorder::finish).unwrap_or_default();
    lock(&world.own_faults).clear();
    lock(&world.row_readers).clear();
    let operations = std::mem::take(&mut *lock(&world.operations));
    let nodes = world.nodes();
    let is_met = |name: &String| {
        nodes.iter().any(|node| *node.name == **name)
            || operations.iter().any(|known| known.name == *name)
    };
    let unmet = plan.without.iter().filter(|name| !is_met(name));
    let unmet = unmet.cloned().collect();
    let (faults, by_hand, sites) = {
        let mut injector = lock(&world.injector);
        let (faults, by_hand) = injector.reports();
        let (faults, by_hand) = (faults.to_vec(), by_hand.to_vec());
        (faults, by_hand, injector.take_met())
    };
    Outcome {
        verdict,
        violations: std::mem::take(&mut checker.violations),
        invariants,
        hash: recorded.hash,
        plan: plan.clone(),
        faults,
        by_hand,
        sites,
        operations,
        unmet,
        unheard,
        counts: std::mem::take(&mut checker.counts),
        sometimes,
        features,
        ended: world.now(),
        trace: world.full.then_some(recorded),
        programs: lock(&world.programs).iter().cloned().collect(),
    }
}
