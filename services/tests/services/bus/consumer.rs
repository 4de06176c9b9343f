use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::Value;
use squall_services::{
    kit::{
        self, Store, StoreError, Table,
        bus::{Consumer, Event, Handler, HandlerError, Subscription},
        inbox::{self, HORIZON_MS, Inbox},
    },
    planted_bug::Bugs,
};

use super::town::Town;
use crate::support::machine::start;

const NOTES: Table<String> = Table::new("notes");

/// Notes what it handles, unless it is told to fail.
struct Notes {
    store: Store,
    inbox: Inbox,
    fails: AtomicBool,
    handled: Mutex<Vec<String>>,
}

#[async_trait]
impl Handler for Notes {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        if event.kind == "poison" && self.fails.load(Ordering::SeqCst) {
            return Err(HandlerError::Poison("it cannot be".to_owned()));
        }
        if self.fails.load(Ordering::SeqCst) {
            return Err(HandlerError::Retry("not now".to_owned()));
        }
        let (inbox, told) = (self.inbox.clone(), event.clone());
        let fresh = self.store.write(move |tx| {
            let fresh = inbox.is_new(tx, &told)?;
            if fresh {
                tx.put(&NOTES, &told.id, &told.kind)?;
            }
            Ok::<_, StoreError>(fresh)
        });
        if fresh.await? {
            self.handled.lock().unwrap().push(event.id.clone());
        }
        Ok(())
    }
}

async fn listen(town: &Town, deliveries_max: u32) -> Arc<Notes> {
    let (platform, _) = town.world.network.machine("notes");
    let store = Store::open(&platform, "notes.redb").await.unwrap();
    let notes = Arc::new(Notes {
        inbox: Inbox::open(&platform, &store, "notes", Bugs::NONE),
        store: store.clone(),
        fails: AtomicBool::new(false),
        handled: Mutex::default(),
    });
    let subscription = Subscription {
        deliveries_max,
        ..Subscription::new("news", "notes", &["told", "poison"])
    };
    let bus = kit::bus::Bus::new(&platform, "bus");
    let handler = notes.clone();
    let consumer = Consumer::start(&platform, &store, &bus, subscription, Bugs::NONE, handler);
    start(&platform, |platform| async move {
        kit::http::serve(&platform, Consumer::router(vec![consumer])).await
    });
    notes
}

impl Notes {
    fn handled(&self) -> Vec<String> {
        self.handled.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_handled_now_is_handled_later() {
    let town = Town::new().await;
    let notes = listen(&town, 10).await;
    notes.fails.store(true, Ordering::SeqCst);
    let event = town.event("told", "a");
    town.tell(&event).await;
    town.world.pass(Duration::from_secs(3)).await;
    assert_eq!(notes.handled(), [""; 0]);
    notes.fails.store(false, Ordering::SeqCst);
    town.world.pass(Duration::from_secs(10)).await;
    assert_eq!(notes.handled(), [event.id]);
}

#[tokio::test]
async fn poison_becomes_a_dead_letter_that_can_be_replayed_and_holds_nothing_up() {
    let town = Town::new().await;
    let notes = listen(&town, 10).await;
    notes.fails.store(true, Ordering::SeqCst);
    let poison = town.event("poison", "a");
    town.tell(&poison).await;
    town.world.pass(Duration::from_secs(1)).await;
    let list = || town.world.see("notes", "/dead-events");
    let letters = list().await;
    assert_eq!(letters[0]["event"]["id"], poison.id);
    assert_eq!(letters[0]["reason"], "it cannot be");

    let replay = format!("POST /dead-events/notes:{}/replay", poison.id);
    let replay = || town.world.ask("notes", &replay, None, Value::Null);
    assert_eq!(replay().await.0, 409, "it fails again");
    assert_eq!(list().await[0]["replays"], 1);
    notes.fails.store(false, Ordering::SeqCst);
    let next = town.event("told", "a");
    town.tell(&next).await;
    town.world.pass(Duration::from_secs(1)).await;
    assert_eq!(replay().await.0, 200);
    assert_eq!(notes.handled(), [next.id, poison.id]);
    assert_eq!(list().await, serde_json::json!([]));
    assert_eq!(replay().await.0, 404);
}

#[tokio::test]
async fn an_event_whose_deliveries_are_spent_becomes_a_dead_letter() {
    let town = Town::new().await;
    let notes = listen(&town, 3).await;
    notes.fails.store(true, Ordering::SeqCst);
    let event = town.event("told", "a");
    town.tell(&event).await;
    town.world.pass(Duration::from_secs(20)).await;
    let letters = town.world.see("notes", "/dead-events").await;
    assert_eq!(letters[0]["reason"], "not now");
}

#[tokio::test]
async fn an_envelope_of_another_version_is_kept_for_a_service_that_understands_it() {
    let town = Town::new().await;
    let notes = listen(&town, 10).await;
    let mut event = town.event("told", "a");
    event.version = 2;
    town.tell(&event).await;
    town.world.pass(Duration::from_secs(1)).await;
    assert_eq!(notes.handled(), [""; 0]);
    let letters = town.world.see("notes", "/dead-events").await;
    let reason = letters[0]["reason"].as_str().unwrap();
    assert!(reason.contains("envelope 2"), "{reason}");
}

#[tokio::test]
async fn the_inbox_knows_an_event_for_longer_than_the_stream_keeps_it() {
    const { assert!(HORIZON_MS > squall_services::infrastructure::bus::RETENTION.as_millis() as u64) };
    let town = Town::new().await;
    let notes = listen(&town, 10).await;
    let event = town.event("told", "a");
    let before = town.world.network.now_ms();
    assert!(notes.handle(&event).await.is_ok());
    assert!(notes.handle(&event).await.is_ok());
    assert_eq!(notes.handled().len(), 1);
    let prune = |before_ms| {
        let store = notes.store.clone();
        async move { store.write(move |tx| inbox::prune(tx, before_ms)).await }
    };
    assert_eq!(prune(before).await.unwrap(), 0);
    assert_eq!(prune(before + HORIZON_MS).await.unwrap(), 1);
}
