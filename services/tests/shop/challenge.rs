use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde_json::{Value, json};
use squall_services::{
    challenge::{
        self, Config,
        model::CompletionStatus,
        store::{COMPLETIONS, PRODUCTS},
        sync::Mode,
    },
    gap::{Gap, Gaps},
    kit::{
        Code, Problem,
        http::{Body, IdempotencyKey},
        saga,
    },
};

use super::{
    machine::Machine,
    world::{Answer, World, code, row, unanswered},
};

/// A shop that takes an order per key, or does what a test wants of it.
#[derive(Clone, Default)]
struct Shop(Arc<Mutex<Books>>);

#[derive(Default)]
struct Books {
    /// Live orders by key; `None` is cancelled, perhaps before it came.
    orders: BTreeMap<String, Option<u32>>,
    made: u32,
    refuses: Option<Code>,
    /// So many orders are taken, but the answer is lost.
    answers_lost: u32,
    /// So many answers to an order are "it is under way".
    slow: u32,
    /// Nothing is taken and everything fails.
    away: bool,
}

impl Shop {
    fn serve(&self, world: &World) {
        let router = Router::new()
            .route("/api/orders", post(take))
            .route("/api/orders/cancel", post(cancel))
            .with_state(self.clone());
        world.stand_in("order", router);
    }

    fn set(&self, change: impl FnOnce(&mut Books)) {
        change(&mut self.0.lock().unwrap());
    }

    fn live(&self) -> usize {
        self.0.lock().unwrap().orders.values().flatten().count()
    }
}

fn no_answer() -> Problem {
    Problem::new(Code::ServiceUnavailable, "no answer")
}

async fn take(
    State(Shop(books)): State<Shop>,
    IdempotencyKey(key): IdempotencyKey,
    Body(order): Body<Value>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(
        (&order["sku"], &order["quantity"]),
        (&json!("pen"), &json!(2))
    );
    let mut books = books.lock().unwrap();
    match (books.away, books.refuses) {
        (true, _) => return Err(no_answer()),
        (_, Some(code)) => return Err(Problem::new(code, "refused")),
        _ => {}
    }
    let number = books.made + 1;
    let order = *books.orders.entry(key).or_insert(Some(number));
    books.made = number;
    if books.slow > 0 {
        books.slow -= 1;
        return Ok((
            StatusCode::ACCEPTED,
            Json(json!({ "id": "ORD-0", "status": "Pending" })),
        ));
    }
    if books.answers_lost > 0 {
        books.answers_lost -= 1;
        return Err(no_answer());
    }
    let order = order.ok_or_else(|| Problem::new(Code::InvalidState, "cancelled"))?;
    let body = json!({ "id": format!("ORD-{order}") });
    Ok((StatusCode::CREATED, Json(body)))
}

async fn cancel(
    State(Shop(books)): State<Shop>,
    IdempotencyKey(key): IdempotencyKey,
    Body(body): Body<Value>,
) -> Result<StatusCode, Problem> {
    let mut books = books.lock().unwrap();
    if books.away {
        return Err(no_answer());
    }
    let made = body["key"].as_str().unwrap();
    assert_eq!(
        key.strip_suffix("-order-cancel"),
        made.strip_suffix("-order-create")
    );
    books.orders.insert(made.to_owned(), None);
    Ok(StatusCode::OK)
}

struct Arena {
    world: World,
    machine: Arc<Machine>,
    shop: Shop,
    catalog: Catalog,
}

impl Arena {
    async fn open(config: Config) -> Self {
        Self::open_on(World::new(), Shop::default(), config, None).await
    }

    /// Boots on the disk of an earlier life.
    async fn open_on(world: World, shop: Shop, config: Config, disk: Option<Vec<u8>>) -> Self {
        shop.serve(&world);
        let catalog = Catalog::default();
        catalog.serve(&world);
        let (platform, machine) = world.machine("challenge");
        let boots = disk.is_none();
        if let Some(disk) = disk {
            machine.put_file("challenge.redb", disk);
        }
        let served = platform.clone();
        platform.spawn("service", async move {
            challenge::run(served, config).await.unwrap();
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        let arena = Arena {
            world,
            machine,
            shop,
            catalog,
        };
        if boots {
            let body = json!({ "title": "Write daily", "sku": "pen", "quantity": 2 });
            assert_eq!(arena.ask("PUT /challenges/c1", None, body).await.0, 200);
        }
        arena
    }

    async fn ask(&self, request: &str, key: Option<&str>, body: Value) -> Answer {
        self.world.ask("challenge", request, key, body).await
    }

    async fn complete(&self, user: &str, key: &str) -> Answer {
        self.ask(
            "POST /challenges/c1/completions",
            Some(key),
            json!({ "user": user }),
        )
        .await
    }

    fn status(&self, user: &str) -> Option<CompletionStatus> {
        row(&self.machine, &COMPLETIONS, &format!("c1:{user}")).map(|row| row.status)
    }

    /// The version shown and whether it is stale; or the refusal.
    async fn show(&self) -> Result<(u64, bool), Answer> {
        let (status, body) = self.ask("GET /challenges/c1", None, Value::Null).await;
        match body.get("product") {
            Some(product) => Ok((
                product["version"].as_u64().unwrap(),
                product["stale"].as_bool().unwrap(),
            )),
            None => Err((status, body)),
        }
    }

    async fn tell(&self, version: u64) -> u16 {
        let change = json!({
            "sku": "pen", "version": version, "price": 500, "on_sale": true, "name": "Pen",
        });
        self.ask("POST /webhooks/products", None, change).await.0
    }

    fn copy(&self) -> Option<u64> {
        row(&self.machine, &PRODUCTS, "pen").map(|copy| copy.version)
    }
}

#[tokio::test]
async fn a_completion_is_rewarded_with_one_order_in_three_commits() {
    let arena = Arena::open(Config::default()).await;
    let commits = || arena.machine.commits.lock().unwrap().len();
    let before = commits();
    let (status, body) = arena.complete("ann", "k1").await;
    assert_eq!((status, &body["status"]), (201, &json!("Completed")));
    let saved = row(&arena.machine, &COMPLETIONS, "c1:ann").unwrap();
    assert_eq!(saved.order_id.as_deref(), body["order_id"].as_str());
    assert_eq!((arena.shop.live(), commits() - before), (1, 3));
    assert_eq!(
        arena.complete("ann", "k1").await,
        (status, body),
        "a repeat"
    );
    assert_eq!(
        arena.complete("ann", "k2").await,
        code(409, "INVALID_STATE")
    );
    assert_eq!(arena.shop.live(), 1);
}

#[tokio::test]
async fn of_two_completions_at_once_exactly_one_wins() {
    let arena = Arena::open(Config::default()).await;
    let (a, b) = tokio::join!(arena.complete("ann", "k1"), arena.complete("ann", "k2"));
    let mut statuses = [a.0, b.0];
    statuses.sort();
    assert_eq!(statuses, [201, 409]);
    let (c, d) = tokio::join!(arena.complete("bob", "k1"), arena.complete("bob", "k1"));
    assert!(
        [&c, &d].contains(&&unanswered()),
        "the repeat came in flight"
    );
    assert!([c.0, d.0].contains(&201));
    assert_eq!(arena.shop.live(), 2, "one each");
}

#[tokio::test]
async fn a_failure_at_the_save_takes_the_reward_back() {
    let arena = Arena::open(Config {
        barred: Some("unlucky".to_owned()),
        ..Config::default()
    })
    .await;
    for _ in 0..2 {
        assert_eq!(
            arena.complete("unlucky-ann", "k1").await,
            code(409, "INVALID_STATE")
        );
    }
    assert_eq!(
        arena.shop.0.lock().unwrap().made,
        1,
        "the reward had been ordered"
    );
    assert_eq!(arena.shop.live(), 0);
    assert_eq!(arena.status("unlucky-ann"), Some(CompletionStatus::Failed));
}

#[tokio::test]
async fn a_refused_reward_fails_the_completion_which_may_be_tried_again() {
    let arena = Arena::open(Config::default()).await;
    arena
        .shop
        .set(|books| books.refuses = Some(Code::OutOfStock));
    assert_eq!(arena.complete("ann", "k1").await, code(409, "OUT_OF_STOCK"));
    assert_eq!(arena.status("ann"), Some(CompletionStatus::Failed));
    arena.shop.set(|books| books.refuses = None);
    assert_eq!(
        arena.complete("ann", "k1").await,
        code(409, "OUT_OF_STOCK"),
        "its key's answer"
    );
    assert_eq!(arena.complete("ann", "k2").await.0, 201);
    assert_eq!(arena.shop.live(), 1);
}

#[tokio::test]
async fn lost_answers_of_the_shop_end_in_one_order() {
    let arena = Arena::open(Config::default()).await;
    arena.shop.set(|books| books.answers_lost = 5);
    assert_eq!(arena.complete("ann", "k1").await.0, 201);
    assert_eq!(arena.shop.live(), 1);

    let gaps = Gaps::NONE.with(Gap::TimeoutMeansNo);
    let planted = Arena::open(Config {
        gaps,
        ..Config::default()
    })
    .await;
    planted.shop.set(|books| books.answers_lost = 5);
    assert_ne!(planted.complete("ann", "k1").await.0, 201);
    assert_eq!(planted.shop.live(), 1, "a reward without a completion");
}

#[tokio::test]
async fn an_order_that_the_shop_has_only_begun_is_asked_for_until_it_is_there() {
    let arena = Arena::open(Config::default()).await;
    arena.shop.set(|books| books.slow = 4);
    let (status, body) = arena.complete("ann", "k1").await;
    assert_eq!((status, &body["order_id"]), (201, &json!("ORD-1")));
    assert_eq!(arena.shop.live(), 1);
}

#[tokio::test]
async fn a_shop_that_is_away_for_too_long_leaves_nothing_behind() {
    let arena = Arena::open(Config::default()).await;
    arena.shop.set(|books| books.away = true);
    let back = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(
            arena.complete("ann", "k1").await,
            unanswered(),
            "the repeat came in flight"
        );
        tokio::time::sleep(Duration::from_secs(80)).await;
        arena.shop.set(|books| books.away = false);
    };
    let (told, ()) = tokio::join!(arena.complete("ann", "k1"), back);
    assert_eq!((told.0, &told.1["status"]), (202, &json!("Pending")));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        (arena.status("ann"), arena.shop.live()),
        (Some(CompletionStatus::Failed), 0)
    );
    assert_eq!(
        arena.complete("ann", "k1").await.0,
        201,
        "the key was given free"
    );
}

#[tokio::test]
async fn a_reward_that_needs_attention_is_found_and_redriven() {
    let arena = Arena::open(Config {
        saga: saga::Config {
            deadline: Duration::from_secs(2),
            tries: 2,
            ..saga::Config::default()
        },
        ..Config::default()
    })
    .await;
    arena.shop.set(|books| books.away = true);
    assert_eq!(arena.complete("ann", "k1").await.0, 202);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(arena.status("ann"), Some(CompletionStatus::NeedsAttention));

    arena.shop.set(|books| books.away = false);
    let (_, letters) = arena.ask("GET /dead-letters", None, Value::Null).await;
    let redrive = format!(
        "POST /dead-letters/{}/redrive",
        letters[0]["id"].as_str().unwrap()
    );
    assert_eq!(arena.ask(&redrive, None, Value::Null).await.0, 202);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(arena.status("ann"), Some(CompletionStatus::Failed));
    assert_eq!(
        arena.ask(&redrive, None, Value::Null).await,
        code(409, "INVALID_STATE")
    );
    assert_eq!(arena.complete("ann", "k1").await.0, 201);
}

#[tokio::test]
async fn a_completion_that_a_crash_interrupts_is_finished_and_its_key_still_answers() {
    let arena = Arena::open(Config::default()).await;
    let disk = {
        let interrupted = arena.complete("ann", "k1");
        // The pending completion is committed, the shop's answer is not there yet.
        let crash = tokio::time::timeout(Duration::from_millis(12), interrupted);
        assert!(crash.await.is_err());
        let file = arena.machine.file("challenge.redb").unwrap();
        let bytes = file.bytes.lock().unwrap();
        bytes.clone()
    };
    assert_eq!(arena.status("ann"), Some(CompletionStatus::Pending));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(arena.shop.live(), 1, "the order of the life that crashed");

    let again = Arena::open_on(
        World::new(),
        arena.shop.clone(),
        Config::default(),
        Some(disk),
    )
    .await;
    assert_eq!(again.complete("ann", "k1").await.0, 201);
    assert_eq!(again.status("ann"), Some(CompletionStatus::Completed));
    assert_eq!(again.shop.live(), 1);
}

#[tokio::test]
async fn bad_requests_are_refused_with_an_explanation() {
    let arena = Arena::open(Config::default()).await;
    let user = json!({ "user": "ann" });
    let unknown = arena
        .ask("POST /challenges/c9/completions", Some("k"), user.clone())
        .await;
    assert_eq!(unknown, code(404, "NOT_FOUND"));
    let keyless = arena
        .ask("POST /challenges/c1/completions", None, user)
        .await;
    assert_eq!(keyless, code(400, "IDEMPOTENCY_KEY_MISSING"));
    for user in ["a/b", "a:b", "", &"u".repeat(32)] {
        let refused = arena.complete(user, "k").await;
        assert_eq!(refused, code(400, "INVALID_REQUEST"), "{user}");
    }
    let nothing = json!({ "title": "t", "sku": "pen", "quantity": 0 });
    assert_eq!(
        arena.ask("PUT /challenges/c2", None, nothing).await,
        code(400, "INVALID_REQUEST")
    );
    let mode = arena
        .ask("PUT /sync", None, json!({ "mode": "guess" }))
        .await;
    assert_eq!(mode, code(400, "INVALID_REQUEST"));
    let no_bus = json!({ "mode": "events", "transport": "stream" });
    let no_bus = arena.ask("PUT /sync", None, no_bus).await;
    assert_eq!(no_bus, code(400, "INVALID_REQUEST"));
    let absent = arena
        .ask("GET /challenges/c1/completions/ann", None, Value::Null)
        .await;
    assert_eq!(absent, code(404, "NOT_FOUND"));
}

/// A catalog with one product, the pen, at this version; 0 means away.
#[derive(Clone, Default)]
struct Catalog {
    version: Arc<AtomicU32>,
    asked: Arc<AtomicU32>,
}

impl Catalog {
    fn serve(&self, world: &World) {
        let show = |State(me): State<Catalog>, Path(sku): Path<String>| async move {
            me.asked.fetch_add(1, Ordering::SeqCst);
            match me.version.load(Ordering::SeqCst) {
                0 => Err(no_answer()),
                version => Ok(Json(json!({
                    "sku": sku, "name": "Pen", "category": "desk", "price": 500,
                    "version": version, "on_sale": true,
                }))),
            }
        };
        let router = Router::new()
            .route("/products/{sku}", get(show))
            .with_state(self.clone());
        world.stand_in("catalog", router);
    }

    fn at(&self, version: u32) {
        self.version.store(version, Ordering::SeqCst);
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn showing(sync: Mode, gap: Option<Gap>) -> Arena {
    let gaps = gap.into_iter().collect();
    let arena = Arena::open(Config {
        sync,
        gaps,
        ..Config::default()
    })
    .await;
    arena.catalog.at(1);
    arena
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn live_shows_each_version_at_once_and_nothing_during_an_outage() {
    let arena = showing(Mode::Live, None).await;
    assert_eq!(arena.show().await, Ok((1, false)));
    arena.catalog.at(2);
    assert_eq!(arena.show().await, Ok((2, false)));
    arena.catalog.at(0);
    assert_eq!(arena.show().await, Err(unanswered()));
    assert_eq!(arena.copy(), None, "nothing is kept");
}

#[tokio::test]
async fn cache_asks_again_past_its_time_to_live_and_shows_stale_copies_up_to_a_limit() {
    let arena = showing(Mode::Cache, None).await;
    assert_eq!(arena.show().await, Ok((1, false)));
    arena.catalog.at(2);
    arena.world.pass(4 * MINUTE).await;
    assert_eq!(
        (arena.show().await, arena.catalog.asked()),
        (Ok((1, false)), 1)
    );
    arena.world.pass(2 * MINUTE).await;
    assert_eq!(arena.show().await, Ok((2, false)));
    arena.catalog.at(0);
    arena.world.pass(6 * MINUTE).await;
    assert_eq!(arena.show().await, Ok((2, true)));
    arena.world.pass(60 * MINUTE).await;
    assert_eq!(arena.show().await, Err(unanswered()));

    let planted = showing(Mode::Cache, Some(Gap::CacheNeverExpires)).await;
    planted.show().await.unwrap();
    planted.catalog.at(2);
    planted.world.pass(600 * MINUTE).await;
    assert_eq!(planted.show().await, Ok((1, false)));
}

#[tokio::test]
async fn events_apply_the_next_version_ignore_older_ones_and_ask_after_a_gap() {
    let arena = showing(Mode::Events, None).await;
    assert_eq!(arena.tell(1).await, 200);
    assert_eq!(arena.tell(2).await, 200);
    assert_eq!(arena.tell(1).await, 200);
    assert_eq!((arena.copy(), arena.catalog.asked()), (Some(2), 0));
    arena.catalog.at(0);
    assert_eq!(arena.tell(4).await, 503, "to be told again");
    assert_eq!(
        arena.show().await,
        Ok((2, false)),
        "an outage is not the reader's"
    );
    arena.catalog.at(5);
    assert_eq!(arena.tell(4).await, 200);
    assert_eq!(
        (arena.copy(), arena.show().await),
        (Some(5), Ok((5, false)))
    );
}

#[tokio::test]
async fn planted_events_without_version_go_back_and_without_resync_stay_behind() {
    let planted = showing(Mode::Events, Some(Gap::EventsWithoutVersion)).await;
    for version in [1, 2, 1] {
        planted.tell(version).await;
    }
    assert_eq!(planted.copy(), Some(1));

    let planted = showing(Mode::Events, Some(Gap::EventsWithoutResync)).await;
    planted.catalog.at(4);
    for version in [1, 3, 4] {
        assert_eq!(planted.tell(version).await, 200);
    }
    assert_eq!(planted.copy(), Some(1));
}

#[tokio::test]
async fn a_switch_forgets_copies_that_may_have_missed_notices_and_outlives_a_crash() {
    let arena = showing(Mode::Cache, None).await;
    arena.show().await.unwrap();
    arena.catalog.at(2);
    arena.tell(2).await;
    assert_eq!(arena.copy(), Some(1), "notices are not for the cache");
    let switched = arena
        .ask("PUT /sync", None, json!({ "mode": "events" }))
        .await;
    assert_eq!((switched.0, &switched.1["mode"]), (200, &json!("events")));
    assert_eq!((arena.copy(), arena.show().await), (None, Ok((2, false))));

    let file = arena.machine.file("challenge.redb").unwrap();
    let disk = file.bytes.lock().unwrap().clone();
    let again = Arena::open_on(World::new(), Shop::default(), Config::default(), Some(disk)).await;
    let (_, sync) = again.ask("GET /sync", None, Value::Null).await;
    assert_eq!(sync["mode"], "events");
}
