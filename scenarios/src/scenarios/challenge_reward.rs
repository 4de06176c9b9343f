//! System A: challenge rewards across two servers, with product sync in its three modes.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use squall::{
    Client, Sim,
    net::Latency,
    scenario::{Scenario, Setup},
    seed::Stream,
    storm::Profile,
};
use squall_services::{
    kit::saga, orchestration, planted_bug::Bug, rewards::challenge, shared::catalog,
};

use crate::{
    invariants::{
        healers, orders, races,
        receipts::{self, answered},
        recoveries, rewards,
        sagas::{self, saga_counts},
        stock,
    },
    person::{Person, keyed, unkeyed},
    planted_bug, reachability_goals,
    topology::{self, with},
    workloads::{
        operator,
        shop::{self, Hand, Shelf},
    },
};

/// The scenario `challenge-reward`.
pub struct ChallengeReward;

/// The compensation lives in a try/catch: a crash forgets it, a lost answer is taken for a no. Notices of product
/// changes can be lost and can overtake each other.
const DOCUMENTED: &[Bug] = &[
    Bug::NoJournal,
    Bug::TimeoutMeansNo,
    Bug::CompensationNotRetried,
    Bug::EventsWithoutVersion,
    Bug::EventsWithoutResync,
    Bug::RewardForUnsoldProduct,
];

crate::planted_bugs! {
    /// The bugs that concern this system: no money moves in it.
    NoJournal at 4 => "completion ⇔ exactly one live reward order" | "every saga ends";
    TimeoutMeansNo at 12 => "completion ⇔ exactly one live reward order" | "one key, one effect"
        | "no leaked reservation" | "no oversell";
    CompensationNotRetried at 24 => "completion ⇔ exactly one live reward order" | "every saga ends";
    CommitWithoutSync => "acknowledged is durable";
    RewardForUnsoldProduct => "never a reward for an unsold product";
    AckBeforeCommit at 40 => "acknowledged is durable";
    EventsWithoutResync at 52 => "copies agree with the catalog in the end" | "never a reward for an unsold product";
    CacheNeverExpires => "inconsistency windows stay within the mode's bound";
    LetterRedrivenTwice at 298 => "one key, one effect";
    SagaIdsCollide => "one trace id per saga";
    UnreadableIsAbsent at 28 => "completion ⇔ exactly one live reward order";
}

const REWARDS: [Shelf; 2] = [
    Shelf {
        sku: "mug",
        stock: 2,
        price: 9_000,
    },
    Shelf {
        sku: "cap",
        stock: 3,
        price: 15_000,
    },
];
const CHALLENGES: [(&str, &str); 3] = [("run", "mug"), ("swim", "cap"), ("read", "mug")];
/// The last one is refused at the very last step, so that rewards have to be taken back.
const USERS: [&str; 3] = ["dan", "eve", "unlucky-fay"];
const MODES: [&str; 3] = ["live", "cache", "events"];

impl Scenario for ChallengeReward {
    planted_bug::described! {
        "challenge-reward": "challenges rewarded with orders in a shop that has its own servers, and product sync in three modes",
        documented: "compensation in a try/catch, notices without versions: expected to fail",
    }

    fn profile(&self) -> Profile {
        let mut links = vec![
            ("challenge", "order"),
            ("challenge", "catalog"),
            ("catalog", "challenge"),
            ("order", "inventory"),
            ("order", "catalog"),
        ];
        links.extend(USERS.map(|user| (user, "challenge")));
        Profile {
            events: vec![
                ("challenge", "saga starts"),
                ("challenge", "step intended"),
                ("challenge", "step done"),
                ("challenge", "compensating"),
                ("order", "saga starts"),
                ("order", "step done"),
                ("inventory", "stock reserved"),
            ],
            held: vec![
                ("challenge", "step intended"),
                ("order", "step intended"),
                ("inventory", "stock reserved"),
            ],
            horizon_ms: 1_500,
            ..Profile::new(&["challenge", "order", "inventory", "catalog"], &links)
        }
    }

    fn build(&self, sim: &Sim, setup: &Setup) {
        let bugs = planted_bug::bugs(setup, DOCUMENTED);
        let told = catalog::Config::webhooks(&["challenge"]);
        let order = orchestration::orders::Config {
            bugs,
            ..Default::default()
        };
        topology::open(sim, shop::counter(bugs, order, told));
        // Half of the caches expire while somebody is still looking.
        let mut caching = sim.seed().stream("caching");
        let ttl = match caching.chance(0.5) {
            true => Duration::from_millis(caching.between(50, 500)),
            false => shop::TTL,
        };
        let mut patience = sim.seed().stream("patience");
        let hasty = patience.chance(0.25);
        let patient = saga::Config::default();
        let tries = patience.between(1, 3) as u32;
        let config = challenge::Config {
            bugs,
            ttl,
            barred: Some("unlucky".to_owned()),
            saga: saga::Config {
                tries: if hasty { tries } else { patient.tries },
                recover_every: healers::recovered_every(sim, patient.recover_every),
                ..patient
            },
            ..Default::default()
        };
        sagas::watch_drivers(sim, &["challenge"], "challenge", &config.saga);
        let challenges = with(challenge::SERVICE, config, challenge::run);
        topology::open(sim, [challenges]);

        let stock = stock::watch(sim);
        let orders = orders::watch(sim);
        orders::watch_stock(sim, &orders, &stock);
        let told = rewards::watch(sim, &orders);
        recoveries::sagas(sim, "challenge");
        reachability_goals::services(sim, &["challenge", "order"]);
        reachability_goals::stock(sim, &["inventory"]);
        races::rewards(sim, &orders);

        let mut workload = sim.seed().stream("workload");
        let mode = *workload.pick(&MODES);
        sim.prepare(move |client| async move {
            let hand = Hand::new(&client);
            for shelf in REWARDS {
                hand.fill(shelf).await;
            }
            hand.open_challenges(mode, &CHALLENGES).await;
        });
        let mut twins = sim.seed().stream("twins");
        let mut visits = Vec::new();
        for name in USERS {
            let deeds: Vec<Deed> = (0..2)
                .map(|_| Deed::draw(&mut workload).perhaps_twice(&mut twins))
                .collect();
            visits.push((name, deeds));
        }
        let changes: Vec<Change> = (0..workload.between(1, 5))
            .map(|_| Change::draw(&mut workload))
            .collect();
        let switched = |change: &Change| matches!(change.what, What::Mode(_));
        let cached = mode == "cache" && !changes.iter().any(switched);
        let fresh_for = cached.then_some(ttl);
        for (name, deeds) in visits {
            let told = told.clone();
            sim.client(name, move |client| async move {
                let person = Person::new(&client, "challenge").noting(told.asked());
                for (n, deed) in deeds.iter().enumerate() {
                    let op = format!("{name}-{}", n + 1);
                    deed.carry_out(&client, &person, &told, fresh_for, &op)
                        .await;
                }
            });
        }
        sim.client("keeper", move |client| async move {
            let (shop, challenges) = (
                Person::new(&client, "catalog"),
                Person::new(&client, "challenge"),
            );
            for (n, change) in changes.iter().enumerate() {
                change
                    .carry_out(&client, &shop, &challenges, &format!("keeper-{}", n + 1))
                    .await;
            }
        });
        for name in USERS {
            sim.link(name, "challenge", Latency::INTERNET);
        }
        sim.link("challenge", "order", Latency::INTERNET);
        sim.link("challenge", "catalog", Latency::INTERNET);
        sim.after_storm("operator", |client| async move {
            Hand::new(&client).tend_orders().await
        });
        sim.after_storm("referee", |client| async move {
            Hand::new(&client).tend_rewards().await
        });
        sim.after_storm("postmaster", |client| async move {
            operator::tend(&client, &["catalog"], 1).await
        });
        let mut shifts = sim.seed().stream("shifts");
        for name in operator::on_duty(&mut shifts) {
            // They stay, and look at the same instants: a dead letter is met by several at once.
            sim.operator(name, |client| async move {
                Hand::new(&client).tend_rewards().await
            });
        }
        if receipts::comes(&mut twins) {
            let pause = receipts::pause(&mut twins);
            sim.late_client("latecomer", move |client| async move {
                client.node().sleep(pause).await;
                come_late(&client, &told).await;
            });
        }
        sim.at_end(|truth| saga_counts(truth, "challenge"));
    }
}

/// What a user does next.
struct Deed {
    wait: Duration,
    challenge: &'static str,
    look_first: bool,
    click_again: Option<Duration>,
    /// The same once more, from another device, whose key is another one.
    twin: bool,
}

impl Deed {
    fn draw(rng: &mut Stream) -> Self {
        Deed {
            wait: Duration::from_millis(rng.below(500)),
            challenge: rng.pick(&CHALLENGES).0,
            look_first: rng.chance(0.5),
            click_again: rng
                .chance(0.2)
                .then(|| Duration::from_millis(rng.below(30))),
            twin: false,
        }
    }

    /// The same, perhaps from two devices at once.
    fn perhaps_twice(self, rng: &mut Stream) -> Self {
        Deed {
            twin: rng.chance(0.2),
            ..self
        }
    }

    async fn carry_out(
        &self,
        client: &Client,
        person: &Person,
        told: &rewards::Told,
        fresh_for: Option<Duration>,
        op: &str,
    ) {
        client.node().sleep(self.wait).await;
        if !client.does(op) {
            return;
        }
        let path = format!("/challenges/{}", self.challenge);
        if self.look_first {
            let look = unkeyed(&format!("{op}-look"), "GET", &path, ());
            if let (Ok(reply), Some(fresh_for)) = (person.ask(&look).await, fresh_for) {
                rewards::judge_page(client, &reply, fresh_for);
            }
        }
        let completion = |op: &str| {
            let (path, body) = (
                format!("{path}/completions"),
                json!({ "user": person.name() }),
            );
            keyed(op, "POST", &path, body)
        };
        let request = completion(op);
        if let Some(later) = self.click_again {
            person.click_again(&request, later);
        }
        let twin = format!("{op}-twin");
        let twin = (self.twin && client.does(&twin)).then(|| completion(&twin));
        let asked = [Some(request), twin].into_iter().flatten();
        let asked = asked.map(|request| async move {
            told.receipts().asked("challenge", &request);
            let Some(reply) = person.insist(&request).await else {
                return;
            };
            told.receipts().told(&request, &reply);
            if reply.status == 201 {
                told.completed(client, self.challenge);
            }
        });
        join_all(asked).await;
    }
}

/// Whoever comes when all is settled: asks everything again, looks whether what was told is so, and completes a
/// challenge more: refused for business reasons if at all.
async fn come_late(client: &Client, told: &rewards::Told) {
    told.receipts().repeat_all(client).await;
    let person = Person::new(client, "challenge").noting(told.asked());
    for (challenge, user) in told.all() {
        let path = format!("/challenges/{challenge}/completions/{user}");
        let look = unkeyed(&format!("{challenge}-{user}-late"), "GET", &path, ());
        if let Some(reply) = answered(client, &person, &look, true).await {
            told.judge_look(client, (&challenge, &user), &reply);
        }
    }
    let op = format!("{}-1", client.name());
    if client.does(&op) {
        let path = format!("/challenges/{}/completions", CHALLENGES[1].0);
        let request = keyed(&op, "POST", &path, json!({ "user": client.name() }));
        told.receipts().asked("challenge", &request);
        if let Some(reply) = answered(client, &person, &request, false).await {
            told.receipts().told(&request, &reply);
            if reply.status == 201 {
                told.completed(client, CHALLENGES[1].0);
            }
        }
    }
}

/// What the shopkeeper changes.
struct Change {
    wait: Duration,
    sku: &'static str,
    what: What,
}

enum What {
    Price(u64),
    OnSale(bool),
    Mode(&'static str),
}

impl Change {
    fn draw(rng: &mut Stream) -> Self {
        let what = match rng.below(5) {
            0 | 1 => What::Price(1_000 * rng.between(5, 20)),
            2 | 3 => What::OnSale(rng.chance(0.4)),
            _ => What::Mode(rng.pick::<&str>(&MODES)),
        };
        Change {
            wait: Duration::from_millis(rng.below(400)),
            sku: rng.pick(&REWARDS).sku,
            what,
        }
    }

    async fn carry_out(&self, client: &Client, shop: &Person, challenges: &Person, op: &str) {
        client.node().sleep(self.wait).await;
        if !client.does(op) {
            return;
        }
        let product = |body| unkeyed(op, "PATCH", &format!("/products/{}", self.sku), body);
        match self.what {
            What::Price(price) => shop.insist(&product(json!({ "price": price }))).await,
            What::OnSale(on_sale) => shop.insist(&product(json!({ "on_sale": on_sale }))).await,
            What::Mode(mode) => {
                challenges
                    .insist(&unkeyed(op, "PUT", "/sync", json!({ "mode": mode })))
                    .await
            }
        };
    }
}
