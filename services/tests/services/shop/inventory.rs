use std::{sync::Arc, time::Duration};

use axum::{Json, Router, extract::Path, routing::get};
use serde_json::{Value, json};
use squall_services::{
    kit::Code,
    planted_bug::Bug,
    shared::inventory::{
        self, Config,
        model::{LockState, ReservationState},
        store::{PRODUCTS, RESERVATIONS},
    },
};

use crate::support::{
    machine::Machine,
    world::{Answer, World, code},
};

struct Shop {
    world: World,
    machine: Arc<Machine>,
}

impl Shop {
    /// A shop with `stock` pens.
    async fn open(bug: Option<Bug>, stock: u64) -> Self {
        let world = World::new();
        let config = Config {
            bugs: bug.into_iter().collect(),
            ..Config::default()
        };
        let machine = world
            .serve("inventory", |platform| inventory::run(platform, config))
            .await;
        let stock = json!({ "stock": stock });
        world.must("inventory", "PUT /inventory/pen", stock).await;
        Shop { world, machine }
    }

    async fn ask(&self, request: &str, key: Option<&str>, body: Value) -> Answer {
        self.world.ask("inventory", request, key, body).await
    }

    async fn reserve(&self, saga: &str, quantity: i64) -> Answer {
        let body = json!({ "saga_id": saga, "order_id": "o1", "sku": "pen", "quantity": quantity });
        let key = format!("{saga}-inventory-reserve");
        self.ask("POST /reservations", Some(&key), body).await
    }

    async fn settle(&self, saga: &str, what: &str) -> Answer {
        let request = format!("POST /reservations/{saga}/{what}");
        let key = format!("{saga}-inventory-{what}");
        self.ask(&request, Some(&key), Value::Null).await
    }

    /// On hand, reserved, sold.
    fn units(&self) -> [u64; 3] {
        let units = self.machine.row(&PRODUCTS, "pen").unwrap().units;
        assert_eq!(units.on_hand + units.reserved + units.sold, units.stocked);
        [units.on_hand, units.reserved, units.sold]
    }

    fn owner(&self) -> Option<String> {
        let product = self.machine.row(&PRODUCTS, "pen").unwrap();
        product.lock.map(|lock| lock.owner)
    }

    fn state(&self, saga: &str) -> Option<ReservationState> {
        self.machine
            .row(&RESERVATIONS, saga)
            .map(|reservation| reservation.state)
    }
}

#[tokio::test]
async fn a_reservation_is_confirmed_with_one_commit_for_each_step() {
    let shop = Shop::open(None, 5).await;
    let before = shop.machine.commits();
    let (status, reservation) = shop.reserve("S1", 2).await;
    assert_eq!((status, &reservation["state"]), (201, &json!("Reserved")));
    assert_eq!(shop.units(), [3, 2, 0]);
    assert_eq!(shop.owner().as_deref(), Some("S1"));
    assert_eq!(shop.settle("S1", "confirm").await.0, 200);
    assert_eq!(shop.units(), [3, 0, 2]);
    assert_eq!(shop.owner(), None);
    assert_eq!(shop.machine.commits() - before, 2);
}

#[tokio::test]
async fn a_repeat_gets_the_same_answer_and_has_no_effect() {
    let shop = Shop::open(None, 5).await;
    let first = shop.reserve("S1", 2).await;
    let before = shop.machine.commits();
    assert_eq!(shop.reserve("S1", 2).await, first);
    let body = json!({ "saga_id": "S1", "order_id": "o1", "sku": "pen", "quantity": 2 });
    let other_key = shop.ask("POST /reservations", Some("other"), body).await;
    assert_eq!(other_key, first, "a saga reserves once, whatever the key");
    assert_eq!(shop.units(), [3, 2, 0]);
    let other = shop.reserve("S1", 3).await;
    assert_eq!(other, code(422, "IDEMPOTENCY_MISMATCH"));
    assert_eq!(
        shop.machine.commits() - before,
        1,
        "only the other key's record"
    );
    for _ in 0..2 {
        assert_eq!(shop.settle("S1", "confirm").await.0, 200);
    }
    assert_eq!(shop.units(), [3, 0, 2]);
}

#[tokio::test]
async fn a_cancel_brings_the_units_back_before_and_after_the_confirmation() {
    let shop = Shop::open(None, 5).await;
    shop.reserve("S1", 2).await;
    assert_eq!(shop.settle("S1", "cancel").await.0, 200);
    assert_eq!((shop.units(), shop.owner()), ([5, 0, 0], None));
    let confirmed = shop.settle("S1", "confirm").await;
    assert_eq!(confirmed, code(409, "INVALID_STATE"));

    shop.reserve("S2", 2).await;
    shop.settle("S2", "confirm").await;
    shop.reserve("S3", 1).await;
    assert_eq!(shop.settle("S2", "cancel").await.0, 200, "a return");
    assert_eq!(shop.units(), [4, 1, 0]);
    let owner = shop.owner();
    assert_eq!(
        owner.as_deref(),
        Some("S3"),
        "a return leaves the lock alone"
    );
}

#[tokio::test]
async fn out_of_stock_stays_the_answer_of_its_key_and_leaves_the_product_free() {
    let shop = Shop::open(None, 1).await;
    assert_eq!(shop.reserve("S1", 2).await, code(409, "OUT_OF_STOCK"));
    assert_eq!(shop.owner(), None);
    let (restock, five) = ("POST /inventory/pen/restock", json!({ "quantity": 5 }));
    let restocked = shop.ask(restock, Some("r"), five).await;
    assert_eq!((restocked.0, &restocked.1["on_hand"]), (200, &json!(6)));
    assert_eq!(shop.reserve("S1", 2).await, code(409, "OUT_OF_STOCK"));
    assert_eq!(shop.reserve("S2", 2).await.0, 201);
}

#[tokio::test]
async fn a_product_in_the_hands_of_one_saga_is_refused_to_another_until_it_lets_go() {
    let shop = Shop::open(None, 5).await;
    shop.reserve("S1", 1).await;
    assert_eq!(shop.reserve("S2", 1).await, code(409, "SAGA_IN_PROGRESS"));
    assert_eq!(shop.settle("S2", "confirm").await, code(404, "NOT_FOUND"));
    shop.settle("S1", "confirm").await;
    let later = shop.reserve("S2", 1).await;
    assert_eq!(later.0, 201, "the refusal was not kept");
    assert_eq!(shop.units(), [3, 1, 1]);
}

#[tokio::test]
async fn a_reserve_that_arrives_after_its_cancel_is_refused() {
    let shop = Shop::open(None, 5).await;
    assert_eq!(shop.settle("S1", "cancel").await.0, 200);
    let tombstone = shop.machine.row(&RESERVATIONS, "S1").unwrap();
    let left = (tombstone.state, tombstone.quantity);
    assert_eq!(left, (ReservationState::Released, 0));
    assert_eq!(shop.reserve("S1", 1).await, code(409, "INVALID_STATE"));
    assert_eq!(shop.units(), [5, 0, 0]);

    let planted = Shop::open(Some(Bug::LateReserveAfterCancel), 5).await;
    planted.settle("S1", "cancel").await;
    assert_eq!(planted.reserve("S1", 1).await.0, 201);
}

#[tokio::test]
async fn two_sagas_at_once_never_share_the_last_unit() {
    let shop = Shop::open(None, 1).await;
    let (a, b) = tokio::join!(shop.reserve("S1", 1), shop.reserve("S2", 1));
    let reserved = [a.0, b.0].into_iter().filter(|status| *status == 201);
    assert_eq!(reserved.count(), 1);
    assert_eq!(shop.units(), [0, 1, 0]);

    for bug in [Bug::CheckThenActStock, Bug::NoVersionCheck] {
        let planted = Shop::open(Some(bug), 1).await;
        let (a, b) = tokio::join!(planted.reserve("S1", 1), planted.reserve("S2", 1));
        assert_eq!((a.0, b.0), (201, 201), "{}", bug.name());
    }
}

#[tokio::test]
async fn a_planted_lock_that_checks_reserving_only_lets_another_saga_take_a_reserved_row() {
    let planted = Shop::open(Some(Bug::SemanticLockReservingOnly), 5).await;
    planted.reserve("S1", 1).await;
    assert_eq!(planted.reserve("S2", 1).await.0, 201);
    assert_eq!(planted.owner().as_deref(), Some("S2"));
    assert_eq!(planted.settle("S1", "confirm").await.0, 200);
    assert_eq!(planted.owner(), None, "freed by one that is not the owner");
}

#[tokio::test]
async fn without_a_key_nothing_happens_unless_that_is_planted() {
    let body = json!({ "saga_id": "S1", "order_id": "o1", "sku": "pen", "quantity": 1 });
    let shop = Shop::open(None, 5).await;
    let refused = shop.ask("POST /reservations", None, body.clone()).await;
    assert_eq!(refused, code(400, "IDEMPOTENCY_KEY_MISSING"));
    assert_eq!(shop.units(), [5, 0, 0]);

    let planted = Shop::open(Some(Bug::NoKey), 5).await;
    for _ in 0..2 {
        let answer = planted.ask("POST /reservations", None, body.clone()).await;
        assert_eq!(answer.0, 201);
    }
    assert_eq!(planted.units(), [3, 2, 0]);
}

#[tokio::test]
async fn a_key_that_is_planted_to_be_kept_later_takes_two_commits() {
    let planted = Shop::open(Some(Bug::KeyStoredAfterEffect), 5).await;
    let before = planted.machine.commits();
    let first = planted.reserve("S1", 1).await;
    assert_eq!(planted.machine.commits() - before, 2);
    assert_eq!(planted.reserve("S1", 1).await, first);
    assert_eq!(planted.units(), [4, 1, 0]);
}

/// An orchestrator that says this of every saga.
fn orchestrator(says: Result<&'static str, Code>) -> Router {
    let answer = move |Path(id): Path<String>| async move {
        match says {
            Ok(status) => Ok(Json(json!({ "id": id, "status": status }))),
            Err(code) => Err(code.because("")),
        }
    };
    Router::new().route("/sagas/{id}", get(answer))
}

#[tokio::test]
async fn only_the_old_lock_of_an_ended_saga_is_swept() {
    let ended = [Ok("Completed"), Ok("Compensated"), Err(Code::NotFound)];
    let alive = [
        Ok("Running"),
        Ok("NeedsAttention"),
        Err(Code::ServiceUnavailable),
    ];
    let (ended, alive) = (
        ended.map(|says| (says, true)),
        alive.map(|says| (says, false)),
    );
    for (says, swept) in ended.into_iter().chain(alive) {
        let shop = Shop::open(None, 5).await;
        shop.world.stand_in("order", orchestrator(says));
        shop.reserve("S1", 2).await;
        shop.world.pass(Duration::from_secs(29 * 60)).await;
        assert_eq!(shop.units(), [3, 2, 0], "too young");
        shop.world.pass(Duration::from_secs(2 * 60)).await;
        let expected = match swept {
            true => ([5, 0, 0], None),
            false => ([3, 2, 0], Some("S1".to_owned())),
        };
        assert_eq!((shop.units(), shop.owner()), expected, "{says:?}");
        assert_eq!(shop.state("S1") == Some(ReservationState::Released), swept);
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_hides_no_leaked_lock() {
    let shop = Shop::open(None, 5).await;
    shop.world
        .stand_in("order", orchestrator(Ok("Compensated")));
    shop.reserve("S1", 2).await;
    shop.world.set_back(Duration::from_secs(24 * 60 * 60));
    shop.world.pass(Duration::from_secs(29 * 60)).await;
    assert_eq!(shop.owner().as_deref(), Some("S1"), "too young");
    shop.world.pass(Duration::from_secs(3 * 60)).await;
    assert_eq!((shop.units(), shop.owner()), ([5, 0, 0], None));
}

#[tokio::test]
async fn a_lock_is_left_alone_while_the_orchestrator_cannot_be_reached() {
    let shop = Shop::open(None, 5).await;
    shop.reserve("S1", 2).await;
    shop.world.pass(Duration::from_secs(40 * 60)).await;
    assert_eq!(shop.owner().as_deref(), Some("S1"));
    shop.world
        .stand_in("order", orchestrator(Ok("Compensated")));
    shop.world.pass(Duration::from_secs(5 * 60)).await;
    assert_eq!(shop.owner(), None);
}

#[tokio::test]
async fn a_planted_lock_in_a_commit_of_its_own_stays_when_the_cancel_overtakes_the_reservation() {
    let planted = Shop::open(Some(Bug::SemanticLockNeverSwept), 5).await;
    planted
        .world
        .stand_in("order", orchestrator(Ok("Compensated")));
    let overtaking = async {
        // Between the two commits of the reserve, each 5 ms away.
        tokio::time::sleep(Duration::from_millis(3)).await;
        planted.settle("S1", "cancel").await
    };
    let (late, cancelled) = tokio::join!(planted.reserve("S1", 1), overtaking);
    assert_eq!((late, cancelled.0), (code(409, "INVALID_STATE"), 200));
    planted.world.pass(Duration::from_secs(40 * 60)).await;
    let pen = planted.machine.row(&PRODUCTS, "pen").unwrap();
    let lock = pen.lock.unwrap();
    assert_eq!((&*lock.owner, lock.state), ("S1", LockState::Reserving));
}

#[tokio::test]
async fn bad_requests_are_refused_with_an_explanation() {
    let shop = Shop::open(None, 5).await;
    let invalid = code(400, "INVALID_REQUEST");
    for quantity in [-1, 0, 1001] {
        assert_eq!(shop.reserve("S1", quantity).await, invalid, "{quantity}");
    }
    assert_eq!(shop.reserve("S 1", 1).await, invalid);
    let unknown = json!({ "saga_id": "S1", "order_id": "o1", "sku": "ink", "quantity": 1 });
    let stale = json!({ "quantity": 1, "version": 7 });
    for (request, body, refused) in [
        ("POST /reservations", unknown, (404, "NOT_FOUND")),
        ("GET /inventory/ink", Value::Null, (404, "NOT_FOUND")),
        (
            "PUT /inventory/pen",
            json!({ "stock": 6 }),
            (409, "INVALID_STATE"),
        ),
        (
            "POST /inventory/pen/restock",
            stale,
            (409, "VERSION_CONFLICT"),
        ),
    ] {
        let answer = shop.ask(request, Some("k"), body).await;
        assert_eq!(answer, code(refused.0, refused.1), "{request}");
    }
    assert_eq!(shop.units(), [5, 0, 0]);
}
