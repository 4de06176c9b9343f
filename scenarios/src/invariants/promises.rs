//! What customers have asked for and what they were told: it is kept.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use squall::{Client, Sim, check::Goal};
use squall_services::{
    kit::{Code, Reply},
    orchestration::orders::model::Status,
};

use super::{
    orders::{ANSWERED, DURABLE, Orders, REFUSED},
    sagas::SAGAS_END,
};
use crate::{
    invariants::receipts::Told,
    lock,
    person::{Asked, Request},
    reachability_goals,
};

/// What customers have asked for, and what they were told: states that an order never leaves and refusals for good hold
/// from that instant on.
pub struct Promises {
    orders: Arc<Mutex<Orders>>,
    asked: Asked,
    told: Mutex<Vec<(String, Status)>>,
    /// The orders that customers have asked for, by operation, and the final answers to them.
    wishes: Mutex<BTreeMap<String, Wish>>,
}

/// What a customer has asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The request.
    pub request: Request,
    /// The final answer to it, if there was one.
    pub told: Option<Told>,
}

impl Promises {
    /// Watches that every promise is kept to the end.
    pub fn watch(sim: &Sim, orders: &Arc<Mutex<Orders>>) -> Arc<Self> {
        let promises = Arc::new(Promises {
            orders: orders.clone(),
            asked: lock(orders).asked.clone(),
            told: Mutex::default(),
            wishes: Mutex::default(),
        });
        let kept = promises.clone();
        sim.finally(DURABLE, SAGAS_END, move |_, findings| {
            for (order_id, status) in lock(&kept.told).iter() {
                if let Some(found) = kept.contradiction(order_id, *status) {
                    findings.broken(
                        "told otherwise",
                        &[order_id],
                        format!("{status:?}, as told"),
                        found,
                    );
                }
            }
        });
        promises
    }

    /// Where customers note what they ask for.
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Sees to it that orders at a price that was not asked yet when they were asked for count toward a goal.
    pub fn count_moved_prices(&self, goal: Goal) {
        lock(&self.orders).price_moved = goal;
    }

    /// A customer is told that an order is in a state that it will never leave: it must be so already.
    pub fn told(&self, client: &Client, order_id: &str, status: Status) {
        if let Some(found) = self.contradiction(order_id, status) {
            client.broken(
                DURABLE,
                "told too early",
                &[order_id],
                format!("{status:?}, as told"),
                found,
            );
        }
        lock(&self.told).push((order_id.to_owned(), status));
    }

    /// A customer asks for an order.
    pub fn asks(&self, request: &Request) {
        let wish = || Wish {
            request: request.clone(),
            told: None,
        };
        let mut wishes = lock(&self.wishes);
        wishes.entry(request.op.clone()).or_insert_with(wish);
    }

    /// All that customers have asked for.
    pub fn wishes(&self) -> Vec<Wish> {
        lock(&self.wishes).values().cloned().collect()
    }

    /// What the answer to a request for an order says for good, if anything. Refusals bind from now on, and no later answer
    /// may differ.
    pub fn answered(&self, client: &Client, op: &str, reply: &Reply) -> Option<Told> {
        let told = told(reply)?;
        if let Told::Refused(code) = told {
            self.refused(client, op, code);
        }
        let mut wishes = lock(&self.wishes);
        let wish = wishes.get_mut(op)?;
        match &wish.told {
            Some(before) if *before != told => {
                let (expected, found) = (format!("{before:?}, as told"), format!("{told:?}"));
                drop(wishes);
                client.broken(ANSWERED, "another answer", &[op], expected, found);
            }
            _ => wish.told = Some(told.clone()),
        }
        Some(told)
    }

    fn refused(&self, client: &Client, op: &str, code: Code) {
        let done = {
            let mut orders = lock(&self.orders);
            orders.refused.insert(op.to_owned(), code);
            let done = orders.done(op);
            done.map(|(id, status)| (id.to_owned(), status))
        };
        client.reached(reachability_goals::REFUSED);
        if let Some((id, status)) = done {
            client.broken(
                REFUSED,
                "refused what is done",
                &[op, &id],
                format!("no order, as told ({code:?})"),
                format!("{status:?}"),
            );
        }
    }

    /// A user's orders as they are in the books.
    pub fn orders_of(&self, user: &str) -> BTreeMap<String, Status> {
        let orders = lock(&self.orders);
        let of_user = orders.orders.values().filter(|order| order.user == user);
        of_user.map(|o| (o.id.clone(), o.status)).collect()
    }

    fn contradiction(&self, order_id: &str, status: Status) -> Option<String> {
        let found = lock(&self.orders)
            .orders
            .get(order_id)
            .map(|order| order.status);
        (found != Some(status))
            .then(|| found.map_or("no such order".to_owned(), |s| format!("{s:?}")))
    }
}

/// What an answer to a request for an order says for good. That the key was used for something else says nothing of this
/// request.
fn told(reply: &Reply) -> Option<Told> {
    Told::of(reply, false).filter(|told| *told != Told::Refused(Code::IdempotencyMismatch))
}
