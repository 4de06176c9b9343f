//! Clients who order through the gateway and look what became of it.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use squall::{Client, seed::Stream};

use crate::{
    invariants::purchases::Told,
    person::{Person, Request, keyed, unkeyed},
    scenarios::item_purchase::buyer::{hold_to, insist, noted},
    workloads::shop::Shelf,
};

/// How often a buyer looks what became of an order.
const LOOKS: u32 = 3;

/// An order to place.
pub(super) struct Wish {
    wait: Duration,
    user: &'static str,
    product: &'static str,
    quantity: u64,
    /// What the client takes for the price.
    price: Option<u64>,
    click_again: Option<Duration>,
    /// The same once more, from another device, whose key is another one.
    twin: bool,
}

impl Wish {
    /// A wish of the next `within`.
    pub(super) fn draw(
        rng: &mut Stream,
        user: &'static str,
        shelves: &[Shelf],
        within: Duration,
    ) -> Self {
        Wish {
            wait: Duration::from_millis(rng.below(within.as_millis() as u64)),
            user,
            product: rng.pick(shelves).sku,
            quantity: match rng.chance(0.1) {
                true => 999,
                false => rng.between(1, 2),
            },
            price: rng.chance(0.3).then_some(1),
            click_again: rng
                .chance(0.2)
                .then(|| Duration::from_millis(rng.below(40))),
            twin: false,
        }
    }

    /// The same, perhaps from two devices at once.
    pub(super) fn perhaps_twice(self, rng: &mut Stream) -> Self {
        Wish {
            twin: rng.chance(0.15),
            ..self
        }
    }

    pub(super) fn request(&self, op: &str) -> Request {
        let mut body = json!({
            "userId": self.user, "productId": self.product, "quantity": self.quantity,
        });
        if let Some(price) = self.price {
            body["price"] = price.into();
        }
        keyed(op, "POST", "/orders", body)
    }
}

/// Orders, and looks a few times what became of it.
pub(super) async fn order(client: &Client, shop: &Person, told: &Arc<Told>, wish: &Wish) {
    let op = format!("{}-1", client.name());
    if !client.does(&op) {
        return;
    }
    client.node().sleep(wish.wait).await;
    let request = wish.request(&op);
    if let Some(later) = wish.click_again {
        shop.click_again(&request, later);
    }
    let twin = format!("{op}-twin");
    let twin = (wish.twin && client.does(&twin)).then(|| wish.request(&twin));
    if let Some(twin) = twin {
        let (client, shop, told) = (client.clone(), shop.clone(), told.clone());
        client.node().clone().spawn(async move {
            if let Some(reply) = noted(&client, &told, "gateway", &shop, &twin).await {
                hold_to(&client, &told, &reply);
            }
        });
    }
    let Some(reply) = noted(client, told, "gateway", shop, &request).await else {
        return;
    };
    let Some(id) = hold_to(client, told, &reply) else {
        return;
    };
    for _ in 0..LOOKS {
        client.node().sleep(Duration::from_secs(1)).await;
        let look = unkeyed(client.name(), "GET", &format!("/orders/{id}"), ());
        if let Ok(reply) = shop.ask(&look).await {
            hold_to(client, told, &reply);
        }
    }
}

/// Changes the price of a product.
pub(super) async fn reprice(
    client: &Client,
    op: &str,
    product: &'static str,
    price: u64,
    after_ms: u64,
) {
    client.node().sleep(Duration::from_millis(after_ms)).await;
    let path = format!("/products/{product}");
    let change = unkeyed(op, "PATCH", &path, json!({ "price": price }));
    insist(client, &Person::new(client, "gateway"), &change).await;
}
