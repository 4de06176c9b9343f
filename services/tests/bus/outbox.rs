use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use squall_services::{
    kit::{
        self, Store, StoreError,
        bus::Event,
        outbox::{
            self, Config, DEAD_LETTERS, Mode, OUTBOX, Outbox, Outgoing, PUBLISHED, Row, State,
            Target,
        },
    },
    ports::Platform,
};

use super::{
    machine::Machine,
    town::{Town, count, ids},
};

struct Shop {
    platform: Platform,
    machine: Arc<Machine>,
    store: Store,
    outbox: Option<Outbox>,
}

impl Shop {
    async fn new(town: &Town) -> Shop {
        let (platform, machine) = town.world.machine("shop");
        let store = Store::open(&platform, "shop.redb").await.unwrap();
        Shop {
            platform,
            machine,
            store,
            outbox: None,
        }
    }

    async fn open(&mut self, mode: Mode) {
        self.open_with(Config {
            mode,
            ..Config::default()
        })
        .await;
    }

    async fn open_with(&mut self, config: Config) {
        let outbox = Outbox::open(&self.platform, &self.store, config)
            .await
            .unwrap();
        self.outbox = Some(outbox.clone());
        let served = self.platform.clone();
        self.platform.spawn("service", async move {
            let router = outbox::api::router(outbox);
            kit::http::serve(&served, router).await.unwrap();
        });
    }

    async fn tell(&self, event: &Event) {
        let (target, event) = (Target::Stream("news".to_owned()), event.clone());
        let outbox = self.outbox.as_ref().unwrap();
        let told = outbox.write(move |_, outgoing| {
            outgoing.push(Outgoing { target, event });
            Ok::<_, StoreError>(())
        });
        told.await.unwrap();
    }

    fn states(&self) -> Vec<State> {
        let commits = self.machine.commits.lock().unwrap();
        let changes = commits.iter().flatten();
        let rows = changes.filter(|change| change.table.starts_with("outbox"));
        let rows = rows.filter(|change| change.table != "outbox_sequence");
        rows.filter_map(|change| change.after.as_ref())
            .map(|row| OUTBOX.decode(row).unwrap().state)
            .collect()
    }

    fn rows(&self, table: &kit::Table<Row>) -> usize {
        let rows = self.store.read(|rows| rows.scan(table, ""));
        let rows: Result<_, StoreError> = rows;
        rows.unwrap().len()
    }
}

/// Long enough for a row to be sent and noted.
const SOON: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_row_is_in_the_hands_of_an_idle_poller_as_it_is_written_and_then_sent_and_kept() {
    let town = Town::new().await;
    let mut shop = Shop::new(&town).await;
    shop.open(Mode::Polling).await;
    town.world.pass(Duration::from_millis(10)).await;
    let event = town.event("told", "a");
    shop.tell(&event).await;
    town.world.pass(SOON).await;
    assert_eq!(ids(&town.read("g", &[]).await), [&event.id]);
    let states = shop.states();
    assert!(
        matches!(&states[..], [State::Processing { .. }, State::Published]),
        "{states:?}"
    );
}

#[tokio::test]
async fn a_row_that_another_one_of_its_key_is_before_waits_and_is_claimed_then() {
    let town = Town::new().await;
    let mut shop = Shop::new(&town).await;
    shop.open(Mode::Polling).await;
    town.world.pass(Duration::from_millis(10)).await;
    let events = ["a", "a"].map(|key| town.event("told", key));
    let (one, other) = events.clone().into();
    let target = || Target::Stream("news".to_owned());
    let told = shop.outbox.as_ref().unwrap().write(move |_, outgoing| {
        outgoing.extend([one, other].map(|event| Outgoing {
            target: target(),
            event,
        }));
        Ok::<_, StoreError>(())
    });
    told.await.unwrap();
    town.world.pass(SOON).await;
    let states = shop.states();
    assert!(
        matches!(
            &states[..],
            [
                State::Processing { .. },
                State::Pending,
                // The claim takes the note about the first one along.
                State::Processing { .. },
                State::Published,
                State::Published
            ]
        ),
        "{states:?}"
    );
    let heard = town.read("g", &[]).await;
    assert_eq!(ids(&heard), [&events[0].id]);
    assert_eq!(ids(&town.read("g", &[&heard[0]]).await), [&events[1].id]);
}

#[tokio::test]
async fn that_a_row_was_sent_is_noted_in_the_commit_of_the_next_one() {
    for mode in [Mode::Polling, Mode::Cdc] {
        let town = Town::new().await;
        let mut shop = Shop::new(&town).await;
        shop.open(mode).await;
        town.world.pass(Duration::from_millis(10)).await;
        let before = shop.machine.commits.lock().unwrap().len();
        for key in ["a", "b"] {
            shop.tell(&town.event("told", key)).await;
            town.world.pass(Duration::from_millis(100)).await;
        }
        assert_eq!((shop.rows(&OUTBOX), shop.rows(&PUBLISHED)), (1, 1));
        assert_eq!(count(&town, "shop", "pending").await, 0, "{mode:?}");
        assert_eq!(count(&town, "shop", "processing").await, 0, "{mode:?}");
        town.world.pass(SOON).await;
        assert_eq!((shop.rows(&OUTBOX), shop.rows(&PUBLISHED)), (0, 2));
        let commits = shop.machine.commits.lock().unwrap().len() - before;
        assert_eq!(commits, 3, "two rows, and the last one's note; {mode:?}");
    }
}

#[tokio::test]
async fn what_was_sent_and_not_noted_is_sent_again_after_a_crash_and_the_bus_knows_it() {
    for mode in [Mode::Polling, Mode::Cdc] {
        let town = Town::new().await;
        let mut shop = Shop::new(&town).await;
        let unhurried = || Config {
            mode,
            policy: outbox::Policy {
                noted_within: Duration::from_secs(3600),
                ..Default::default()
            },
            ..Config::default()
        };
        shop.open_with(unhurried()).await;
        town.world.pass(Duration::from_millis(10)).await;
        let event = town.event("told", "a");
        shop.tell(&event).await;
        town.world.pass(SOON).await;
        assert_eq!((shop.rows(&OUTBOX), shop.rows(&PUBLISHED)), (1, 0));

        let mut reborn = Shop::new(&town).await;
        let file = shop.machine.file("shop.redb").unwrap();
        let bytes = file.bytes.lock().unwrap().clone();
        reborn.machine.put_file("shop.redb", bytes);
        reborn.store = Store::open(&reborn.platform, "shop.redb").await.unwrap();
        reborn.open(mode).await;
        town.world.pass(SOON).await;
        assert_eq!((reborn.rows(&OUTBOX), reborn.rows(&PUBLISHED)), (0, 1));
        let heard = town.read("g", &[]).await;
        assert_eq!(ids(&heard), [&event.id]);
        assert_eq!(town.read("g", &[&heard[0]]).await, [], "once is enough");
    }
}

#[tokio::test]
async fn change_data_capture_sends_the_same_without_a_claim() {
    let town = Town::new().await;
    let mut shop = Shop::new(&town).await;
    shop.open(Mode::Cdc).await;
    let events = ["a", "a", "b"].map(|key| town.event("told", key));
    for event in &events {
        shop.tell(event).await;
    }
    town.world.pass(SOON).await;
    assert_eq!(town.read("g", &[]).await.len(), 2, "one a key");
    assert_eq!((shop.rows(&OUTBOX), shop.rows(&PUBLISHED)), (0, 3));
    let claimed = |state: &State| matches!(state, State::Processing { .. });
    assert!(!shop.states().iter().any(claimed));
}

#[tokio::test]
async fn what_a_rolled_back_transaction_says_is_not_sent() {
    let town = Town::new().await;
    let mut shop = Shop::new(&town).await;
    shop.open(Mode::Polling).await;
    let (target, event) = (Target::Stream("news".to_owned()), town.event("told", "a"));
    let refused = shop.outbox.as_ref().unwrap().write(move |_, outgoing| {
        outgoing.push(Outgoing { target, event });
        Err::<(), _>(StoreError::Io("no".to_owned()))
    });
    assert!(refused.await.is_err());
    town.world.pass(Duration::from_secs(1)).await;
    assert_eq!(town.read("g", &[]).await, []);
}

#[tokio::test]
async fn five_failures_make_a_dead_letter_with_an_alert_that_can_be_redriven() {
    for mode in [Mode::Polling, Mode::Cdc] {
        let town = Town::new().await;
        let mut shop = Shop::new(&town).await;
        shop.open(mode).await;
        town.world.network.unplug("bus");
        let event = town.event("told", "a");
        shop.tell(&event).await;
        town.world.pass(Duration::from_secs(70)).await;
        assert_eq!(count(&town, "shop", "dead_letters").await, 0, "{mode:?}");
        town.world.pass(Duration::from_secs(20)).await;
        assert_eq!(count(&town, "shop", "dead_letters").await, 1, "{mode:?}");
        assert_eq!(count(&town, "shop", "alerts").await, 1);

        super::town::serve(&town.world, Some(&town.bus));
        town.world.pass(Duration::from_secs(1)).await;
        let list = "GET /outbox/dead-letters";
        let (_, letters) = town.world.ask("shop", list, None, Value::Null).await;
        let key = letters[0]["key"].as_str().unwrap();
        let redrive = format!("POST /outbox/dead-letters/{key}/redrive");
        assert_eq!(
            town.world.ask("shop", &redrive, None, Value::Null).await.0,
            202
        );
        town.world.pass(Duration::from_secs(1)).await;
        assert_eq!(ids(&town.read("g", &[]).await), [&event.id]);
        assert_eq!(shop.rows(&DEAD_LETTERS), 0);
        assert_eq!(
            town.world.ask("shop", &redrive, None, Value::Null).await.0,
            404
        );
    }
}

#[tokio::test]
async fn a_refused_row_holds_up_its_own_key_only() {
    let town = Town::new().await;
    let mut shop = Shop::new(&town).await;
    shop.open(Mode::Polling).await;
    let mut refused = town.event("told", "a");
    refused.body = json!("x".repeat(20_000));
    let [behind, beside] = ["a", "b"].map(|key| town.event("told", key));
    for event in [&refused, &behind, &beside] {
        shop.tell(event).await;
    }
    town.world.pass(Duration::from_secs(60)).await;
    let heard = town.read("g", &[]).await;
    assert_eq!(ids(&heard), [&beside.id]);
    town.world.pass(Duration::from_secs(30)).await;
    assert_eq!(ids(&town.read("g", &[&heard[0]]).await), [&behind.id]);
    assert_eq!(count(&town, "shop", "dead_letters").await, 1);
}

/// Leaves a row in the hands of a poller.
async fn leave_claimed(town: &Town, shop: &Shop, by: &str) -> Event {
    let event = town.event("told", "a");
    let now_ms = shop.platform.clock.now_ms();
    let row = Row {
        target: Target::Stream("news".to_owned()),
        event: event.clone(),
        state: State::Processing {
            by: by.to_owned(),
            boot_id: 7,
        },
        attempts: 0,
        reason: None,
        redriven: 0,
        created_ms: now_ms,
        changed_ms: now_ms,
    };
    let left = shop
        .store
        .write(move |tx| tx.put(&OUTBOX, "0000000000000000", &row));
    left.await.unwrap();
    event
}

#[tokio::test]
async fn a_claim_of_another_process_is_given_back_after_five_minutes() {
    let town = Town::new().await;
    let mut shop = Shop::new(&town).await;
    let event = leave_claimed(&town, &shop, "replica#1").await;
    shop.open(Mode::Polling).await;
    town.world.pass(Duration::from_secs(4 * 60)).await;
    assert_eq!(town.read("g", &[]).await, [], "the replica may be at it");
    town.world.pass(Duration::from_secs(2 * 60)).await;
    assert_eq!(ids(&town.read("g", &[]).await), [&event.id]);
}

#[tokio::test]
async fn a_claim_of_an_earlier_life_is_given_back_at_boot() {
    let town = Town::new().await;
    let mut shop = Shop::new(&town).await;
    let event = leave_claimed(&town, &shop, "shop#2").await;
    shop.open(Mode::Polling).await;
    town.world.pass(Duration::from_secs(1)).await;
    assert_eq!(ids(&town.read("g", &[]).await), [&event.id]);
}

#[tokio::test]
async fn a_row_that_waits_for_an_hour_raises_an_alert() {
    let town = Town::new().await;
    let mut shop = Shop::new(&town).await;
    shop.open_with(Config {
        policy: outbox::Policy {
            backoff: Duration::from_secs(10 * 60 * 60),
            ..Default::default()
        },
        ..Config::default()
    })
    .await;
    town.world.network.unplug("bus");
    shop.tell(&town.event("told", "a")).await;
    town.world.pass(Duration::from_secs(2 * 60 * 60 + 60)).await;
    assert!(count(&town, "shop", "alerts").await >= 1, "nobody noticed");
    assert_eq!(count(&town, "shop", "pending").await, 1);
}

#[tokio::test]
async fn what_was_sent_is_kept_for_a_week() {
    let town = Town::new().await;
    let mut shop = Shop::new(&town).await;
    shop.open(Mode::Cdc).await;
    shop.tell(&town.event("told", "a")).await;
    town.world.pass(SOON).await;
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    town.world.pass(7 * DAY - Duration::from_secs(7_200)).await;
    assert_eq!(shop.rows(&PUBLISHED), 1);
    town.world.pass(Duration::from_secs(4 * 60 * 60)).await;
    assert_eq!(shop.rows(&PUBLISHED), 0);
}
