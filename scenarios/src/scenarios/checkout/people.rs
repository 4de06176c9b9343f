//! Who does what: customers who buy, a crowd that rushes for coupons, a bank that credits, a clerk who changes prices.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::json;
use squall::{Client, seed::Stream};

use crate::{
    invariants::checkouts::{self, Orders},
    invariants::{orders::DURABLE, receipts::Receipts},
    person::{Person, keyed, unkeyed},
    scenarios::checkout::{CUSTOMERS, SHELVES},
};

/// The campaign whose coupons customers use.
pub const WELCOME: &str = "welcome";
/// The campaign that the crowd rushes for.
pub const RUSH: &str = "rush";

/// A checkout to be.
#[derive(Clone, Debug)]
pub struct Purchase {
    wait: Duration,
    user: &'static str,
    sku: &'static str,
    quantity: u64,
    with_coupon: bool,
    /// What the customer says that it costs.
    says: Option<u64>,
    click_again: Option<Duration>,
    /// How long the customer is away before they look what has become of it.
    away: Duration,
}

/// What customers share: the books that hold the shop to what it says, and their receipts.
#[derive(Clone)]
pub struct Files {
    /// The checkout service as committed, and what was told of it.
    pub orders: Arc<Mutex<Orders>>,
    /// What came of each operation.
    pub receipts: Arc<Receipts>,
}

impl Purchase {
    /// The next one of a customer, who sometimes buys with a relative's account.
    pub fn draw(rng: &mut Stream, customer: &'static str) -> Self {
        Purchase {
            wait: Duration::from_millis(rng.below(800)),
            user: match rng.chance(0.3) {
                true => rng.pick::<&str>(&CUSTOMERS),
                false => customer,
            },
            sku: rng.pick(&SHELVES).sku,
            quantity: 1 + rng.below(5) / 4,
            with_coupon: rng.chance(0.6),
            says: rng.chance(0.3).then_some(1),
            click_again: rng
                .chance(0.15)
                .then(|| Duration::from_millis(rng.below(40))),
            away: Duration::ZERO,
        }
    }

    /// The same, and the customer comes back for a look after so long.
    pub fn looking_after(self, away: Duration) -> Self {
        Purchase { away, ..self }
    }

    /// The same customer buys something else at the same instant, in another window, with the same coupon.
    pub fn twin(&self) -> Self {
        let other = SHELVES.iter().find(|shelf| shelf.sku != self.sku);
        Purchase {
            sku: other.expect("there are two shelves").sku,
            quantity: 1,
            ..self.on_another_device()
        }
    }

    /// The same intent once more at the same instant, from another device, whose key is another one.
    pub fn on_another_device(&self) -> Self {
        Purchase {
            click_again: None,
            ..self.clone()
        }
    }

    /// The same, paid in part with a coupon.
    pub fn with_coupon(self) -> Self {
        Purchase {
            with_coupon: true,
            ..self
        }
    }

    /// Buys, and holds the shop to what it says.
    pub async fn carry_out(&self, client: &Client, files: &Files, op: &str) {
        client.node().sleep(self.wait).await;
        let coupon = match self.with_coupon {
            true => self.coupon(client, op).await,
            false => None,
        };
        let Files { orders, receipts } = files;
        let person = Person::new(client, "checkout").noting(&checkouts::asked(orders));
        let mut body = json!({ "user": self.user, "sku": self.sku, "quantity": self.quantity });
        if let Some(coupon) = coupon {
            body["coupon"] = coupon.into();
        }
        if let Some(price) = self.says {
            body["price"] = price.into();
        }
        let request = keyed(op, "POST", "/checkouts", body);
        if !client.does(op) {
            return;
        }
        receipts.asked("checkout", &request);
        if let Some(later) = self.click_again {
            person.click_again(&request, later);
        }
        let Some(reply) = person.insist(&request).await else {
            return;
        };
        receipts.told(&request, &reply);
        if reply.status == 201
            && let Some(id) = reply.body["id"].as_str()
        {
            checkouts::told(orders, client, id);
            client.node().sleep(self.away).await;
            look(client, &person, id).await;
        }
    }

    /// The user's coupon, if they have one.
    async fn coupon(&self, client: &Client, op: &str) -> Option<String> {
        let person = Person::new(client, "coupon");
        let path = format!("/coupons?user={}", self.user);
        let list = unkeyed(&format!("{op}-coupons"), "GET", &path, ());
        let coupons = person.ask(&list).await.ok()?;
        Some(coupons.body.as_array()?.first()?["id"].as_str()?.to_owned())
    }
}

/// Looks at an order that was told to be complete. A look that gets no answer says nothing.
async fn look(client: &Client, person: &Person, id: &str) {
    let look = unkeyed(
        &format!("{id}-look"),
        "GET",
        &format!("/checkouts/{id}"),
        (),
    );
    let Ok(reply) = person.ask(&look).await else {
        return;
    };
    let gone = reply.status == 404;
    if gone || reply.is_success() && reply.body["status"] != "COMPLETED" {
        let found = reply.body.to_string();
        client.broken(
            DURABLE,
            "seen otherwise",
            &[id],
            "Completed, as told",
            found,
        );
    }
}

/// Everybody wants a coupon at once, some of them twice.
pub async fn rush(client: Client, people: u64, receipts: Arc<Receipts>) {
    let asks = (0..people).map(|n| {
        let (person, wait) = (
            Person::new(&client, "coupon"),
            client.draw(|rng| rng.below(30)),
        );
        let (client, node, receipts) = (&client, client.node(), &receipts);
        async move {
            node.sleep(Duration::from_millis(100 + wait)).await;
            // Fewer users than requests: who asks twice is refused once.
            let user = format!("crowd-{}", n % (people - people / 4));
            let (op, path) = (format!("rush-{n}"), format!("/campaigns/{RUSH}/coupons"));
            if client.does(&op) {
                let request = keyed(&op, "POST", &path, json!({ "user": user }));
                receipts.asked("coupon", &request);
                if let Some(reply) = person.insist(&request).await {
                    receipts.told(&request, &reply);
                }
            }
        }
    });
    join_all(asks).await;
}

/// Money comes in while it is spent.
pub async fn credit(
    client: Client,
    credits: Vec<(Duration, &'static str, u64)>,
    receipts: Arc<Receipts>,
) {
    let person = Person::new(&client, "user");
    for (n, (wait, user, amount)) in credits.into_iter().enumerate() {
        client.node().sleep(wait).await;
        let (op, path) = (format!("credit-{n}"), format!("/users/{user}/credits"));
        if client.does(&op) {
            let request = keyed(&op, "POST", &path, json!({ "amount": amount }));
            receipts.asked("user", &request);
            if let Some(reply) = person.insist(&request).await {
                receipts.told(&request, &reply);
            }
        }
    }
}

/// Prices change while people buy.
pub async fn reprice(client: Client, changes: Vec<(Duration, &'static str, u64)>) {
    let person = Person::new(&client, "catalog");
    for (n, (wait, sku, price)) in changes.into_iter().enumerate() {
        client.node().sleep(wait).await;
        let (op, path) = (format!("price-{n}"), format!("/products/{sku}"));
        if client.does(&op) {
            person
                .insist(&unkeyed(&op, "PATCH", &path, json!({ "price": price })))
                .await;
        }
    }
}
