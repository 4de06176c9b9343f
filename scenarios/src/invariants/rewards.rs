//! Rewards: a completion if and only if exactly one live reward order; nothing that the shop had stopped selling.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{Client, Sim, check::Commit};
use squall_services::{
    kit::{
        Reply,
        outbox::{DEAD_LETTERS, OUTBOX, Row},
    },
    orchestration::orders::{
        model::Status,
        store::{Kind, OrderRow},
    },
    rewards::challenge::{
        model::CompletionStatus,
        store::{self, COMPLETIONS, Completion, SETTINGS, Sync, completion_key},
        sync::Mode,
    },
    shared::catalog::store::{PRODUCTS, Product},
};

use super::{
    orders::{DURABLE, Orders},
    prices::Prices,
    sagas::{self, COURSES, Course, JOURNAL_ENDS, SAGAS_END, judge_ended},
};
use crate::{
    invariants::receipts::Receipts,
    lock,
    person::{Asked, Request},
    table_view::TableView,
};

/// The challenge service and the catalog as committed.
pub struct Rewards {
    completions: TableView<Completion>,
    sagas: TableView<Course>,
    copies: TableView<store::Product>,
    settings: TableView<Sync>,
    products: TableView<Product>,
    prices: Prices,
    outbox: TableView<Row>,
    dead_letters: TableView<Row>,
    /// The completion, and its saga, that each client operation has begun.
    begun_by: BTreeMap<String, (String, String)>,
}

impl Rewards {
    /// Takes a commit to completions over.
    fn note_completions(&mut self, commit: &Commit<'_>) {
        for change in self.completions.follow(commit) {
            let Some(after) = change.after() else {
                continue;
            };
            let known = change
                .before()
                .is_some_and(|before| before.saga_id == after.saga_id);
            if !known {
                let begun = (change.key.to_owned(), after.saga_id.clone());
                self.begun_by.insert(commit.scope.op.clone(), begun);
            }
        }
    }

    /// The completion that an operation has begun, if it is completed.
    fn alive(&self, op: &str) -> Vec<String> {
        let Some((key, saga)) = self.begun_by.get(op) else {
            return Vec::new();
        };
        let completion = self.completions.get(key).filter(|completion| {
            completion.saga_id == *saga && completion.status == CompletionStatus::Completed
        });
        completion.map(|_| key.clone()).into_iter().collect()
    }
}

/// A notice is sent again with growing pauses, at last from the dead letters; this long after the storm at the latest.
const NOTICED: Duration = super::outbox::SENT;

/// What shows of it is judged by the copies.
const DELIVERED: &str = "inside the outbox: every notice is delivered";

const UNSOLD: &str = "never a reward for an unsold product";

/// What users were told: a completion that is saved stays so.
pub struct Told {
    rewards: Arc<Mutex<Rewards>>,
    asked: Asked,
    receipts: Arc<Receipts>,
    /// By challenge and user.
    completed: Mutex<Vec<(String, String)>>,
}

impl Told {
    /// Where users note what they ask for.
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// A user is told that a challenge is completed: it must be so already, and stay so.
    pub fn completed(&self, client: &Client, challenge: &str) {
        let key = completion_key(challenge, client.name());
        if let Some(found) = self.contradiction(&key) {
            client.broken(
                DURABLE,
                "told too early",
                &[&key],
                "Completed, as told",
                found,
            );
        }
        let whose = (challenge.to_owned(), client.name().to_owned());
        lock(&self.completed).push(whose);
    }

    /// What came of each operation.
    pub fn receipts(&self) -> &Receipts {
        &self.receipts
    }

    /// The challenges that users were told are completed, and the users.
    pub fn all(&self) -> Vec<(String, String)> {
        lock(&self.completed).clone()
    }

    /// A client looks at a completion that it was told of.
    pub fn judge_look(&self, client: &Client, (challenge, user): (&str, &str), reply: &Reply) {
        let status = serde_json::from_value::<CompletionStatus>(reply.body["status"].clone());
        if status.ok() != Some(CompletionStatus::Completed) {
            let found = reply.body.to_string();
            let key = completion_key(challenge, user);
            client.broken(
                DURABLE,
                "seen otherwise",
                &[&key],
                "Completed, as told",
                found,
            );
        }
    }

    fn contradiction(&self, key: &str) -> Option<String> {
        let status = lock(&self.rewards)
            .completions
            .get(key)
            .map(|completion| completion.status);
        (status != Some(CompletionStatus::Completed)).then(|| format!("{status:?}"))
    }
}

/// Holds a page to the age that it tells: a copy past its time to live is marked stale, or fetched anew.
pub fn judge_page(client: &Client, page: &Reply, fresh_for: Duration) {
    let product = &page.body["product"];
    let age = product["age_ms"].as_u64().map(Duration::from_millis);
    if let (Some(age), Some(false)) = (age, product["stale"].as_bool())
        && age > fresh_for
    {
        client.broken(
            "inconsistency windows stay within the mode's bound",
            "past its time to live",
            &[product["sku"].as_str().unwrap_or_default()],
            format!("a copy of {fresh_for:?} at most, or one that is marked stale"),
            format!("{age:?}, as if fresh"),
        );
    }
}

/// Watches the nodes `"challenge"` and `"catalog"` beside the orders.
pub fn watch(sim: &Sim, orders: &Arc<Mutex<Orders>>) -> Arc<Told> {
    let asked = Asked::default();
    let rewards = Arc::new(Mutex::new(Rewards {
        completions: TableView::new("challenge", COMPLETIONS),
        sagas: TableView::new("challenge", COURSES),
        copies: TableView::new("challenge", store::PRODUCTS),
        settings: TableView::new("challenge", SETTINGS),
        products: TableView::new("catalog", PRODUCTS),
        prices: Prices::new(&asked),
        outbox: TableView::new("catalog", OUTBOX),
        dead_letters: TableView::new("catalog", DEAD_LETTERS),
        begun_by: BTreeMap::new(),
    }));

    let begun = rewards.clone();
    let alive = move |request: &Request| Some(lock(&begun).alive(&request.op));
    let told = Arc::new(Told {
        rewards: rewards.clone(),
        asked,
        receipts: Receipts::watch(sim, SAGAS_END, false, alive),
        completed: Mutex::default(),
    });
    let kept = told.clone();
    sim.finally(DURABLE, SAGAS_END, move |_, findings| {
        for (challenge, user) in lock(&kept.completed).iter() {
            let key = completion_key(challenge, user);
            if let Some(found) = kept.contradiction(&key) {
                findings.broken("told otherwise", &[&key], "Completed, as told", found);
            }
        }
    });

    let (follow, ordered) = (rewards.clone(), orders.clone());
    let mut judged = BTreeSet::new();
    sim.always(UNSOLD, move |commit, findings| {
        let rewards = &mut *lock(&follow);
        rewards.note_completions(commit);
        sagas::follow(&mut rewards.sagas, commit, findings);
        rewards.outbox.keep(commit);
        rewards.dead_letters.keep(commit);
        rewards.copies.keep(commit);
        rewards.settings.keep(commit);
        rewards.products.keep(commit);
        rewards.prices.follow(commit, findings.now());
        let orders = lock(&ordered);
        for order in orders.orders.values() {
            if !judged.insert(order.id.clone()) {
                continue;
            }
            let version = rewards.prices.version(&order.sku, order.price_version);
            if !version.is_some_and(|version| version.on_sale) {
                findings.broken(
                    "not on sale",
                    &[&order.id, &order.sku],
                    format!("version {} of {} on sale", order.price_version, order.sku),
                    format!("{version:?}"),
                );
            }
            let version = (order.sku.as_str(), order.price_version);
            let way = (UNSOLD, "a version of another time");
            rewards
                .prices
                .judge_time(way, &order.id, version, &commit.scope.op, findings);
        }
    });

    let (judge, ordered) = (rewards.clone(), orders.clone());
    sim.finally(
        "completion ⇔ exactly one live reward order",
        SAGAS_END,
        move |_, findings| {
            let (rewards, orders) = (lock(&judge), lock(&ordered));
            let mut live: BTreeMap<&str, Vec<&OrderRow>> = BTreeMap::new();
            for order in orders.orders.values() {
                if order.kind == Kind::Reward
                    && matches!(order.status, Status::Confirmed | Status::Completed)
                {
                    live.entry(order.challenge_completion.as_deref().unwrap_or(""))
                        .or_default()
                        .push(order);
                }
            }
            for completion in rewards.completions.values() {
                let key = completion_key(&completion.challenge, &completion.user);
                let orders = live.remove(key.as_str()).unwrap_or_default();
                let completed = completion.status == CompletionStatus::Completed;
                if completion.status == CompletionStatus::Pending {
                    findings.broken("left pending", &[&key], "Completed or Failed", "Pending");
                }
                if orders.len() != usize::from(completed) {
                    let tag = match (completed, orders.len()) {
                        (true, 0) => "completion without reward",
                        (true, _) => "rewarded twice",
                        _ => "reward without completion",
                    };
                    let found = format!("{} live reward orders", orders.len());
                    findings.broken(
                        tag,
                        &[&key],
                        format!("{} for {:?}", u8::from(completed), completion.status),
                        found,
                    );
                }
            }
            for (key, orders) in live {
                findings.broken(
                    "reward for nothing",
                    &[key, &orders[0].id],
                    "a completion",
                    "none",
                );
            }
        },
    );

    let outbox = rewards.clone();
    sim.inside(DELIVERED);
    sim.finally(DELIVERED, NOTICED, move |_, findings| {
        let rewards = lock(&outbox);
        for key in rewards.outbox.keys().chain(rewards.dead_letters.keys()) {
            findings.broken(
                "left in the outbox",
                &[key],
                "an acknowledged notice",
                "one that waits",
            );
        }
    });

    let ended = rewards.clone();
    sagas::declare(sim);
    sim.finally(sagas::JOURNAL, JOURNAL_ENDS, move |_, findings| {
        let rewards = lock(&ended);
        let sagas = rewards.sagas.iter().map(|(id, saga)| (id, saga.status));
        judge_ended(sagas, findings);
    });

    sim.finally(
        "copies agree with the catalog in the end",
        NOTICED,
        move |_, findings| {
            let rewards = lock(&rewards);
            if rewards
                .settings
                .values()
                .next()
                .is_none_or(|sync| sync.mode != Mode::Events)
            {
                return;
            }
            for copy in rewards.copies.values() {
                let Some(product) = rewards.products.get(&copy.sku) else {
                    continue;
                };
                let same = (copy.version, copy.price, copy.on_sale)
                    == (product.version, product.price, product.on_sale);
                if !same {
                    findings.broken(
                        "never told",
                        &[&copy.sku],
                        format!(
                            "version {}: {} won, on sale: {}",
                            product.version, product.price, product.on_sale
                        ),
                        format!(
                            "version {}: {} won, on sale: {}",
                            copy.version, copy.price, copy.on_sale
                        ),
                    );
                }
            }
        },
    );
    told
}
