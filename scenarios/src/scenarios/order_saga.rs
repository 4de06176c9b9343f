//! System C: an orchestrated order saga with two-phase payment.

use std::time::Duration;

use squall::{
    Sim,
    scenario::{Scenario, Setup},
    storm::Profile,
};
use squall_services::{
    orchestration::{self, orders::Execution},
    planted_bug::{Bug, Bugs},
    settings::Settings,
    shared::payment::Beyond,
};

use crate::{
    invariants::{
        healers, money, orders,
        promises::Promises,
        races, recoveries,
        sagas::{self, saga_counts},
        stock,
    },
    live_storm, planted_bug, reachability_goals, topology,
    workloads::{
        shop::{self, Hand},
        trade::{CUSTOMERS, Trade},
    },
};

/// The scenario `order-saga`.
pub struct OrderSaga;

/// What the design's authors list, or what follows from their description.
pub(crate) const DOCUMENTED: &[Bug] = &[
    Bug::NoJournal,
    Bug::TimeoutMeansNo,
    Bug::LateReserveAfterCancel,
    Bug::CompensationNotRetried,
    Bug::RefundMarkedNotAsked,
    Bug::SemanticLockReservingOnly,
    Bug::SemanticLockNeverSwept,
    Bug::NoKey,
    Bug::OrderCancelNotRetried,
];

crate::planted_bugs! {
    /// The bugs that concern this system.
    NoJournal at 4 => "every order ends" | "every saga ends" | "no lost refund" | "no leaked reservation"
        | "no leaked semantic lock";
    TimeoutMeansNo at 19 => "no lost refund" | "ledger and payment records agree" | "no leaked reservation"
        | "no leaked semantic lock" | "no oversell";
    LateReserveAfterCancel at 40 => "no leaked reservation" | "no leaked semantic lock" | "no oversell";
    CompensationNotRetried => "every order ends" | "every saga ends" | "no lost refund" | "no leaked reservation"
        | "no leaked semantic lock";
    RefundMarkedNotAsked at 211 => "no lost refund" | "ledger and payment records agree";
    RefundWithoutKey at 62 => "no double charge, no double refund";
    CaptureWithoutKey at 13 => "no double charge, no double refund";
    AckBeforeCommit at 91 => "acknowledged is durable";
    CommitWithoutSync => "acknowledged is durable";
    SemanticLockReservingOnly => "a semantic lock has one owner";
    SemanticLockNeverSwept at 210 => "no leaked semantic lock";
    CheckThenActStock at 54 => "stock adds up" | "no oversell";
    NoVersionCheck at 35 => "stock adds up" | "no oversell";
    NoKey at 6 => "no double charge, no double refund" | "one key, one effect" | "stock adds up" | "no lost refund";
    KeyStoredAfterEffect at 8 => "no double charge, no double refund" | "one key, one effect" | "stock adds up"
        | "no lost refund";
    StaleRead at 12 => "a user's orders keep session order";
    RecoveryRacesOwner at 27 => "every saga ends" | "an order goes its way" | "no double charge, no double refund"
        | "no lost refund" | "stock adds up" | "acknowledged is durable" | "a saga takes its steps in order"
        | "compensation runs in reverse" | "inside the sagas: each life of a process takes one up once";
    CompensateAfterPivot at 16 => "a saga turns back before its pivot only";
    OrderCancelNotRetried at 287 => "every order ends" | "every saga ends";
    CancelAfterCompleted => "an order goes its way";
    HoldNeverVoided => "no lost refund";
    CaptureAfterVoid at 46 => "what was refused for good never happens" | "no lost refund";
    PermitLeaked at 5 => "permits all returned" | "ledger and payment records agree";
    ConflictTakenForDone => "no lost refund" | "every saga ends" | "stock adds up" | "no oversell";
    RetryOfNonIdempotent at 46 => "no double charge, no double refund" | "no lost refund";
    KeyExpiresTooSoon => "whoever asks again is answered, promptly and alike" | "one key, one effect";
    InFlightNotRefused at 5 => "one key, one effect";
    TransientFailureCached at 4 => "whoever asks again is answered, promptly and alike" | "one key, one effect";
    BreakerNeverHalfOpens at 16 => "whoever asks again is answered, promptly and alike" | "every saga ends"
        | "no lost refund" | "no leaked reservation" | "no leaked semantic lock";
    TraceIdLeaks => "one trace id per saga";
    UndoOnlyOnAnsweredNo => "no lost refund" | "no leaked reservation" | "no leaked semantic lock" | "no oversell"
        | "compensation runs in reverse" | "ledger and payment records agree";
    RecoveryOnlyFailed at 4 => "every order ends" | "every saga ends" | "no lost refund" | "no leaked reservation"
        | "no leaked semantic lock" | "no oversell";
    RecoveryForgetsCompensating at 91 => "every order ends" | "every saga ends" | "no lost refund"
        | "no leaked reservation" | "no leaked semantic lock";
    CompensateInOrder => "compensation runs in reverse";
    StopAtFirstCompensationError => "no lost refund" | "no leaked reservation" | "no leaked semantic lock";
    NoBulkhead at 5 => "calls to the gateway are bounded";
    AcceptedToldAsRefused => "whoever asks again is answered, promptly and alike";
    KeySettledAfterTheEnd at 4 => "whoever asks again is answered, promptly and alike";
    BreakerLetsAllThrough at 24 => "in the calm nothing is refused but for business reasons";
    LetterRedrivenTwice at 149 => "a dead letter is sent on its way once";
    TriesAddedUp at 90 => "a dead letter comes no sooner than its schedule";
    SagaIdsCollide at 25 => "one key, one effect";
    UnreadableIsAbsent at 25 => "acknowledged is durable";
    IntentByKeyOnly => "one intent, one effect";
    UnknownFieldsDropped => "an order costs what was promised" | "no lost refund";
    OldReaderTakesDefault => "an order costs what was promised" | "no lost refund";
}

impl Scenario for OrderSaga {
    planted_bug::described! {
        "order-saga": "orders over order, inventory, payment, payment gateway and catalog, orchestrated by a saga",
        documented: "the design as its authors wrote it down, with the bugs that they list: expected to fail",
    }

    fn profile(&self) -> Profile {
        let mut links = shop::LINKS.to_vec();
        links.extend(CUSTOMERS.map(|name| (name, "order")));
        Profile {
            custom: shop::pg_faults(),
            events: vec![
                ("order", "saga starts"),
                ("order", "step intended"),
                ("order", "step done"),
                ("order", "step unknown"),
                ("order", "compensating"),
                ("order", "step undone"),
                ("order", "saga resumed"),
                ("inventory", "stock reserved"),
                ("inventory", "stock released"),
                ("payment", "payment authorizing"),
                ("payment", "payment authorized"),
                ("payment", "payment capturing"),
            ],
            held: vec![
                ("inventory", "stock reserved"),
                ("payment", "payment authorized"),
                ("order", "step intended"),
            ],
            horizon_ms: 1_500,
            upgrades: vec!["order"],
            ..Profile::new(&shop::NODES, &links)
        }
    }

    fn build(&self, sim: &Sim, setup: &Setup) {
        let bugs = planted_bug::bugs(setup, DOCUMENTED);
        build(sim, bugs, |_| ());
    }
}

/// Opens the shop with its customers and its invariants; the orders are `arranged` as the scenario wants them.
pub(crate) fn build(
    sim: &Sim,
    bugs: Bugs,
    arranged: impl FnOnce(&mut orchestration::orders::Config),
) {
    let mut settings = sim.seed().stream("settings");
    let mut config = orchestration::orders::Config {
        bugs,
        payment: match settings.chance(0.4) {
            true => orchestration::orders::PaymentMode::OneStep,
            false => orchestration::orders::PaymentMode::TwoStep,
        },
        recover_every: healers::recovered_every(sim, Duration::from_secs(settings.between(2, 20))),
        ..Default::default()
    };
    let mut trade = Trade::draw(sim);
    trade.arrange(&mut config);
    arranged(&mut config);
    let workflows = config.execution == Execution::Workflow;
    let swept = trade.swept_every();
    sagas::watch_drivers(sim, &["order"], "order", &config.sagas());
    // Few enough that orders sometimes have to wait for one; fewer still where that is to fill a line.
    let calls = settings.between(1, 10) as usize;
    let (calls, beyond) = match settings.chance(0.4) {
        true => (
            calls.div_ceil(4),
            Beyond::LinesUp(settings.between(1, 2) as usize),
        ),
        false => (calls, Beyond::Waits),
    };
    live_storm::set_up(|| Settings {
        bugs: bugs.names(),
        one_step: config.payment == orchestration::orders::PaymentMode::OneStep,
        recover_ms: config.recover_every.as_millis() as u64,
        deadline_ms: config.saga_deadline.as_millis() as u64,
        tries: config.saga_tries,
        sweep_ms: swept.as_millis() as u64,
        permits: calls,
        line: match beyond {
            Beyond::Waits => None,
            Beyond::LinesUp(calls) => Some(calls),
        },
    });
    topology::open(
        sim,
        shop::counter_swept(bugs, config, Default::default(), swept),
    );
    let permits = shop::open_till_that(sim, bugs, calls, beyond);
    money::watch_calls(sim, &permits, calls, beyond);

    let stock = stock::watch(sim);
    let money = money::watch(sim, &permits, sagas::JOURNAL_ENDS);
    let orders = orders::watch(sim);
    orders::watch_money(sim, &orders, &money);
    orders::watch_stock(sim, &orders, &stock);
    let promises = Promises::watch(sim, &orders);
    recoveries::sagas(sim, "order");
    reachability_goals::builds(sim, &["order"]);
    reachability_goals::services(sim, &["order", "payment"]);
    reachability_goals::stock(sim, &["inventory"]);
    healers::watch_sweeper(sim, &stock, stock::SWEPT);
    reachability_goals::late_reserves(sim, &["inventory"]);
    races::money(sim, &orders, &money);

    let has_rush = trade.has_rush();
    sim.prepare(move |client| async move {
        Trade::fill(has_rush, &Hand::new(&client)).await;
    });
    let mut workload = sim.seed().stream("workload");
    trade.open_doors(sim, &mut workload, "order", false, &promises);
    trade.staff(sim, ("order", "inventory"), workflows, &promises);
    sim.after_storm("operator", |client| async move {
        Hand::new(&client).tend_orders().await
    });
    sim.at_end(|truth| saga_counts(truth, "order"));
}
