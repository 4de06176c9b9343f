//! Customers of the shop, who hold it to what it tells them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use squall::{Client, check::session::Session};
use squall_services::{
    kit::{Code, Reply},
    orchestration::orders::model::Status,
};

use crate::{
    invariants::{
        orders::{ANSWERED, INTENT, OTHER_DEVICE},
        promises::Promises,
        receipts::Told,
    },
    lock,
    person::{Person, Request, keyed, unkeyed},
    reachability_goals,
};

/// A customer of the shop, who holds it to what it says.
#[derive(Clone)]
pub struct Customer {
    person: Person,
    promises: Arc<Promises>,
    plain_keys: bool,
    names_baskets: bool,
    /// What this customer was told of orders.
    session: Arc<Mutex<Session<Status>>>,
}

impl Customer {
    /// The customer at this client's machine.
    pub fn new(client: &Client, promises: &Arc<Promises>) -> Self {
        Customer {
            person: Person::new(client, "order").noting(promises.asked()),
            promises: promises.clone(),
            plain_keys: false,
            names_baskets: false,
            session: Arc::default(),
        }
    }

    /// The same customer, who calls `entry`.
    pub fn through(self, entry: &str) -> Self {
        Customer {
            person: Person::new(&self.person.client, entry).noting(&self.person.asked),
            ..self
        }
    }

    /// The same customer, who gives each purchase a name of its own, the same on all devices.
    pub fn who_names_baskets(self, names_baskets: bool) -> Self {
        Customer {
            names_baskets,
            ..self
        }
    }

    /// The same customer, whose keys are those that others choose too: `checkout-1`, `checkout-2` ...
    pub fn with_plain_keys(self) -> Self {
        Customer {
            plain_keys: true,
            ..self
        }
    }

    /// The request that places an order.
    pub fn order(&self, op: &str, sku: &str, quantity: u64, card: &str) -> Request {
        let body =
            json!({ "user": self.person.name(), "sku": sku, "quantity": quantity, "card": card });
        let mut request = keyed(op, "POST", "/orders", body);
        if self.names_baskets {
            request.body["basket"] = json!(op.trim_end_matches(OTHER_DEVICE));
        }
        if self.plain_keys {
            let number = op.rsplit('-').next().unwrap_or_default();
            request.key = Some(format!("checkout-{number}"));
        }
        request
    }

    /// Asks for something else under the key of an earlier order.
    pub async fn reuse_key(&self, of: &str, sku: &str, quantity: u64, card: &str) {
        let mut request = self.order(of, sku, quantity, card);
        request.op = format!("{of}-again");
        if let Some(reply) = self.person.insist(&request).await {
            self.answers(&request, &reply);
            self.note(&reply);
        }
    }

    /// Holds the shop to answering what was asked.
    fn answers(&self, request: &Request, reply: &Reply) {
        let differs = ["user", "sku", "quantity"]
            .into_iter()
            .find(|member| reply.is_success() && reply.body[member] != request.body[member]);
        if let Some(member) = differs {
            self.person.client.broken(
                "one key, one effect",
                "answered for another request",
                &[&request.op],
                format!("the {member} {}", request.body[member]),
                reply.body[member].to_string(),
            );
        }
    }

    /// Places an order, sometimes with a double click; unless the plan leaves it out. The answer, if it is final.
    pub async fn buy(&self, op: &str, sku: &str, quantity: u64, card: &str) -> Option<Told> {
        let request = self.order(op, sku, quantity, card);
        let client = &self.person.client;
        let double_click = client.draw(|rng| rng.chance(0.15).then(|| rng.below(40)));
        if !client.does(op) {
            return None;
        }
        self.promises.asks(&request);
        if let Some(later) = double_click {
            self.person
                .click_again(&request, Duration::from_millis(later));
        }
        let reply = self.person.insist(&request).await?;
        self.answers(&request, &reply);
        if !reply.is_success() && reply.problem().code == Code::IdempotencyMismatch {
            self.person.client.broken(
                "one key, one effect",
                "refused for another's request",
                &[op],
                "an answer to the first request under this key",
                reply.body["detail"].to_string(),
            );
        }
        self.note(&reply);
        self.promises.answered(client, op, &reply)
    }

    /// Places an order, and after `later` the same basket from another device, with a key of its own.
    pub async fn buy_on_two_devices(
        &self,
        op: &str,
        later: Duration,
        (sku, quantity, card): (&str, u64, &str),
    ) {
        let other = format!("{op}{OTHER_DEVICE}");
        let on_other = async {
            self.person.client.node().sleep(later).await;
            self.buy(&other, sku, quantity, card).await
        };
        let answers = tokio::join!(self.buy(op, sku, quantity, card), on_other);
        let (Some(Told::Done(one)), Some(Told::Done(two))) = answers else {
            return;
        };
        if one == two {
            self.person.client.reached(reachability_goals::TWO_DEVICES);
        } else {
            self.person.client.broken(
                INTENT,
                "told of two orders",
                &[op, &one, &two],
                "one order, whichever device asks",
                "two",
            );
        }
    }

    /// Places an order, and at the same instant another one of the same.
    pub async fn buy_twins(&self, op: &str, (sku, quantity, card): (&str, u64, &str)) {
        let twin = format!("{op}b");
        let both = tokio::join!(
            self.buy(op, sku, quantity, card),
            self.buy(&twin, sku, quantity, card)
        );
        let (Some(Told::Done(one)), Some(Told::Done(two))) = both else {
            return;
        };
        self.person.client.reached(reachability_goals::TWINS);
        if one == two {
            self.person.client.broken(
                ANSWERED,
                "one order for two requests",
                &[op, &twin, &one],
                "an order each",
                "the same one",
            );
        }
    }

    /// Looks at the latest order that the customer has heard of; unless the plan leaves it out.
    pub async fn look(&self, op: &str) {
        let client = &self.person.client;
        let Some(id) = lock(&self.person.heard).last().cloned() else {
            return;
        };
        if !client.does(op) {
            return;
        }
        let before = lock(&self.session).clone();
        let look = unkeyed(op, "GET", &format!("/orders/{id}"), ());
        let Ok(reply) = self.person.ask(&look).await else {
            return;
        };
        if reply.status == 404 {
            client.broken(
                TRUE_REFUSAL,
                "told that it is not there",
                &[&id, self.person.name()],
                "the order that the customer was told of",
                reply.problem().detail,
            );
        }
        if let Some((_, status)) = shown(&reply.body).filter(|_| reply.is_success()) {
            let found = BTreeMap::from([(id.clone(), status)]);
            self.went_back(&before.only(&id), &found);
            lock(&self.session).told(&id, status, comes_after);
        }
    }

    /// Cancels the customer's latest order, if the shop tells of one; unless the plan leaves it out.
    pub async fn cancel_latest(&self, op: &str) {
        if !self.person.client.does(op) {
            return;
        }
        let list = unkeyed(
            op,
            "GET",
            &format!("/orders?user={}", self.person.name()),
            (),
        );
        let before = lock(&self.session).clone();
        let Ok(orders) = self.person.ask(&list).await else {
            return;
        };
        self.read(&before, &orders);
        let Some(id) = orders
            .body
            .as_array()
            .and_then(|all| all.last())
            .and_then(|last| last["id"].as_str())
        else {
            return;
        };
        let cancel = unkeyed(
            op,
            "PATCH",
            &format!("/orders/{id}/status"),
            json!({ "status": "CANCELLED" }),
        );
        if let Some(reply) = self.person.insist(&cancel).await {
            self.note(&reply);
        }
    }

    /// Holds the shop to a state that the order can't leave.
    pub fn note(&self, reply: &Reply) {
        if let Some((id, status)) = shown(&reply.body).filter(|_| reply.is_success()) {
            if matches!(status, Status::Completed | Status::Cancelled) {
                self.promises.told(&self.person.client, id, status);
            }
            lock(&self.session).told(id, status, comes_after);
        }
    }

    /// Holds the shop to what this customer had been told when a listing of all orders was asked for.
    fn read(&self, before: &Session<Status>, listing: &Reply) {
        if !listing.is_success() || !listing.body.is_array() {
            return;
        }
        let found = listed(&listing.body);
        self.went_back(before, &found);
        let mut session = lock(&self.session);
        for (id, status) in found {
            session.told(&id, status, comes_after);
        }
    }

    /// Reports what is shown as older than it was told to be before.
    fn went_back(&self, before: &Session<Status>, found: &BTreeMap<String, Status>) {
        if let Some(back) = Session::backwards(before, found, comes_after) {
            self.person.client.broken(
                "a user's orders keep session order",
                match back.found {
                    Some(_) => "went back",
                    None => "gone",
                },
                &[&back.id, self.person.name()],
                format!("{:?} or later, as told before", back.known),
                match back.found {
                    Some(status) => format!("{status:?}"),
                    None => "no such order".to_owned(),
                },
            );
        }
    }
}

/// The invariant that refusals are held to that state a fact.
pub const TRUE_REFUSAL: &str = "a refusal is true when it is said";

/// An order as it is shown: its id and how it is.
pub fn shown(order: &Value) -> Option<(&str, Status)> {
    let status = serde_json::from_value(order["status"].clone()).ok()?;
    Some((order["id"].as_str()?, status))
}

/// The orders that are listed.
pub fn listed(orders: &Value) -> BTreeMap<String, Status> {
    let orders = orders.as_array().into_iter().flatten().filter_map(shown);
    orders.map(|(id, status)| (id.to_owned(), status)).collect()
}

/// Whether an order that was told to be in the state `told` may be found in `found` later.
fn comes_after(told: &Status, found: &Status) -> bool {
    told.toward(*found).is_ok()
}
