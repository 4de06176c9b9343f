//! People who do one thing each, and who wait a fixed time before they ask again: what they do does not depend on the seed.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use squall::Client;
use squall_services::kit::Reply;
use tokio::time::timeout;

use crate::{
    invariants::promises::Promises,
    person::{Person, Request, keyed, unkeyed},
    workloads::customer::Customer,
};

/// From "no answer" to the next try: longer than all that recovers by itself.
const SECOND_THOUGHTS: Duration = Duration::from_secs(15);
/// Whoever is not in a hurry waits longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// How often they ask.
const ASKS_MAX: u32 = 2;

/// What a person does, once.
#[derive(Clone, Debug)]
pub struct Deed {
    /// Who.
    pub who: &'static str,
    what: What,
    /// When, from the beginning.
    begins: Duration,
}

#[derive(Clone, Debug)]
enum What {
    Buy {
        sku: &'static str,
        quantity: u64,
        card: &'static str,
        patience: Duration,
    },
    Complete {
        challenge: &'static str,
    },
}

impl Deed {
    /// Buys something.
    pub fn buy(who: &'static str, sku: &'static str, quantity: u64, card: &'static str) -> Self {
        let what = What::Buy {
            sku,
            quantity,
            card,
            patience: PATIENCE,
        };
        Deed {
            who,
            what,
            begins: Duration::ZERO,
        }
    }

    /// The same, but later.
    pub fn after(mut self, begins: Duration) -> Self {
        self.begins = begins;
        self
    }

    /// The same, but who has no answer after a while closes the window and cancels.
    pub fn or_cancel(mut self, after: Duration) -> Self {
        if let What::Buy { patience, .. } = &mut self.what {
            *patience = after;
        }
        self
    }

    /// Completes a challenge.
    pub fn complete(who: &'static str, challenge: &'static str) -> Self {
        Deed {
            who,
            what: What::Complete { challenge },
            begins: Duration::ZERO,
        }
    }

    /// The label of what is done.
    pub fn op(&self) -> String {
        format!("{}-1", self.who)
    }

    pub(super) async fn carry_out(&self, client: &Client, promises: &Arc<Promises>) {
        if !self.begins.is_zero() {
            client.node().sleep(self.begins).await;
        }
        let op = self.op();
        match self.what {
            What::Buy {
                sku,
                quantity,
                card,
                patience,
            } => {
                let customer = Customer::new(client, promises);
                let person = Person::new(client, "order");
                let request = customer.order(&op, sku, quantity, card);
                let wish = format!("{quantity} × {sku}, card {card}");
                let told = ask(client, &person, &request, &wish);
                match timeout(patience, told).await {
                    Ok(Some(reply)) => customer.note(&reply),
                    Ok(None) => {}
                    Err(_) => {
                        client.unknown(&op, "loses patience");
                        take_back(client, &customer, &person, &format!("{op}-cancel")).await;
                    }
                }
            }
            What::Complete { challenge } => {
                let person = Person::new(client, "challenge");
                let path = format!("/challenges/{challenge}/completions");
                let request = keyed(&op, "POST", &path, json!({ "user": client.name() }));
                let wish = format!("challenge \"{challenge}\" completed");
                ask(client, &person, &request, &wish).await;
            }
        }
    }
}

async fn take_back(client: &Client, customer: &Customer, person: &Person, op: &str) {
    let list = unkeyed(op, "GET", &format!("/orders?user={}", client.name()), ());
    let Ok(orders) = person.ask(&list).await else {
        return;
    };
    let Some(id) = orders.body[0]["id"].as_str() else {
        return;
    };
    let path = format!("/orders/{id}/status");
    let cancel = unkeyed(op, "PATCH", &path, json!({ "status": "CANCELLED" }));
    if let Some(reply) = ask(client, person, &cancel, "never mind").await {
        customer.note(&reply);
    }
}

/// Asks until the answer is final.
async fn ask(client: &Client, person: &Person, request: &Request, wish: &str) -> Option<Reply> {
    let op = &request.op;
    for _ in 0..ASKS_MAX {
        client.invoked(op, wish);
        match person.ask(request).await {
            Ok(reply) if reply.status == 202 => client.unknown(op, "not yet"),
            Ok(reply) if reply.is_success() => {
                client.ok(op, reply.body["status"].as_str().unwrap_or_default());
                return Some(reply);
            }
            Ok(reply) => {
                client.failed(op, &reply.problem().detail);
                return Some(reply);
            }
            Err(_) => client.unknown(op, "no final answer"),
        }
        client.node().sleep(SECOND_THOUGHTS).await;
    }
    None
}
