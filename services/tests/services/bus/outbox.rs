use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use squall_services::{
    kit::{
        self, Store, StoreError,
        bus::Event,
        outbox::{
            self, Config, DEAD_LETTERS, Mode, OUTBOX, Outbox, Outgoing, PUBLISHED, Row, State,
            Target, enqueue,
        },
    },
    planted_bug::{Bug, Bugs},
    ports::Platform,
};

use super::town::{Town, ids};
use crate::support::machine::{Machine, start};

struct Shop {
    platform: Platform,
    machine: Arc<Machine>,
    store: Store,
    outbox: Option<Outbox>,
}

impl Shop {
    async fn new(town: &Town) -> Shop {
        let (platform, machine) = town.world.network.machine("shop");
        let store = Store::open(&platform, "shop.redb").await.unwrap();
        Shop {
            platform,
            machine,
            store,
            outbox: None,
        }
    }

    /// A shop whose outbox is emptied in this mode.
    async fn in_mode(town: &Town, mode: Mode) -> Shop {
        Shop::with(
            town,
            Config {
                mode,
                ..Config::default()
            },
        )
        .await
    }

    /// A shop with such an outbox.
    async fn with(town: &Town, config: Config) -> Shop {
        let mut shop = Shop::new(town).await;
        shop.open(config).await;
        shop
    }

    async fn open(&mut self, config: Config) {
        let outbox = Outbox::open(&self.platform, &self.store, config).await;
        let outbox = outbox.unwrap();
        self.outbox = Some(outbox.clone());
        start(&self.platform, |platform| async move {
            kit::http::serve(&platform, outbox::api::router(outbox)).await
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

#[tokio::test]
async fn a_row_is_claimed_sent_and_kept() {
    let town = Town::new().await;
    let shop = Shop::in_mode(&town, Mode::Polling).await;
    let event = town.event("told", "a");
    shop.tell(&event).await;
    town.world.pass(Duration::from_secs(1)).await;
    assert_eq!(ids(&town.read("g", &[]).await), [&event.id]);
    let states = shop.states();
    let [State::Pending, State::Processing { .. }, State::Published] = &states[..] else {
        panic!("{states:?}");
    };
}

#[tokio::test]
async fn change_data_capture_sends_the_same_without_a_claim() {
    let town = Town::new().await;
    let shop = Shop::in_mode(&town, Mode::Cdc).await;
    let events = ["a", "a", "b"].map(|key| town.event("told", key));
    for event in &events {
        shop.tell(event).await;
    }
    town.world.pass(Duration::from_secs(1)).await;
    assert_eq!(town.read("g", &[]).await.len(), 2, "one a key");
    assert_eq!((shop.rows(&OUTBOX), shop.rows(&PUBLISHED)), (0, 3));
    let claimed = |state: &State| matches!(state, State::Processing { .. });
    assert!(!shop.states().iter().any(claimed));
}

#[tokio::test]
async fn what_a_rolled_back_transaction_says_is_not_sent() {
    let town = Town::new().await;
    let shop = Shop::in_mode(&town, Mode::Polling).await;
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
        let shop = Shop::in_mode(&town, mode).await;
        town.world.network.unplug("bus");
        let event = town.event("told", "a");
        shop.tell(&event).await;
        town.world.pass(Duration::from_secs(70)).await;
        assert_eq!(town.count("shop", "dead_letters").await, 0, "{mode:?}");
        town.world.pass(Duration::from_secs(20)).await;
        assert_eq!(town.count("shop", "dead_letters").await, 1, "{mode:?}");
        assert_eq!(town.count("shop", "alerts").await, 1);

        town.start_bus();
        town.world.pass(Duration::from_secs(1)).await;
        let letters = town.world.see("shop", "/outbox/dead-letters").await;
        let key = letters[0]["key"].as_str().unwrap();
        let redrive = format!("POST /outbox/dead-letters/{key}/redrive");
        let redrive = || town.world.ask("shop", &redrive, None, Value::Null);
        assert_eq!(redrive().await.0, 202);
        town.world.pass(Duration::from_secs(1)).await;
        assert_eq!(ids(&town.read("g", &[]).await), [&event.id]);
        assert_eq!(shop.rows(&DEAD_LETTERS), 0);
        assert_eq!(redrive().await.0, 404);
    }
}

#[tokio::test]
async fn pollers_with_schedules_of_their_own_give_a_row_up_too_soon() {
    let town = Town::new().await;
    let config = Config {
        bugs: Bugs::NONE.with(Bug::RetrySchedulePerPoller),
        ..Config::default()
    };
    let shop = Shop::with(&town, config).await;
    town.world.network.unplug("bus");
    shop.tell(&town.event("told", "a")).await;
    town.world.pass(Duration::from_secs(30)).await;
    assert_eq!(town.count("shop", "dead_letters").await, 1);
}

#[tokio::test]
async fn a_row_that_is_marked_before_it_is_sent_is_sent_all_the_same_without_a_crash() {
    for mode in [Mode::Polling, Mode::Cdc] {
        let town = Town::new().await;
        let config = Config {
            bugs: Bugs::NONE.with(Bug::RowMarkedBeforeSent),
            mode,
            ..Config::default()
        };
        let shop = Shop::with(&town, config).await;
        town.world.network.unplug("bus");
        let event = town.event("told", "a");
        shop.tell(&event).await;
        town.world.pass(Duration::from_secs(1)).await;
        assert_eq!(shop.rows(&OUTBOX), 1, "put back after a failure");
        let marked = shop.states().contains(&State::Published);
        assert!(marked, "though nobody has it: {mode:?}");
        town.start_bus();
        town.world.pass(Duration::from_secs(20)).await;
        assert_eq!(ids(&town.read("g", &[]).await), [&event.id], "{mode:?}");
        assert_eq!((shop.rows(&OUTBOX), shop.rows(&PUBLISHED)), (0, 1));
    }
}

#[tokio::test]
async fn a_refused_row_holds_up_its_own_key_only() {
    let town = Town::new().await;
    let shop = Shop::in_mode(&town, Mode::Polling).await;
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
    assert_eq!(town.count("shop", "dead_letters").await, 1);
}

/// Leaves a row in the hands of a poller.
async fn leave_claimed(town: &Town, shop: &Shop, by: &str) -> Event {
    let (event, by) = (town.event("told", "a"), by.to_owned());
    let (told, now_ms) = (event.clone(), shop.platform.clock.now_ms());
    let left = shop.store.write(move |tx| {
        enqueue(tx, Target::Stream("news".to_owned()), told, now_ms)?;
        let (key, mut row) = tx.scan(&OUTBOX, "")?.remove(0);
        row.state = State::Processing { by, boot_id: 7 };
        tx.put(&OUTBOX, &key, &row)
    });
    left.await.unwrap();
    event
}

#[tokio::test]
async fn a_claim_of_another_process_is_given_back_after_five_minutes() {
    let town = Town::new().await;
    let mut shop = Shop::new(&town).await;
    let event = leave_claimed(&town, &shop, "replica#1").await;
    shop.open(Config::default()).await;
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
    shop.open(Config::default()).await;
    town.world.pass(Duration::from_secs(1)).await;
    assert_eq!(ids(&town.read("g", &[]).await), [&event.id]);
}

#[tokio::test]
async fn a_row_that_waits_for_an_hour_raises_an_alert() {
    let town = Town::new().await;
    let config = Config {
        policy: outbox::Policy {
            backoff: Duration::from_secs(10 * 60 * 60),
            ..Default::default()
        },
        ..Config::default()
    };
    let shop = Shop::with(&town, config).await;
    town.world.network.unplug("bus");
    shop.tell(&town.event("told", "a")).await;
    town.world.pass(Duration::from_secs(2 * 60 * 60 + 60)).await;
    assert!(town.count("shop", "alerts").await >= 1, "nobody noticed");
    assert_eq!(town.count("shop", "pending").await, 1);
}

#[tokio::test]
async fn what_was_sent_is_kept_for_a_week() {
    let town = Town::new().await;
    let shop = Shop::in_mode(&town, Mode::Cdc).await;
    shop.tell(&town.event("told", "a")).await;
    town.world.pass(Duration::from_secs(1)).await;
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    town.world.pass(7 * DAY - Duration::from_secs(7_200)).await;
    assert_eq!(shop.rows(&PUBLISHED), 1);
    town.world.pass(Duration::from_secs(4 * 60 * 60)).await;
    assert_eq!(shop.rows(&PUBLISHED), 0);
}

/// How long rows took from their commit to the bus, in virtual time, and how many commits that cost the sender.
async fn delay_and_load(mode: Mode) -> (Duration, usize) {
    const ROWS: usize = 40;
    let town = Town::new().await;
    let shop = Shop::in_mode(&town, mode).await;
    let before = shop.machine.commits();
    let mut waited = Duration::ZERO;
    for n in 0..ROWS {
        let event = town.event("told", &format!("key-{n}"));
        shop.tell(&event).await;
        let committed = tokio::time::Instant::now();
        let on_the_bus = || {
            let commits = town.bus.commits.lock().unwrap();
            let rows = commits.iter().flatten();
            rows.filter(|row| row.table == "events").count() > n
        };
        while !on_the_bus() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        waited += committed.elapsed();
        town.world.pass(Duration::from_millis(50)).await;
    }
    let commits = shop.machine.commits() - before;
    (waited / ROWS as u32, commits / ROWS)
}

#[tokio::test]
async fn change_data_capture_is_quicker_than_polling_and_commits_less() {
    let (polled, polling_commits) = delay_and_load(Mode::Polling).await;
    let (tailed, cdc_commits) = delay_and_load(Mode::Cdc).await;
    println!("mode     delay       commits a row");
    println!("polling  {polled:<10?}  {polling_commits}");
    println!("cdc      {tailed:<10?}  {cdc_commits}");
    assert!(tailed < polled);
    assert_eq!((polling_commits, cdc_commits), (3, 2));
}
