use std::time::Duration;

use serde_json::{Value, json};
use squall_services::{gap::Gap, user};

use super::world::{Answer, World, code};

/// The user service with one user, who has 1000 won.
async fn open(gap: Option<Gap>) -> World {
    let world = World::new();
    let (platform, _) = world.machine("user");
    let gaps = gap.into_iter().collect();
    let served = platform.clone();
    platform.spawn("service", async move {
        user::run(
            served,
            user::Config {
                gaps,
                ..Default::default()
            },
        )
        .await
        .unwrap();
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let kim = json!({ "name": "Kim", "balance": 1000 });
    let (status, _) = world.ask("user", "PUT /users/kim", None, kim).await;
    assert_eq!(status, 200);
    world
}

async fn reserve(world: &World, saga: &str, amount: u64) -> Answer {
    let body = json!({ "saga_id": saga, "order_id": "o1", "user": "kim", "amount": amount });
    let key = format!("{saga}-user-reserve");
    world
        .ask("user", "POST /balance-reservations", Some(&key), body)
        .await
}

async fn settle(world: &World, saga: &str, how: &str) -> Answer {
    let (path, key) = (
        format!("POST /balance-reservations/{saga}/{how}"),
        format!("{saga}-user-{how}"),
    );
    world.ask("user", &path, Some(&key), json!({})).await
}

async fn credit(world: &World, amount: u64) {
    let key = format!("credit-{amount}");
    let body = json!({ "amount": amount });
    let (status, _) = world
        .ask("user", "POST /users/kim/credits", Some(&key), body)
        .await;
    assert_eq!(status, 200);
}

/// What is available, reserved and spent.
async fn balance(world: &World) -> [Value; 3] {
    let (_, user) = world.ask("user", "GET /users/kim", None, Value::Null).await;
    ["available", "reserved", "spent"].map(|part| user[part].clone())
}

#[tokio::test]
async fn an_amount_is_reserved_and_spent_once_however_often_it_is_asked() {
    let world = open(None).await;
    let (status, first) = reserve(&world, "s1", 300).await;
    assert_eq!(status, 201);
    assert_eq!(reserve(&world, "s1", 300).await, (201, first));
    assert_eq!(balance(&world).await, [700, 300, 0]);
    for _ in 0..2 {
        assert_eq!(settle(&world, "s1", "confirm").await.0, 200);
        assert_eq!(balance(&world).await, [700, 0, 300]);
    }
}

#[tokio::test]
async fn a_rebate_is_not_reserved_whoever_promised_it() {
    let world = open(None).await;
    let ask = async |saga: &str, rebate: u64| {
        let body = json!({
            "saga_id": saga, "order_id": "o1", "user": "kim", "amount": 300, "rebate": rebate,
        });
        let key = format!("{saga}-user-reserve");
        world
            .ask("user", "POST /balance-reservations", Some(&key), body)
            .await
    };
    let (status, reserved) = ask("s1", 15).await;
    assert_eq!((status, &reserved["amount"]), (201, &json!(285)));
    assert_eq!(balance(&world).await, [715, 285, 0]);
    assert_eq!(ask("s2", 300).await, code(400, "INVALID_REQUEST"));
    assert_eq!(balance(&world).await, [715, 285, 0]);
}

#[tokio::test]
async fn more_than_there_is_is_refused() {
    let world = open(None).await;
    let refused = code(409, "INSUFFICIENT_BALANCE");
    assert_eq!(reserve(&world, "s1", 1001).await, refused);
    assert_eq!(balance(&world).await, [1000, 0, 0]);
}

#[tokio::test]
async fn a_release_that_comes_before_its_reserve_refuses_it() {
    let world = open(None).await;
    assert_eq!(settle(&world, "s1", "release").await.0, 200);
    assert_eq!(reserve(&world, "s1", 300).await, code(409, "INVALID_STATE"));
    assert_eq!(balance(&world).await, [1000, 0, 0]);
}

#[tokio::test]
async fn without_tombstones_it_does_not() {
    let world = open(Some(Gap::RollbackOvertakesLateSuccess)).await;
    assert_eq!(settle(&world, "s1", "release").await.0, 200);
    assert_eq!(reserve(&world, "s1", 300).await.0, 201);
}

#[tokio::test]
async fn a_release_gives_back_the_amount_whatever_happened_since() {
    let world = open(None).await;
    reserve(&world, "s1", 300).await;
    credit(&world, 50).await;
    assert_eq!(settle(&world, "s1", "release").await.0, 200);
    assert_eq!(balance(&world).await, [1050, 0, 0]);
}

#[tokio::test]
async fn a_restored_balance_forgets_what_happened_since() {
    let world = open(Some(Gap::RestoreRememberedBalance)).await;
    reserve(&world, "s1", 300).await;
    credit(&world, 50).await;
    settle(&world, "s1", "release").await;
    assert_eq!(balance(&world).await, [1000, 0, 0]);
}

#[tokio::test]
async fn a_user_who_may_not_buy_reserves_nothing() {
    let world = open(None).await;
    let inactive = json!({ "active": false });
    let (status, _) = world.ask("user", "PATCH /users/kim", None, inactive).await;
    assert_eq!(status, 200);
    assert_eq!(reserve(&world, "s1", 1).await, code(409, "INVALID_STATE"));
}

#[tokio::test]
async fn who_changes_a_balance_names_the_change() {
    let world = open(None).await;
    let body = json!({ "amount": 1 });
    let answer = world
        .ask("user", "POST /users/kim/credits", None, body)
        .await;
    assert_eq!(answer, code(400, "IDEMPOTENCY_KEY_MISSING"));
}
