use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::State, routing::post};
use serde_json::json;
use squall_services::kit::{
    bus::{Event, Subscribe},
    http::Body,
};

use super::town::Town;

type Heard = Arc<Mutex<Vec<String>>>;

fn listener(town: &Town, name: &str) -> Heard {
    let heard = Heard::default();
    let hear = |State(heard): State<Heard>, Body(event): Body<Event>| async move {
        heard.lock().unwrap().push(event.id);
        axum::Json(json!({}))
    };
    let router = Router::new()
        .route("/channels/news", post(hear))
        .with_state(heard.clone());
    town.world.stand_in(name, router);
    heard
}

async fn publish(town: &Town, kind: &str) -> (String, u64) {
    let event = town.event(kind, "a");
    let body = serde_json::to_value(&event).unwrap();
    let told = town.world.must("bus", "POST /channels/news", body).await;
    town.world.pass(Duration::from_millis(100)).await;
    (event.id, told["subscribers"].as_u64().unwrap())
}

async fn subscribe(town: &Town, service: &str, kinds: &[&str]) {
    let subscribe = Subscribe {
        service: service.to_owned(),
        kinds: kinds.iter().map(|kind| kind.to_string()).collect(),
    };
    let context = squall_services::kit::Context::fresh(&town.client, "test");
    let client = town.client();
    let subscribed = client.subscribe(&context, "news", &subscribe);
    subscribed.await.unwrap();
}

#[tokio::test]
async fn a_message_that_nobody_listens_to_is_gone() {
    let town = Town::new().await;
    let heard = listener(&town, "reader");
    assert_eq!(publish(&town, "told").await.1, 0);
    subscribe(&town, "reader", &[]).await;
    let (id, subscribers) = publish(&town, "told").await;
    assert_eq!(subscribers, 1);
    assert_eq!(*heard.lock().unwrap(), [id]);
}

#[tokio::test]
async fn a_subscriber_that_does_not_renew_its_lease_hears_no_more() {
    let town = Town::new().await;
    let heard = listener(&town, "reader");
    subscribe(&town, "reader", &[]).await;
    town.world.pass(Duration::from_secs(31)).await;
    assert_eq!(publish(&town, "told").await.1, 0);
    assert!(heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_subscriber_hears_only_the_kinds_that_concern_it() {
    let town = Town::new().await;
    let heard = listener(&town, "reader");
    subscribe(&town, "reader", &["told"]).await;
    publish(&town, "shouted").await;
    let (id, _) = publish(&town, "told").await;
    assert_eq!(*heard.lock().unwrap(), [id]);
}
