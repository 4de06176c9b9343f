use std::time::Duration;

use serde_json::json;
use squall_services::{
    infrastructure::bus,
    kit::{
        Context,
        bus::{Outcome, Read, Refused, Settled},
    },
};

use super::town::{Town, ids};

#[tokio::test]
async fn an_event_is_appended_once_however_often_it_is_sent() {
    let town = Town::new().await;
    let event = town.event("told", "a");
    for _ in 0..3 {
        town.tell(&event).await;
    }
    let first = town.read("g", &[]).await;
    assert_eq!(ids(&first), [&event.id]);
    assert_eq!(town.read("g", &[&first[0]]).await, []);
}

#[tokio::test]
async fn every_group_hears_every_event_and_keys_keep_their_order() {
    let town = Town::new().await;
    let events = ["a", "a", "a"].map(|key| town.event("told", key));
    for event in &events {
        town.tell(event).await;
    }
    for group in ["one", "two"] {
        let mut heard = Vec::new();
        let mut last = Vec::new();
        for _ in &events {
            let settled: Vec<_> = last.iter().collect();
            last = town.read(group, &settled).await;
            heard.extend(last.clone());
        }
        assert_eq!(ids(&heard), events.each_ref().map(|event| &event.id));
    }
}

#[tokio::test]
async fn a_restart_loses_no_event_and_delivers_again_what_was_not_settled() {
    let town = Town::new().await;
    let events = town.tell_twice().await;
    let first = town.read("g", &[]).await;
    assert_eq!(ids(&first), [&events[0].id]);

    town.world.pass(Duration::from_millis(1_100)).await;
    let reborn = town.crash().await;
    let again = reborn.read("g", &[]).await;
    assert_eq!(ids(&again), [&events[0].id]);
    assert_eq!(again[0].deliveries, 2);
    let next = reborn.read("g", &[&again[0]]).await;
    assert_eq!(ids(&next), [&events[1].id]);
    reborn.tell(&events[1]).await;
    assert_eq!(reborn.read("g", &[&next[0]]).await, [], "it was known");
}

#[tokio::test]
async fn a_crash_delivers_again_what_was_settled_less_than_a_second_before_it_and_nothing_older() {
    let town = Town::new().await;
    let events = town.tell_twice().await;
    let first = town.read("g", &[]).await;
    assert_eq!(ids(&town.read("g", &[&first[0]]).await), [&events[1].id]);

    let early = town.crash().await;
    assert_eq!(ids(&early.read("g", &[]).await), [&events[0].id]);
    town.world.pass(Duration::from_millis(1_100)).await;
    let late = town.crash().await;
    assert_eq!(ids(&late.read("g", &[]).await), [&events[1].id]);
}

#[tokio::test]
async fn an_append_stores_with_it_what_was_settled_before() {
    let town = Town::new().await;
    let events = ["a", "a"].map(|key| town.event("told", key));
    town.tell(&events[0]).await;
    let first = town.read("g", &[]).await;
    assert_eq!(town.read("g", &[&first[0]]).await, []);
    town.tell(&events[1]).await;
    let reborn = town.crash().await;
    assert_eq!(ids(&reborn.read("g", &[]).await), [&events[1].id]);
}

#[tokio::test]
async fn an_offset_is_given_out_once_although_its_event_was_trimmed() {
    let config = bus::Config {
        retention: Duration::ZERO,
        trim_every: Duration::from_millis(100),
        places_every: Duration::from_secs(60 * 60),
        ..Default::default()
    };
    let town = Town::with(config).await;
    town.tell(&town.event("told", "a")).await;
    let first = town.read("g", &[]).await;
    assert_eq!(first[0].offset, 0);
    assert_eq!(town.read("g", &[&first[0]]).await, []);
    town.world.pass(Duration::from_millis(200)).await;
    assert_eq!(town.read("another", &[]).await, [], "it is trimmed");

    let again = town.crash().await;
    let next = again.event("told", "a");
    again.tell(&next).await;
    assert_eq!(again.read("g", &[]).await[0].offset, 1);
}

#[tokio::test]
async fn a_read_waits_for_an_event_and_no_longer_than_it_said() {
    let town = Town::new().await;
    let (bus, context) = (town.client(), Context::fresh(&town.client, "read"));
    let read = Read {
        consumer: "reader".to_owned(),
        max: 4,
        wait_ms: 5_000,
        ..Read::default()
    };
    let began = tokio::time::Instant::now();
    assert_eq!(bus.read(&context, "news", "g", &read).await.unwrap(), []);
    assert!(began.elapsed() >= Duration::from_secs(5));

    let event = town.event("told", "a");
    let (sender, told) = (town.client(), event.clone());
    town.client.spawn("sender", async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        sender.append("news", &told).await.unwrap();
    });
    let began = tokio::time::Instant::now();
    let heard = bus.read(&context, "news", "g", &read).await.unwrap();
    assert_eq!(ids(&heard), [&event.id]);
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn what_is_to_be_tried_later_is_delivered_later() {
    let town = Town::new().await;
    let event = town.event("told", "a");
    town.tell(&event).await;
    let first = town.read("g", &[]).await;
    let later = Read {
        consumer: "reader".to_owned(),
        settled: vec![Settled {
            offset: first[0].offset,
            outcome: Outcome::RetryAfterMs(2_000),
        }],
        ..Read::default()
    };
    let context = Context::fresh(&town.client, "read");
    let bus = town.client();
    let settled = bus.read(&context, "news", "g", &later);
    assert_eq!(settled.await.unwrap(), []);
    assert_eq!(town.read("g", &[]).await, []);
    town.world.pass(Duration::from_secs(2)).await;
    assert_eq!(town.read("g", &[]).await[0].deliveries, 2);
}

#[tokio::test]
async fn nobody_can_hold_a_partition_up_for_ever() {
    let town = Town::new().await;
    let event = town.event("told", "a");
    town.tell(&event).await;
    let first = town.read("g", &[]).await;
    let never = Read {
        consumer: "reader".to_owned(),
        settled: vec![Settled {
            offset: first[0].offset,
            outcome: Outcome::RetryAfterMs(u64::MAX),
        }],
        ..Read::default()
    };
    let body = serde_json::to_value(&never).unwrap();
    let line = "POST /streams/news/groups/g/read";
    let (status, refusal) = town.world.ask("bus", line, None, body).await;
    assert_eq!(status, 400, "{refusal}");
}

#[tokio::test]
async fn an_event_that_is_too_large_is_refused_and_says_how_large_it_may_be() {
    let town = Town::new().await;
    let mut event = town.event("told", "a");
    event.body = json!("x".repeat(20_000));
    let Err(Refused::Problem(problem)) = town.client().append("news", &event).await else {
        panic!("it was taken");
    };
    assert!(problem.detail.contains("at most 16384"), "{problem}");
    let groups = town.world.see("bus", "/streams/news").await;
    assert_eq!(groups, json!([]));
}
