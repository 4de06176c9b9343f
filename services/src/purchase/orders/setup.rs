//! `POST /setup-test-data`: users with money and bags, items with stock and prices.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Orders, store::PRICES};
use crate::{
    kit::{
        Context, Peer, PeerPolicy, Problem,
        input::{AMOUNT_MAX, Id, plain_id, within},
    },
    ports::Platform,
};

/// Test data.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The users.
    pub users: Vec<SetupUser>,
    /// The items.
    pub items: Vec<SetupItem>,
}

/// A user to create.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetupUser {
    /// The id.
    pub id: Id,
    /// Won.
    pub balance: u64,
    /// Slots of the bag.
    pub slots: u64,
}

/// An item to create.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetupItem {
    /// The id.
    pub id: Id,
    /// Won a unit.
    pub price: u64,
    /// Units.
    pub stock: u64,
}

impl Default for Setup {
    /// Two users and three items; one user has little money, one item is rare.
    fn default() -> Self {
        let user = |id: u64, balance, slots| SetupUser {
            id: Id(id.to_string()),
            balance,
            slots,
        };
        let item = |id: u64, price, stock| SetupItem {
            id: Id(id.to_string()),
            price,
            stock,
        };
        Setup {
            users: vec![user(1, 100_000, 10), user(2, 5_000, 2)],
            items: vec![item(1, 10_000, 100), item(2, 30_000, 10), item(3, 1_000, 1)],
        }
    }
}

/// Whom to tell.
pub(super) struct Peers {
    user: Peer,
    bag: Peer,
    item: Peer,
}

impl Peers {
    pub fn new(platform: &Platform) -> Self {
        let peer = |name| Peer::new(platform, name, PeerPolicy::internal());
        Peers {
            user: peer("user"),
            bag: peer("bag"),
            item: peer("item"),
        }
    }
}

impl Orders {
    /// Makes what is not there yet.
    pub(super) async fn set_up(&self, context: &Context, setup: &Setup) -> Result<(), Problem> {
        for SetupUser { id, balance, slots } in &setup.users {
            plain_id("id", &id.0)?;
            let user = json!({ "name": format!("user {}", id.0), "balance": balance });
            put(&self.setup.user, context, &format!("/users/{}", id.0), user).await?;
            let bag = json!({ "slots": slots });
            put(&self.setup.bag, context, &format!("/bags/{}", id.0), bag).await?;
        }
        for SetupItem { id, price, stock } in &setup.items {
            plain_id("id", &id.0)?;
            within("price", *price, 1..=AMOUNT_MAX.unsigned_abs() / 1000)?;
            let item = json!({ "stock": stock });
            put(&self.setup.item, context, &format!("/items/{}", id.0), item).await?;
        }
        let items = setup.items.clone();
        self.member
            .store()
            .write(move |tx| {
                items
                    .iter()
                    .try_for_each(|item| tx.put(&PRICES, &item.id.0, &item.price))
                    .map_err(Problem::from)
            })
            .await
    }
}

async fn put(peer: &Peer, context: &Context, path: &str, body: Value) -> Result<(), Problem> {
    let reply = peer.call(context, "PUT", path, None, &body).await?;
    reply.ok::<Value>().map(drop)
}
