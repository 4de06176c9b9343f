//! Choreographed orders: what must show whatever the seed, and the storms that the hardened shape survives.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use squall::{
    Sim,
    campaign::{Campaign, Seeds},
    fault::Crash,
    run::{self, Outcome, Spec},
    scenario::{Scenario, Setup},
    seed::Seed,
    storm::{Fault, Plan, Profile},
    testing,
};
use squall_scenarios::{
    experiments::must_survive,
    invariants::choreographed_orders,
    person::{Asked, Person, keyed},
    scenarios::order_choreography::{
        OrderChoreography,
        nodes::{self, NODES, Shop},
    },
    workloads::shop::Shelf,
};
use squall_services::{
    choreography::stock::STOCK,
    kit::outbox::Mode,
    planted_bug::{Bug, Bugs},
};

const SEEDS: u64 = 200;

/// Everybody orders the same at once.
#[derive(Clone)]
struct Rush {
    bugs: Bugs,
    users: Vec<String>,
    known: usize,
    stock: u64,
    quantity: u64,
    seen: Arc<Mutex<Seen>>,
}

/// What is seen of it from outside.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    /// Status codes; `None` for one that leaves the outcome open (503).
    answers: Vec<Option<u16>>,
    left: Option<u64>,
}

impl Rush {
    fn of(buyers: usize, stock: u64, quantity: u64) -> Self {
        Rush {
            bugs: Bugs::NONE,
            users: (1..=buyers).map(|n| format!("buyer-{n:03}")).collect(),
            known: buyers,
            stock,
            quantity,
            seen: Arc::default(),
        }
    }

    fn run(&self, seed: u64, storm: Vec<Fault>) -> Outcome {
        let spec = Spec::of(self, Seed(seed)).under(Plan::new(storm));
        run::run(self, &spec, false)
    }

    fn answers(&self) -> Vec<Option<u16>> {
        self.seen.lock().unwrap().answers.clone()
    }

    fn left(&self) -> Option<u64> {
        self.seen.lock().unwrap().left
    }
}

impl Scenario for Rush {
    fn name(&self) -> &str {
        "rush"
    }

    fn about(&self) -> &str {
        "many buyers, few lamps"
    }

    fn profile(&self) -> Profile {
        Profile::new(&NODES, &[])
    }

    fn build(&self, sim: &Sim, _: &Setup) {
        let shop = Shop {
            misses_one_in: u64::MAX,
            ..Shop::new(self.bugs, Mode::Polling)
        };
        let counters = nodes::open(sim, &shop);
        let _told = choreographed_orders::watch(sim, &counters.permits, &Asked::default());
        let lamp = Shelf {
            sku: "lamp",
            stock: self.stock,
            price: 12_000,
        };
        let known = self.users[..self.known].to_vec();
        sim.prepare(move |client| async move {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            nodes::fill(&client, &known, &[lamp]).await;
        });
        for user in &self.users {
            let (user, quantity, seen) = (user.clone(), self.quantity, self.seen.clone());
            sim.client(&user.clone(), move |client| async move {
                client.node().sleep(Duration::from_millis(50)).await;
                let body = json!({
                    "userId": user, "productId": "lamp", "quantity": quantity, "price": 1,
                });
                let order = keyed(&format!("{user}-1"), "POST", "/orders", body);
                let answer = Person::new(&client, "gateway").ask(&order).await;
                let status = answer.ok().map(|reply| reply.status);
                seen.lock().unwrap().answers.push(status);
            });
        }
        let seen = self.seen.clone();
        sim.at_end(move |truth| {
            let mut pools = truth.rows("inventory", STOCK.pools.name);
            let pool = pools.find_map(|(_, row)| STOCK.pools.decode(row).ok());
            seen.lock().unwrap().left = pool.map(|pool| pool.free);
            choreographed_orders::counts(truth)
        });
    }
}

fn count(outcome: &Outcome, what: &str) -> u64 {
    outcome.counts.get(what).copied().unwrap_or(0)
}

#[test]
fn of_a_hundred_buyers_of_the_last_unit_exactly_one_gets_it() {
    for seed in 1..=3 {
        let rush = Rush::of(100, 1, 1);
        let outcome = rush.run(seed, Vec::new());
        must_survive(&outcome);
        assert_eq!(rush.answers(), [Some(202); 100]);
        assert_eq!(count(&outcome, "completed"), 1);
        assert_eq!(count(&outcome, "out of stock"), 99);
        assert_eq!(rush.left(), Some(0));
    }
}

#[test]
fn an_order_of_999_of_5_is_cancelled_and_5_are_left() {
    let rush = Rush::of(1, 5, 999);
    let outcome = rush.run(1, Vec::new());
    must_survive(&outcome);
    assert_eq!(rush.answers(), [Some(202)]);
    assert_eq!(count(&outcome, "completed"), 0);
    assert_eq!(count(&outcome, "out of stock"), 1);
    assert_eq!(rush.left(), Some(5));
}

/// An unknown user orders while the user service is down.
fn stranger(bugs: Bugs) -> (Rush, Outcome) {
    let rush = Rush {
        bugs,
        known: 0,
        ..Rush::of(1, 5, 1)
    };
    let down = Fault::at_ms(
        0,
        Crash {
            node: "user".to_owned(),
            down_ms: 5_000,
        },
    );
    let outcome = rush.run(1, vec![down]);
    assert!(outcome.faults[0].fired.is_some());
    (rush, outcome)
}

#[test]
fn an_unknown_user_is_refused_while_nobody_can_say_who_it_is() {
    let (rush, outcome) = stranger(Bugs::NONE);
    must_survive(&outcome);
    assert_eq!(rush.answers(), [None]);
    assert_eq!(count(&outcome, "completed"), 0);
    assert_eq!(rush.left(), Some(5));
}

#[test]
fn as_documented_an_unknown_user_orders_while_nobody_can_say_who_it_is() {
    let (_, outcome) = stranger(Bugs::NONE.with(Bug::FallbackDefaultUser));
    let signature = outcome.signature("rush", "hardened").map(|s| s.invariant);
    assert_eq!(signature.as_deref(), Some("only users order"));
}

#[test]
fn order_choreography_survives() {
    let totals = testing::check(&OrderChoreography, SEEDS);
    let tally = &totals.tally;
    for what in ["completed", "compensated", "out of stock"] {
        let count = tally.count(what);
        assert!(count >= tally.runs / 10, "{count} orders {what}");
    }
}

#[test]
fn the_documented_choreography_fails_in_several_ways() {
    let campaign = Campaign::over(&OrderChoreography, Seeds::up_to(SEEDS / 2))
        .in_shape("documented")
        .expect("it has it");
    let totals = campaign.run(&mut |_| ());
    assert_eq!(totals.tally.verdicts.harness_failed, 0);
    let signatures = totals.failures.iter().map(|failure| &failure.signature);
    let ways: BTreeSet<_> = signatures.map(|s| s.invariant.as_str()).collect();
    assert!(ways.contains("every order ends"), "{ways:?}");
    assert!(ways.len() >= 2, "it failed in these ways only: {ways:?}");
}
