//! Each bug does harm in the very moment that it is about, and a shop without it none: the moment is brought about by hand.

use std::{
    io::Write,
    net::TcpStream as Socket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;
use shop_sql_kit::Bug;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener as Listener, TcpStream},
};

use super::*;

/// What harm is done in a shop with a bug, and in one without.
async fn harms(bug: Bug, settings: &[(&str, &str)], harm: impl AsyncFn(&mut Shop) -> Vec<String>) {
    for planted in ["", bug.name()] {
        let Some(mut shop) = Shop::servers() else {
            return;
        };
        let settings = settings
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let patience = ("PATIENCE_MS", "5000".to_owned());
        let planting = ("SHOP_BUG", planted.to_owned());
        let settings: Vec<_> = settings.chain([patience, planting]).collect();
        if settings
            .iter()
            .any(|(name, _)| *name == "ORDERS_DATABASE_URL")
        {
            let proxied = cut_answers(&shop.postgres).await;
            shop.open(&[settings, vec![("ORDERS_DATABASE_URL", proxied)]].concat())
                .await;
        } else {
            shop.open(&settings).await;
        }
        let found = harm(&mut shop).await;
        assert_eq!(
            found.is_empty(),
            planted.is_empty(),
            "{planted:?}: {found:#?}"
        );
    }
}

impl Shop {
    async fn post(&self, port: u16, path: &str, body: Value) -> (StatusCode, Value) {
        let url = format!("http://127.0.0.1:{port}{path}");
        let posting = self
            .client
            .post(url)
            .header("idempotency-key", "k")
            .json(&body);
        let posting = match path {
            "/orders" => posting.header("prefer", "respond-async"),
            _ => posting,
        };
        let answer = posting.send().await.expect("it answers");
        (answer.status(), answer.json().await.unwrap_or_default())
    }

    /// Places an order, which is not decided yet.
    async fn place(&self) -> String {
        let lines = json!([{ "sku": "tea", "qty": 1 }]);
        let order = json!({ "customer": "ann", "lines": lines });
        let (status, order) = self.post(self.orders[0], "/orders", order).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        order["id"].as_str().expect("it has one").to_owned()
    }

    async fn state(&self, id: &str) -> String {
        let state = sqlx::query_as("SELECT state FROM orders.orders WHERE id = $1::uuid").bind(id);
        let state: (String,) = state
            .fetch_one(&mut self.connect().await)
            .await
            .expect("it is there");
        state.0
    }

    async fn comes_to(&self, id: &str, state: &str) {
        for _ in 0..1000 {
            if self.state(id).await == state {
                return;
            }
            sleep(PAUSE / 10).await;
        }
        panic!("it does not come to be {state}");
    }

    /// Cancels an order at the other instance. What is wrong in the end.
    async fn cancels(&self, id: &str) -> Vec<String> {
        let url = format!("http://127.0.0.1:{}/orders/{id}", self.orders[1]);
        for _ in 0..50 {
            let answer = self.client.delete(&url).send().await.expect("it answers");
            if answer.status() == StatusCode::OK {
                break;
            }
        }
        sleep(Duration::from_secs(3)).await;
        self.rests().await
    }

    /// What is wrong in the end, but not only because it is not at rest yet.
    async fn rests(&self) -> Vec<String> {
        let mut found = Vec::new();
        for _ in 0..50 {
            found = self.audit().await;
            if found.is_empty() {
                break;
            }
            sleep(PAUSE).await;
        }
        found
    }

    /// Sends two requests while a lock is held that both come to. What is wrong after both.
    async fn at_a_gate(
        &self,
        gate: &'static str,
        port: u16,
        path: &str,
        two: [Value; 2],
    ) -> Vec<String> {
        let mut database = self.connect().await;
        let mut lock = database.begin().await.expect("it answers");
        sqlx::raw_sql(gate)
            .execute(&mut *lock)
            .await
            .expect("it is free");
        let opening = async {
            sleep(Duration::from_secs(1)).await;
            lock.commit().await.expect("it answers");
        };
        let [one, two] = two;
        tokio::join!(
            self.post(port, path, one),
            self.post(port, path, two),
            opening
        );
        offences(&mut database, ALWAYS).await.expect("it answers")
    }
}

const ONE: &str = "00000000-0000-0000-0000-000000000001";
const TWO: &str = "00000000-0000-0000-0000-000000000002";

#[tokio::test]
async fn two_charges_that_do_not_see_each_other_exceed_the_credit() {
    harms(Bug::WriteSkew, &[], async |shop| {
        let gate = "LOCK TABLE payments.charges IN SHARE ROW EXCLUSIVE MODE";
        let charge = |order| json!({ "order": order, "customer": "ann", "amount": 40 });
        shop.at_a_gate(gate, shop.payments, "/charges", [charge(ONE), charge(TWO)])
            .await
    })
    .await;
}

const ITEMS: &str = "SELECT FROM inventory.items FOR UPDATE";

#[tokio::test]
async fn what_was_free_when_it_was_looked_at_is_sold_twice() {
    harms(Bug::CheckThenAct, &[], async |shop| {
        let reserve = |order| json!({ "order": order, "lines": [{ "sku": "tea", "qty": 20 }] });
        shop.at_a_gate(
            ITEMS,
            shop.inventory,
            "/reservations",
            [reserve(ONE), reserve(TWO)],
        )
        .await
    })
    .await;
}

#[tokio::test]
async fn what_a_deadlock_rolled_back_is_not_reserved_again() {
    harms(Bug::DeadlockHalfRetried, &[], async |shop| {
        let reserve = |order, skus: [&str; 2]| {
            json!({ "order": order, "lines": skus.map(|sku| json!({ "sku": sku, "qty": 1 })) })
        };
        let two = [reserve(ONE, ["tea", "mug"]), reserve(TWO, ["mug", "tea"])];
        shop.at_a_gate(ITEMS, shop.inventory, "/reservations", two).await
    })
    .await;
}

#[tokio::test]
async fn a_request_that_comes_again_is_a_second_order() {
    harms(Bug::ConflictTakenForInserted, &[], async |shop| {
        shop.place().await;
        let lines = json!([{ "sku": "tea", "qty": 1 }]);
        let again = json!({ "customer": "ann", "lines": lines });
        shop.post(shop.orders[1], "/orders", again).await;
        shop.rests().await
    })
    .await;
}

const EVENT: &str = "INSERT INTO orders.outbox (event, subject, kind, detail)
    VALUES (gen_random_uuid(), gen_random_uuid(), 'placed', '{}')";

#[tokio::test]
async fn an_event_that_is_committed_late_is_never_sent() {
    harms(Bug::CursorPassesOpenTransaction, &[], async |shop| {
        let mut database = shop.connect().await;
        let mut late = database.begin().await.expect("it answers");
        sqlx::raw_sql(EVENT)
            .execute(&mut *late)
            .await
            .expect("it answers");
        shop.comes_to(&shop.place().await, "confirmed").await;
        sleep(Duration::from_secs(2)).await;
        late.commit().await.expect("it answers");
        shop.rests().await
    })
    .await;
}

#[tokio::test]
async fn an_event_whose_notification_is_lost_is_never_sent() {
    harms(Bug::NotifyTakenForDelivery, &[], async |shop| {
        let mut database = shop.connect().await;
        sqlx::raw_sql(EVENT)
            .execute(&mut database)
            .await
            .expect("it answers");
        shop.rests().await
    })
    .await;
}

#[tokio::test]
async fn events_come_in_another_order() {
    harms(Bug::ReturningOrder, &[], async |shop| {
        let mut database = shop.connect().await;
        let events = "INSERT INTO orders.outbox (event, subject, kind, detail)
            SELECT gen_random_uuid(), '00000000-0000-0000-0000-000000000001', 'placed',
            jsonb_build_object('customer', n::text) FROM generate_series(1, 8) AS n";
        sqlx::raw_sql(events)
            .execute(&mut database)
            .await
            .expect("it answers");
        loop {
            let mails = "SELECT customer FROM payments.mails ORDER BY id";
            let mails: Vec<(String,)> = sqlx::query_as(mails)
                .fetch_all(&mut database)
                .await
                .expect("it answers");
            if mails.len() == 8 {
                break mails
                    .is_sorted()
                    .then(Vec::new)
                    .unwrap_or_else(|| vec![format!("{mails:?}")]);
            }
            sleep(PAUSE).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_holder_whose_lease_ran_out_writes() {
    let slow = [("LEASE_MS", "200"), ("BANK_MS", "2000")];
    harms(Bug::LeaseOverrun, &slow, async |shop| {
        let id = shop.place().await;
        shop.comes_to(&id, "charging").await;
        shop.cancels(&id).await
    })
    .await;
}

#[tokio::test]
async fn redis_forgets_who_has_the_lock_and_counts_anew() {
    let slow = [("LEASE_MS", "60000"), ("BANK_MS", "2000")];
    harms(Bug::LockForgotten, &slow, async |shop| {
        let id = shop.place().await;
        shop.comes_to(&id, "charging").await;
        sleep(PAUSE).await; // until it is taken again
        let mut redis = Socket::connect(("127.0.0.1", shop.redis_port)).expect("it runs");
        redis.write_all(b"FLUSHALL\r\n").expect("it listens");
        shop.cancels(&id).await
    })
    .await;
}

#[tokio::test]
async fn the_lock_of_a_session_stays_in_the_pool() {
    harms(Bug::AdvisoryLockPooled, &[], async |shop| {
        shop.comes_to(&shop.place().await, "confirmed").await;
        let mut found = Vec::new();
        // Both instances sweep each second, and seldom at the same time.
        for _ in 0..100 {
            sleep(PAUSE).await;
            let mut now = shop.audit().await;
            now.retain(|offence| offence.starts_with("no idle session"));
            found.extend(now);
            if !found.is_empty() {
                break;
            }
        }
        found
    })
    .await;
}

#[tokio::test]
async fn what_is_read_from_a_late_copy_is_not_there() {
    harms(Bug::StaleRead, &[], async |shop| {
        let mut late = PgConnection::connect(&shop.postgres.url("late"))
            .await
            .expect("it runs");
        let schema = "CREATE SCHEMA orders; SET search_path = orders";
        for sql in [schema].iter().chain(shop_sql_orders::MIGRATIONS) {
            sqlx::raw_sql(*sql)
                .execute(&mut late)
                .await
                .expect("it answers");
        }
        let url = format!(
            "http://127.0.0.1:{}/orders/{}",
            shop.orders[1],
            shop.place().await
        );
        let answer = shop.client.get(url).send().await.expect("it answers");
        let status = answer.status().to_string();
        Some(status)
            .into_iter()
            .filter(|status| status != "200 OK")
            .collect()
    })
    .await;
}

#[tokio::test]
async fn a_commit_without_an_answer_is_cancelled() {
    harms(
        Bug::CommitTakenForFailed,
        &[("ORDERS_DATABASE_URL", "")],
        async |shop| {
            let id = shop.place().await;
            shop.comes_to(&id, "confirmed").await;
            sleep(Duration::from_secs(1)).await;
            shop.rests().await
        },
    )
    .await;
}

/// The URL of a database whose first answer to the commit of a confirmed order is lost, and the connection with it.
async fn cut_answers(postgres: &Postgres) -> String {
    let listener = Listener::bind("127.0.0.1:0")
        .await
        .expect("there is a port");
    let port = listener.local_addr().expect("it is bound").port();
    let (server, is_cut) = (postgres.port, Arc::new(AtomicBool::new(false)));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let is_cut = is_cut.clone();
            tokio::spawn(async move {
                let server = TcpStream::connect(("127.0.0.1", server)).await;
                let _ = pass(client, server?, &is_cut).await;
                std::io::Result::Ok(())
            });
        }
    });
    format!("postgres://app@127.0.0.1:{port}/shop")
}

/// Passes on what client and server say to each other.
async fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    is_cut: &AtomicBool,
) -> std::io::Result<()> {
    let has = |said: &[u8], word: &[u8]| said.windows(word.len()).any(|part| part == word);
    let (mut asked, mut answered) = ([0; 8192], [0; 8192]);
    let mut confirms = false;
    loop {
        tokio::select! {
            len = client.read(&mut asked) => {
                let said = &asked[..len?];
                // As the value of a parameter.
                confirms |= has(said, b"\0\0\0\x09confirmed");
                server.write_all(said).await?;
                if said.is_empty() { return Ok(()) }
            }
            len = server.read(&mut answered) => {
                let said = &answered[..len?];
                if confirms && has(said, b"COMMIT\0") && !is_cut.swap(true, Ordering::Relaxed) {
                    return Ok(());
                }
                client.write_all(said).await?;
                if said.is_empty() { return Ok(()) }
            }
        }
    }
}
