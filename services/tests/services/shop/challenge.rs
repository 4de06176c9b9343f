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
    kit::{
        Code, Problem,
        http::{Body, IdempotencyKey},
        saga,
    },
    planted_bug::{Bug, Bugs},
    rewards::challenge::{
        self, Config,
        model::CompletionStatus,
        store::{COMPLETIONS, PRODUCTS},
        sync::Mode,
    },
};

use crate::support::{
    machine::{Machine, start},
    world::{Answer, World, code, unanswered},
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
    Code::ServiceUnavailable.because("no answer")
}

async fn take(
    State(Shop(books)): State<Shop>,
    IdempotencyKey(key): IdempotencyKey,
    Body(order): Body<Value>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(
        [&order["sku"], &order["quantity"]],
        [&json!("pen"), &json!(2)]
    );
    let mut books = books.lock().unwrap();
    match (books.away, books.refuses) {
        (true, _) => return Err(no_answer()),
        (_, Some(code)) => return Err(code.because("refused")),
        _ => {}
    }
    let number = books.made + 1;
    let order = *books.orders.entry(key).or_insert(Some(number));
    books.made = number;
    if books.slow > 0 {
        books.slow -= 1;
        let body = json!({ "id": "ORD-0", "status": "Pending" });
        return Ok((StatusCode::ACCEPTED, Json(body)));
    }
    if books.answers_lost > 0 {
        books.answers_lost -= 1;
        return Err(no_answer());
    }
    let order = order.ok_or_else(|| Code::InvalidState.because("cancelled"))?;
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
    let saga = made.strip_suffix("-order-create");
    assert_eq!(key.strip_suffix("-order-cancel"), saga);
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
        let arena = Self::open_on(Shop::default(), config, None).await;
        let body = json!({ "title": "Write daily", "sku": "pen", "quantity": 2 });
        arena
            .world
            .must("challenge", "PUT /challenges/c1", body)
            .await;
        arena
    }

    /// Boots in a world of its own, perhaps on the disk of an earlier life.
    async fn open_on(shop: Shop, config: Config, earlier: Option<&Machine>) -> Self {
        let (world, catalog) = (World::new(), Catalog::default());
        shop.serve(&world);
        catalog.serve(&world);
        let (platform, machine) = match earlier {
            Some(earlier) => world.network.successor(earlier, 2),
            None => world.network.machine("challenge"),
        };
        start(&platform, |platform| challenge::run(platform, config));
        world.pass(Duration::from_millis(50)).await;
        Arena {
            world,
            machine,
            shop,
            catalog,
        }
    }

    async fn ask(&self, request: &str, key: Option<&str>, body: Value) -> Answer {
        self.world.ask("challenge", request, key, body).await
    }

    async fn complete(&self, user: &str, key: &str) -> Answer {
        let (request, body) = ("POST /challenges/c1/completions", json!({ "user": user }));
        self.ask(request, Some(key), body).await
    }

    fn status(&self, user: &str) -> Option<CompletionStatus> {
        let key = format!("c1:{user}");
        self.machine.row(&COMPLETIONS, &key).map(|row| row.status)
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
        self.machine.row(&PRODUCTS, "pen").map(|copy| copy.version)
    }
}

#[tokio::test]
async fn a_completion_is_rewarded_with_one_order_in_three_commits() {
    let arena = Arena::open(Config::default()).await;
    let before = arena.machine.commits();
    let (status, body) = arena.complete("ann", "k1").await;
    assert_eq!((status, &body["status"]), (201, &json!("Completed")));
    let saved = arena.machine.row(&COMPLETIONS, "c1:ann").unwrap();
    assert_eq!(saved.order_id.as_deref(), body["order_id"].as_str());
    assert_eq!(
        (arena.shop.live(), arena.machine.commits() - before),
        (1, 3)
    );
    assert_eq!(
        arena.complete("ann", "k1").await,
        (status, body),
        "a repeat"
    );
    let again = arena.complete("ann", "k2").await;
    assert_eq!(again, code(409, "INVALID_STATE"));
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
    let in_flight = [&c, &d].contains(&&unanswered());
    assert!(in_flight, "the repeat came in flight");
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
        let refused = arena.complete("unlucky-ann", "k1").await;
        assert_eq!(refused, code(409, "INVALID_STATE"));
    }
    let made = arena.shop.0.lock().unwrap().made;
    assert_eq!(made, 1, "the reward had been ordered");
    assert_eq!(arena.shop.live(), 0);
    assert_eq!(arena.status("unlucky-ann"), Some(CompletionStatus::Failed));
}

#[tokio::test]
async fn a_refused_reward_fails_the_completion_which_may_be_tried_again() {
    let arena = Arena::open(Config::default()).await;
    let refusal = code(409, "OUT_OF_STOCK");
    let refuses = |why| arena.shop.set(|books| books.refuses = why);
    refuses(Some(Code::OutOfStock));
    assert_eq!(arena.complete("ann", "k1").await, refusal);
    assert_eq!(arena.status("ann"), Some(CompletionStatus::Failed));
    refuses(None);
    let repeat = arena.complete("ann", "k1").await;
    assert_eq!(repeat, refusal, "its key's answer");
    assert_eq!(arena.complete("ann", "k2").await.0, 201);
    assert_eq!(arena.shop.live(), 1);
}

#[tokio::test]
async fn lost_answers_of_the_shop_end_in_one_order() {
    let arena = Arena::open(Config::default()).await;
    arena.shop.set(|books| books.answers_lost = 5);
    assert_eq!(arena.complete("ann", "k1").await.0, 201);
    assert_eq!(arena.shop.live(), 1);

    let bugs = Bugs::NONE.with(Bug::TimeoutMeansNo);
    let planted = Arena::open(Config {
        bugs,
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
        let repeat = arena.complete("ann", "k1").await;
        assert_eq!(repeat, unanswered(), "the repeat came in flight");
        tokio::time::sleep(Duration::from_secs(80)).await;
        arena.shop.set(|books| books.away = false);
    };
    let (told, ()) = tokio::join!(arena.complete("ann", "k1"), back);
    assert_eq!((told.0, &told.1["status"]), (202, &json!("Pending")));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let left = (arena.status("ann"), arena.shop.live());
    assert_eq!(left, (Some(CompletionStatus::Failed), 0));
    let again = arena.complete("ann", "k1").await;
    assert_eq!(again.0, 201, "the key was given free");
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
    let letters = arena.world.see("challenge", "/dead-letters").await;
    let letter = letters[0]["id"].as_str().unwrap();
    let redrive = format!("POST /dead-letters/{letter}/redrive");
    assert_eq!(arena.ask(&redrive, None, Value::Null).await.0, 202);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(arena.status("ann"), Some(CompletionStatus::Failed));
    let again = arena.ask(&redrive, None, Value::Null).await;
    assert_eq!(again, code(409, "INVALID_STATE"));
    assert_eq!(arena.complete("ann", "k1").await.0, 201);
}

#[tokio::test]
async fn a_completion_that_a_crash_interrupts_is_finished_and_its_key_still_answers() {
    let arena = Arena::open(Config::default()).await;
    // The pending completion is committed, the shop's answer is not there yet.
    let (time, interrupted) = (Duration::from_millis(12), arena.complete("ann", "k1"));
    assert!(tokio::time::timeout(time, interrupted).await.is_err());
    let (_, crashed) = World::new().network.successor(&arena.machine, 2);
    assert_eq!(arena.status("ann"), Some(CompletionStatus::Pending));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(arena.shop.live(), 1, "the order of the life that crashed");

    let again = Arena::open_on(arena.shop.clone(), Config::default(), Some(&crashed)).await;
    assert_eq!(again.complete("ann", "k1").await.0, 201);
    assert_eq!(again.status("ann"), Some(CompletionStatus::Completed));
    assert_eq!(again.shop.live(), 1);
}

#[tokio::test]
async fn bad_requests_are_refused_with_an_explanation() {
    let arena = Arena::open(Config::default()).await;
    let invalid = (400, "INVALID_REQUEST");
    for user in ["a/b", "a:b", "", &"u".repeat(32)] {
        let refused = arena.complete(user, "k").await;
        assert_eq!(refused, code(invalid.0, invalid.1), "{user}");
    }
    let (complete, user) = ("/completions", json!({ "user": "ann" }));
    let nothing = json!({ "title": "t", "sku": "pen", "quantity": 0 });
    let no_bus = json!({ "mode": "events", "transport": "stream" });
    let keyless = (400, "IDEMPOTENCY_KEY_MISSING");
    for (request, key, body, refused) in [
        (
            format!("POST /challenges/c9{complete}"),
            Some("k"),
            user.clone(),
            (404, "NOT_FOUND"),
        ),
        (
            format!("POST /challenges/c1{complete}"),
            None,
            user,
            keyless,
        ),
        ("PUT /challenges/c2".to_owned(), None, nothing, invalid),
        (
            "PUT /sync".to_owned(),
            None,
            json!({ "mode": "guess" }),
            invalid,
        ),
        ("PUT /sync".to_owned(), None, no_bus, invalid),
        (
            format!("GET /challenges/c1{complete}/ann"),
            None,
            Value::Null,
            (404, "NOT_FOUND"),
        ),
    ] {
        let answer = arena.ask(&request, key, body).await;
        assert_eq!(answer, code(refused.0, refused.1), "{request}");
    }
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

async fn showing(sync: Mode, bug: Option<Bug>) -> Arena {
    let bugs = bug.into_iter().collect();
    let arena = Arena::open(Config {
        sync,
        bugs,
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
    let shown = (arena.show().await, arena.catalog.asked());
    assert_eq!(shown, (Ok((1, false)), 1));
    arena.world.pass(2 * MINUTE).await;
    assert_eq!(arena.show().await, Ok((2, false)));
    arena.catalog.at(0);
    arena.world.pass(6 * MINUTE).await;
    assert_eq!(arena.show().await, Ok((2, true)));
    arena.world.pass(60 * MINUTE).await;
    assert_eq!(arena.show().await, Err(unanswered()));

    let planted = showing(Mode::Cache, Some(Bug::CacheNeverExpires)).await;
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
    let shown = arena.show().await;
    assert_eq!(shown, Ok((2, false)), "an outage is not the reader's");
    arena.catalog.at(5);
    assert_eq!(arena.tell(4).await, 200);
    let shown = (arena.copy(), arena.show().await);
    assert_eq!(shown, (Some(5), Ok((5, false))));
}

#[tokio::test]
async fn planted_events_without_version_go_back_and_without_resync_stay_behind() {
    let planted = showing(Mode::Events, Some(Bug::EventsWithoutVersion)).await;
    for version in [1, 2, 1] {
        planted.tell(version).await;
    }
    assert_eq!(planted.copy(), Some(1));

    let planted = showing(Mode::Events, Some(Bug::EventsWithoutResync)).await;
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
    let events = json!({ "mode": "events" });
    let switched = arena.world.must("challenge", "PUT /sync", events).await;
    assert_eq!(switched["mode"], "events");
    assert_eq!((arena.copy(), arena.show().await), (None, Ok((2, false))));

    let config = Config::default();
    let again = Arena::open_on(Shop::default(), config, Some(&arena.machine)).await;
    let sync = again.world.see("challenge", "/sync").await;
    assert_eq!(sync["mode"], "events");
}
