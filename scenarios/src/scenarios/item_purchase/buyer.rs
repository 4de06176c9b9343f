//! Buyers: they order, top their balance up, and look what became of their orders.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use serde_json::{Value, json};
use squall::{Client, seed::Stream};
use squall_services::{
    kit::{Context, Peer, Reply},
    purchase::orders::{TOO_LONG, store::Status},
};

use crate::{
    invariants::{
        orders::DURABLE,
        purchases::Told,
        receipts::{ANSWERED, answered},
    },
    person::{Person, Request, browser, keyed, unkeyed},
    platform::platform,
};

/// How often a buyer asks for an answer before giving up.
const PATIENCE: u64 = 8;
/// How often a buyer looks what became of an order.
const LOOKS: u32 = 3;
/// An item that does not exist.
const UNKNOWN: &str = "unicorn";
/// What an order of the calm ends within.
const ENDS_WITHIN: Duration = Duration::from_secs(2 * 60);
/// A dedication that the order service takes and the bus does not.
const LONG_NOTE: usize = 20_000;

/// What a buyer does next.
pub(super) struct Deed {
    wait: Duration,
    item: &'static str,
    quantity: u64,
    /// Won that are put in right after.
    tops_up: Option<u64>,
    click_again: Option<Duration>,
    long_note: bool,
    /// The same once more, from another device, whose key is another one.
    twin: bool,
}

impl Deed {
    pub(super) fn draw(rng: &mut Stream, items: &[&'static str]) -> Self {
        Deed {
            wait: Duration::from_millis(rng.below(250)),
            item: rng.pick::<&str>(items),
            quantity: rng.between(1, 2),
            tops_up: rng.chance(0.3).then(|| rng.between(1, 20) * 1_000),
            click_again: rng
                .chance(0.15)
                .then(|| Duration::from_millis(rng.below(40))),
            long_note: rng.chance(0.04),
            twin: false,
        }
    }

    /// The same, perhaps from two devices at once.
    pub(super) fn perhaps_twice(self, rng: &mut Stream) -> Self {
        Deed {
            twin: rng.chance(0.15),
            item: match rng.chance(0.04) {
                true => UNKNOWN,
                false => self.item,
            },
            ..self
        }
    }

    /// What is put in by this operation, and under which label.
    pub(super) fn top_up(&self, op: &str) -> Option<(String, u64)> {
        self.tops_up.map(|won| (format!("{op}-top-up"), won))
    }

    fn order(&self, op: &str, user: &str) -> Request {
        let mut body = json!({ "userId": user, "itemId": self.item, "quantity": self.quantity });
        if self.long_note {
            body["note"] = "x".repeat(LONG_NOTE).into();
        }
        keyed(op, "POST", "/orders", body)
    }
}

/// Fills the shop.
///
/// # Panics
///
/// If a service refuses: then the scenario is wrong.
pub(crate) async fn set_up(client: &Client, data: &Value) {
    let platform = platform(client.node());
    let order = Peer::new(&platform, "order", browser());
    let context = Context::fresh(&platform, "setup");
    let reply = order
        .call(&context, "POST", "/setup-test-data", None, data)
        .await;
    assert!(
        reply.as_ref().is_ok_and(Reply::is_success),
        "the test data were refused: {reply:?}"
    );
}

/// Does one deed after another, without waiting for what becomes of an order before the next.
pub(super) async fn buy(client: &Client, told: &Arc<Told>, deeds: &[Deed]) {
    let (shop, bank) = (&Person::new(client, "order"), Person::new(client, "user"));
    let mut ordered = Vec::new();
    for (n, deed) in deeds.iter().enumerate() {
        let op = format!("{}-{}", client.name(), n + 1);
        client.node().sleep(deed.wait).await;
        if client.does(&op) {
            let request = deed.order(&op, client.name());
            if let Some(later) = deed.click_again {
                shop.click_again(&request, later);
            }
            let twin = format!("{op}-twin");
            let twin = (deed.twin && client.does(&twin)).then(|| deed.order(&twin, client.name()));
            let both = [Some(request), twin].into_iter().flatten();
            let asked = both.map(|request| async move {
                let reply = noted(client, told, "order", shop, &request).await?;
                hold_to(client, told, &reply)
            });
            ordered.extend(join_all(asked).await.into_iter().flatten());
        }
        if let Some((op, amount)) = deed.top_up(&op)
            && client.does(&op)
        {
            let path = format!("/users/{}/credits", client.name());
            let credit = keyed(&op, "POST", &path, json!({ "amount": amount }));
            noted(client, told, "user", &bank, &credit).await;
        }
    }
    for _ in 0..LOOKS {
        client.node().sleep(Duration::from_secs(1)).await;
        for id in &ordered {
            let look = unkeyed(client.name(), "GET", &format!("/orders/{id}"), ());
            if let Ok(reply) = shop.ask(&look).await {
                hold_to(client, told, &reply);
            }
        }
    }
}

/// Holds the shop to what it says of an order; its id.
pub(crate) fn hold_to(client: &Client, told: &Told, reply: &Reply) -> Option<String> {
    let id = reply.body["id"].as_str()?;
    let status: Status = serde_json::from_value(reply.body["status"].clone()).ok()?;
    told.told(client, id, status);
    Some(id.to_owned())
}

/// Places one order, once, and holds the shop to its answer.
pub(crate) async fn place_once(
    client: &Client,
    entry: &str,
    order: &Request,
    what: &str,
    told: &Told,
) {
    client.invoked(&order.op, what);
    match Person::new(client, entry).ask(order).await {
        Ok(reply) => {
            client.ok(&order.op, &reply.status.to_string());
            hold_to(client, told, &reply);
        }
        Err(reason) => client.unknown(&order.op, reason),
    }
}

/// Asks until there is an answer, and keeps the receipt.
pub(crate) async fn noted(
    client: &Client,
    told: &Told,
    entry: &'static str,
    person: &Person,
    request: &Request,
) -> Option<Reply> {
    told.receipts().asked(entry, request);
    let reply = insist(client, person, request).await?;
    told.receipts().told(request, &reply);
    Some(reply)
}

/// Comes when all is settled: asks everything again, looks at every order, and orders once more as `request` says. That
/// ends soon, and for business reasons.
pub(crate) async fn come_late(
    client: &Client,
    told: &Told,
    entry: &'static str,
    person: &Person,
    request: &Request,
) {
    told.receipts().repeat_all(client).await;
    for id in told.orders() {
        let look = unkeyed(
            &format!("{id}-late-look"),
            "GET",
            &format!("/orders/{id}"),
            (),
        );
        if let Some(reply) = answered(client, person, &look, true).await
            && hold_to(client, told, &reply).is_none()
        {
            let found = reply.body.to_string();
            client.broken(DURABLE, "not found", &[&id], "the order, as told", found);
        }
    }
    if !client.does(&request.op) {
        return;
    }
    told.receipts().asked(entry, request);
    let Some(reply) = answered(client, person, request, true).await else {
        return;
    };
    told.receipts().told(request, &reply);
    if let Some(id) = hold_to(client, told, &reply) {
        see_it_end(client, told, person, &id).await;
    }
}

/// Looks until an order has ended.
async fn see_it_end(client: &Client, told: &Told, person: &Person, id: &str) {
    let look = unkeyed(
        &format!("{id}-late-end"),
        "GET",
        &format!("/orders/{id}"),
        (),
    );
    let began = client.now();
    loop {
        let Some(reply) = answered(client, person, &look, true).await else {
            return;
        };
        hold_to(client, told, &reply);
        if reply.body["status"] != "PENDING" {
            if reply.body["reason"] == TOO_LONG {
                let expected = "an end for business reasons";
                client.broken(ANSWERED, "given up in the calm", &[id], expected, TOO_LONG);
            }
            return;
        }
        if client.now().since(began) > ENDS_WITHIN {
            let expected = format!("an end within {ENDS_WITHIN:?}");
            client.broken(
                ANSWERED,
                "left pending in the calm",
                &[id],
                expected,
                "PENDING",
            );
            return;
        }
        client.node().sleep(Duration::from_secs(2)).await;
    }
}

/// Asks until there is an answer: here 202 is one.
pub(crate) async fn insist(client: &Client, person: &Person, request: &Request) -> Option<Reply> {
    let op = &request.op;
    for attempt in 1..=PATIENCE {
        client.invoked(op, &format!("{} {}", request.method, request.path));
        match person.ask(request).await {
            Ok(reply) if reply.is_success() => {
                client.ok(op, &reply.status.to_string());
                return Some(reply);
            }
            Ok(reply) if !reply.problem().code.is_transient() => {
                client.failed(op, &format!("{:?}", reply.problem().code));
                return Some(reply);
            }
            Ok(reply) => client.unknown(op, &format!("{:?}", reply.problem().code)),
            Err(reason) => client.unknown(op, reason),
        }
        let most = 200 << attempt;
        let wait = client.draw(|rng| rng.between(most / 2, most));
        client.node().sleep(Duration::from_millis(wait)).await;
    }
    None
}
