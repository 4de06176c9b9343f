//! System C: an orchestrated order saga with two-phase payment.

use std::time::Duration;

use squall::{
    Sim,
    scenario::{Bug, Scenario, Setup, Shape},
    seed::Stream,
    storm::Profile,
};
use squall_services::{
    gap::{Gap, Gaps},
    order::{self, Execution},
    payment::Beyond,
};

use crate::{
    bank,
    customer::Customer,
    invariants::{
        healers, money, orders,
        promises::Promises,
        sagas::{self, saga_counts},
        stock,
    },
    shop::{self, Hand, Shelf},
    sometimes, topology,
    trade::Trade,
};

/// The scenario `order-saga`.
pub struct OrderSaga;

/// What the design's authors list, or what follows from their description.
pub(crate) const DOCUMENTED: &[Gap] = &[
    Gap::NoJournal,
    Gap::TimeoutMeansNo,
    Gap::LateReserveAfterCancel,
    Gap::CompensationNotRetried,
    Gap::RefundMarkedNotAsked,
    Gap::SemanticLockReservingOnly,
    Gap::SemanticLockNeverSwept,
    Gap::NoKey,
    Gap::OrderCancelNotRetried,
];

/// The gaps that concern this system.
const BUGS: &[Gap] = &[
    Gap::NoJournal,
    Gap::TimeoutMeansNo,
    Gap::LateReserveAfterCancel,
    Gap::CompensationNotRetried,
    Gap::RefundMarkedNotAsked,
    Gap::RefundWithoutKey,
    Gap::CaptureWithoutKey,
    Gap::AckBeforeCommit,
    Gap::CommitWithoutSync,
    Gap::SemanticLockReservingOnly,
    Gap::SemanticLockNeverSwept,
    Gap::CheckThenActStock,
    Gap::NoVersionCheck,
    Gap::NoKey,
    Gap::KeyStoredAfterEffect,
    Gap::StaleRead,
    Gap::RecoveryRacesOwner,
    Gap::CompensateAfterPivot,
    Gap::OrderCancelNotRetried,
    Gap::CancelAfterCompleted,
    Gap::HoldNeverVoided,
    Gap::CaptureAfterVoid,
    Gap::PermitLeaked,
    Gap::ConflictTakenForDone,
    Gap::RetryOfNonIdempotent,
    Gap::KeyExpiresTooSoon,
    Gap::InFlightNotRefused,
    Gap::TransientFailureCached,
    Gap::BreakerNeverHalfOpens,
    Gap::TraceIdLeaks,
    Gap::UndoOnlyOnAnsweredNo,
    Gap::RecoveryOnlyFailed,
    Gap::RecoveryForgetsCompensating,
    Gap::CompensateInOrder,
    Gap::StopAtFirstCompensationError,
    Gap::NoBulkhead,
    Gap::AcceptedToldAsRefused,
    Gap::KeySettledAfterTheEnd,
    Gap::BreakerLetsAllThrough,
    Gap::LetterRedrivenTwice,
    Gap::TriesAddedUp,
    Gap::SagaIdsCollide,
    Gap::UnreadableIsAbsent,
    Gap::IntentByKeyOnly,
    Gap::UnknownFieldsDropped,
    Gap::OldReaderTakesDefault,
];

/// Who buys.
pub(crate) const CUSTOMERS: [&str; 3] = ["ann", "ben", "cho"];

/// Orders in a storm.
pub(crate) const ORDERS: u64 = 5;

/// What is sold.
pub(crate) const SHELVES: [Shelf; 2] = [
    Shelf {
        sku: "lamp",
        stock: 4,
        price: 12_000,
    },
    Shelf {
        sku: "chair",
        stock: 3,
        price: 45_000,
    },
];

impl Scenario for OrderSaga {
    fn name(&self) -> &str {
        "order-saga"
    }

    fn about(&self) -> &str {
        "orders over order, inventory, payment, payment gateway and catalog, orchestrated by a saga"
    }

    fn shapes(&self) -> Vec<Shape> {
        bank::shapes(
            "the design as its authors wrote it down, with the gaps that they list: expected to fail",
        )
    }

    fn bugs(&self) -> Vec<Bug> {
        bank::bugs(BUGS)
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
        let gaps = bank::gaps(setup, DOCUMENTED);
        build(sim, gaps, |_| ());
    }
}

/// Opens the shop with its customers and its invariants; the orders are `arranged` as the scenario wants them.
pub(crate) fn build(sim: &Sim, gaps: Gaps, arranged: impl FnOnce(&mut order::Config)) {
    let mut settings = sim.seed().stream("settings");
    let mut config = order::Config {
        gaps,
        payment: match settings.chance(0.4) {
            true => order::PaymentMode::OneStep,
            false => order::PaymentMode::TwoStep,
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
    topology::open(
        sim,
        shop::counter_swept(gaps, config, Default::default(), swept),
    );
    // Few enough that orders sometimes have to wait for one; fewer still where that is to fill a line.
    let calls = settings.between(1, 10) as usize;
    let (calls, beyond) = match settings.chance(0.4) {
        true => (
            calls.div_ceil(4),
            Beyond::LinesUp(settings.between(1, 2) as usize),
        ),
        false => (calls, Beyond::Waits),
    };
    let permits = shop::open_till_that(sim, gaps, calls, beyond);
    money::watch_calls(sim, &permits, calls, beyond);

    let stock = stock::watch(sim);
    let money = money::watch(sim, &permits, sagas::JOURNAL_ENDS);
    let orders = orders::watch(sim);
    orders::watch_money(sim, &orders, &money);
    orders::watch_stock(sim, &orders, &stock);
    let promises = Promises::watch(sim, &orders);
    sometimes::sagas(sim, "order");
    sometimes::builds(sim, &["order"]);
    sometimes::services(sim, &["order", "payment"]);
    sometimes::stock(sim, &["inventory"]);
    healers::watch_sweeper(sim, &stock, stock::SWEPT);
    sometimes::late_reserves(sim, &["inventory"]);
    sometimes::money(sim, &orders, &money);

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

/// What a customer does next.
#[derive(Clone, Debug)]
pub(crate) struct Purchase {
    wait: Duration,
    pub(crate) sku: &'static str,
    pub(crate) quantity: u64,
    pub(crate) card: &'static str,
    /// Cancels it, this long after the click.
    cancel: Option<Duration>,
}

impl Purchase {
    pub(crate) fn draw(rng: &mut Stream) -> Self {
        let card = match rng.below(20) {
            0..2 => "declined",
            2..5 => "capture-declined",
            _ => "visa",
        };
        Purchase {
            wait: Duration::from_millis(rng.below(400)),
            sku: rng.pick(&SHELVES).sku,
            quantity: 1 + rng.below(5) / 4,
            card,
            cancel: rng
                .chance(0.25)
                .then(|| Duration::from_millis(rng.between(20, 250))),
        }
    }

    /// The customer changes their mind so long after the click.
    pub(crate) fn cancels_after(&mut self, after: Duration) {
        self.cancel = Some(after);
    }

    /// Waits for the customer to come to it, and sees to it that it is cancelled if it is to be.
    pub(crate) async fn prepare(&self, client: &squall::Client, customer: &Customer, op: &str) {
        client.node().sleep(self.wait).await;
        if let Some(after) = self.cancel {
            let (customer, node, op) = (
                customer.clone(),
                client.node().clone(),
                format!("{op}-cancel"),
            );
            client.node().spawn(async move {
                node.sleep(after).await;
                customer.cancel_latest(&op).await;
            });
        }
    }
}
