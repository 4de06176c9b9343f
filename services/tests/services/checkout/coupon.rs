use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::json;
use squall_services::{
    checkout::coupon,
    kit::executor::{Load, Size},
    planted_bug::Bug,
};

use crate::support::world::{Answer, World, code};

/// The coupon service with a campaign of five.
async fn open(bug: Option<Bug>, issue: Size) -> (World, Load) {
    let (world, load) = (World::new(), Load::default());
    let config = coupon::Config {
        bugs: bug.into_iter().collect(),
        issue,
        load: load.clone(),
    };
    world.serve("coupon", |p| coupon::run(p, config)).await;
    let terms = json!({ "discount": 100, "limit": 5 });
    world.must("coupon", "PUT /campaigns/spring", terms).await;
    (world, load)
}

/// The same, and a coupon of Kim's.
async fn open_with_a_coupon(bug: Option<Bug>) -> (World, String) {
    let (world, _) = open(bug, Size::COUPON_ISSUE).await;
    let (_, coupon) = issue(&world, "kim", "k").await;
    (world, coupon["id"].as_str().unwrap().to_owned())
}

async fn issue(world: &World, user: &str, key: &str) -> Answer {
    let (request, body) = ("POST /campaigns/spring/coupons", json!({ "user": user }));
    world.ask("coupon", request, Some(key), body).await
}

async fn reserve(world: &World, saga: &str, coupon: &str) -> Answer {
    let body = json!({ "saga_id": saga, "order_id": "o", "coupon": coupon, "user": "kim" });
    let (request, key) = (
        "POST /coupon-reservations",
        format!("{saga}-coupon-reserve"),
    );
    world.ask("coupon", request, Some(&key), body).await
}

async fn settle(world: &World, saga: &str, how: &str) -> Answer {
    let (request, key) = (
        format!("POST /coupon-reservations/{saga}/{how}"),
        format!("{saga}-coupon-{how}"),
    );
    world.ask("coupon", &request, Some(&key), json!({})).await
}

/// Sixty requests of thirty users at once: how many were given one, gone without, and told to come again.
async fn rush(world: &World) -> (usize, usize, usize) {
    let asks = (0..60).map(|n| async move {
        let (user, key) = (format!("u{}", n % 30), format!("k{n}"));
        issue(world, &user, &key).await
    });
    let answers = join_all(asks).await;
    let mut holders = BTreeSet::new();
    for (_, coupon) in answers.iter().filter(|(status, _)| *status == 201) {
        let user = coupon["user"].to_string();
        assert!(holders.insert(user), "two to one user");
    }
    let count = |status| answers.iter().filter(|answer| answer.0 == status).count();
    (count(201), count(409), count(429))
}

#[tokio::test]
async fn a_rush_gets_what_there_is_and_no_more() {
    let (world, load) = open(None, Size::COUPON_ISSUE).await;
    assert_eq!(rush(&world).await, (5, 55, 0));
    let (_, running, queued) = load.peaks().executors["coupon-issue"];
    assert_eq!((running, queued), (5, 55));
}

#[tokio::test]
async fn whoever_comes_when_the_executor_is_full_is_told_to_come_again() {
    let (world, load) = open(None, Size::new(1, 3, 4)).await;
    let (issued, refused, throttled) = rush(&world).await;
    assert_eq!((issued + refused, throttled), (7, 53));
    let (size, running, queued) = load.peaks().executors["coupon-issue"];
    assert_eq!((running, queued), (size.max, size.queue));
}

#[tokio::test]
async fn coupons_counted_in_one_transaction_and_issued_in_another_are_too_many() {
    let (world, _) = open(Some(Bug::CouponOverIssued), Size::COUPON_ISSUE).await;
    assert!(rush(&world).await.0 > 5);
}

#[tokio::test]
async fn a_coupon_is_used_by_one_order() {
    let (world, id) = &open_with_a_coupon(None).await;
    let taken = code(409, "INVALID_STATE");
    assert_eq!(reserve(world, "s1", id).await.0, 201);
    assert_eq!(reserve(world, "s2", id).await, taken);
    assert_eq!(settle(world, "s1", "use").await.0, 200);
    assert_eq!(settle(world, "s1", "use").await.0, 200);
    assert_eq!(reserve(world, "s3", id).await, taken);
    assert_eq!(settle(world, "s1", "release").await, taken);
}

#[tokio::test]
async fn a_coupon_is_used_by_two_orders_of_its_user_where_the_bug_is() {
    let (world, id) = &open_with_a_coupon(Some(Bug::CouponOwnedIsEnough)).await;
    for saga in ["s1", "s2"] {
        assert_eq!(reserve(world, saga, id).await.0, 201);
    }
    for saga in ["s1", "s2"] {
        assert_eq!(settle(world, saga, "use").await.0, 200);
    }
    let taken = code(409, "INVALID_STATE");
    assert_eq!(reserve(world, "s3", id).await, taken, "it is spent by now");
}

#[tokio::test]
async fn a_released_coupon_can_be_used_by_another_order() {
    let (world, id) = &open_with_a_coupon(None).await;
    reserve(world, "s1", id).await;
    assert_eq!(settle(world, "s1", "release").await.0, 200);
    let coupons = world.see("coupon", "/coupons?user=kim").await;
    assert_eq!(coupons[0]["state"], "Issued");
    assert_eq!(reserve(world, "s2", id).await.0, 201);
}

#[tokio::test]
async fn a_release_that_comes_before_its_reserve_refuses_it() {
    let (world, id) = &open_with_a_coupon(None).await;
    assert_eq!(settle(world, "s1", "release").await.0, 200);
    assert_eq!(reserve(world, "s1", id).await, code(409, "INVALID_STATE"));
    assert_eq!(reserve(world, "s2", id).await.0, 201);
}
