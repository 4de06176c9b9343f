use serde_json::{Value, json};
use squall_services::{planted_bug::Bug, shared::user};

use crate::support::world::{Answer, World, code};

/// The user service with one user, who has 1000 won.
async fn open(bug: Option<Bug>) -> World {
    let world = World::new();
    let config = user::Config {
        bugs: bug.into_iter().collect(),
    };
    world.serve("user", |p| user::run(p, config)).await;
    let kim = json!({ "name": "Kim", "balance": 1000 });
    world.must("user", "PUT /users/kim", kim).await;
    world
}

async fn reserve(world: &World, saga: &str, amount: u64) -> Answer {
    reserve_less(world, saga, amount, 0).await
}

async fn reserve_less(world: &World, saga: &str, amount: u64, rebate: u64) -> Answer {
    let body = json!({
        "saga_id": saga, "order_id": "o1", "user": "kim", "amount": amount, "rebate": rebate,
    });
    let (request, key) = ("POST /balance-reservations", format!("{saga}-user-reserve"));
    world.ask("user", request, Some(&key), body).await
}

async fn settle(world: &World, saga: &str, how: &str) -> Answer {
    let (request, key) = (
        format!("POST /balance-reservations/{saga}/{how}"),
        format!("{saga}-user-{how}"),
    );
    world.ask("user", &request, Some(&key), json!({})).await
}

async fn credit(world: &World, amount: u64) {
    let body = json!({ "amount": amount });
    world.must("user", "POST /users/kim/credits", body).await;
}

/// What is available, reserved and spent.
async fn balance(world: &World) -> [Value; 3] {
    let user = world.see("user", "/users/kim").await;
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
    let (status, reserved) = reserve_less(&world, "s1", 300, 15).await;
    assert_eq!((status, &reserved["amount"]), (201, &json!(285)));
    assert_eq!(balance(&world).await, [715, 285, 0]);
    assert_eq!(
        reserve_less(&world, "s2", 300, 300).await,
        code(400, "INVALID_REQUEST")
    );
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
    let world = open(Some(Bug::RollbackOvertakesLateSuccess)).await;
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
    let world = open(Some(Bug::RestoreRememberedBalance)).await;
    reserve(&world, "s1", 300).await;
    credit(&world, 50).await;
    settle(&world, "s1", "release").await;
    assert_eq!(balance(&world).await, [1000, 0, 0]);
}

#[tokio::test]
async fn a_user_who_may_not_buy_reserves_nothing() {
    let world = open(None).await;
    let inactive = json!({ "active": false });
    world.must("user", "PATCH /users/kim", inactive).await;
    assert_eq!(reserve(&world, "s1", 1).await, code(409, "INVALID_STATE"));
}

#[tokio::test]
async fn who_changes_a_balance_names_the_change() {
    let world = open(None).await;
    let body = json!({ "amount": 1 });
    let request = "POST /users/kim/credits";
    let answer = world.ask("user", request, None, body).await;
    assert_eq!(answer, code(400, "IDEMPOTENCY_KEY_MISSING"));
}
