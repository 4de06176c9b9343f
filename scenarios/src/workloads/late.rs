//! The late client, who comes after the run has settled: repeats the storm's requests, looks at every order, and buys.
//! Nothing disturbs it then, so it may demand prompt and true answers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::json;
use squall::{Client, Sim};
use squall_services::{
    kit::{Code, Reply},
    orchestration::orders::model::Status,
};

use crate::{
    invariants::{
        orders::ANSWERED,
        promises::{Promises, Wish},
        receipts::{Calm, answered_as},
    },
    person::{Person, keyed, unkeyed},
    reachability_goals,
    workloads::{
        customer::{TRUE_REFUSAL, listed, shown},
        shop::Shelf,
    },
};

/// Longer than any breaker stays open without a trial.
const BREAKERS_OPEN: Duration = Duration::from_secs(35);

/// Within this time an order is answered while nothing disturbs anybody: so long the shop itself waits with a 202.
const PROMPT: Duration = Duration::from_secs(8);

/// What is sold in the rush: enough for all, and wanted by nobody else.
pub const MAT: Shelf = Shelf {
    sku: "mat",
    stock: 20,
    price: 1_000,
};

/// The invariant of those whom nothing disturbs.
const GOODPUT: &str = "in the calm nothing is refused but for business reasons";

/// The orders of a rush: a number of declined cards in a row, then of good ones.
#[derive(Clone, Copy, Debug)]
pub struct Rush {
    /// Cards that are declined.
    pub declined: u64,
    /// Cards that are not.
    pub good: u64,
}

/// Adds the late client: first a rush, if there is to be one, then a look at what `users` have asked `entry` for.
pub fn watch(
    sim: &Sim,
    entry: &'static str,
    users: &'static [&'static str],
    promises: &Arc<Promises>,
    rush: Option<Rush>,
) {
    sim.goal(reachability_goals::LATE_ANSWER);
    if rush.is_some() {
        sim.goal(reachability_goals::RUSH);
    }
    let promises = promises.clone();
    sim.late_client("late", move |client| async move {
        let person = Person::new(&client, entry).noting(promises.asked());
        if let Some(rush) = rush {
            rush.carry_out(&client, &person).await;
        }
        for wish in promises.wishes() {
            ask_again(&client, &person, &promises, &wish).await;
        }
        for user in users {
            look(&client, &person, user, &promises.orders_of(user)).await;
        }
    });
}

/// Asks once more for what somebody has asked for, under the same key, until the answer is final.
async fn ask_again(client: &Client, person: &Person, promises: &Promises, wish: &Wish) {
    let Wish { request, .. } = wish;
    let op = &request.op;
    if !client.does(&format!("{op}-late")) {
        return;
    }
    let Some(reply) = answered_as(client, person, request, patience("never answered")).await else {
        return;
    };
    if promises.answered(client, op, &reply).is_some() {
        client.reached(reachability_goals::LATE_ANSWER);
    }
    reachability_goals::key_read(client, &reply);
    judge(client, op, promises, &reply);
}

/// How whoever comes late asks: a breaker that opened in the storm's last moments is closed by then, and a saga has come to
/// its end or its deadline.
fn patience(tag: &'static str) -> Calm {
    Calm {
        broken: (ANSWERED, tag),
        within: Duration::from_secs(90),
        again_after: Duration::from_secs(1),
        accepts: false,
    }
}

/// An order that is told as completed is completed.
fn judge(client: &Client, op: &str, promises: &Promises, reply: &Reply) {
    if let Some((id, status)) = shown(&reply.body).filter(|_| reply.is_success()) {
        if matches!(status, Status::Completed | Status::Cancelled) {
            promises.told(client, id, status);
        } else {
            let found = format!("{status:?}");
            client.broken(
                ANSWERED,
                "not the end",
                &[op, id],
                "an order that has ended",
                found,
            );
        }
    }
}

fn told(answer: &Result<Reply, &'static str>) -> String {
    match answer {
        Ok(reply) if reply.is_success() => format!("{} {}", reply.status, reply.body["status"]),
        Ok(reply) => reply.problem().to_string(),
        Err(why) => (*why).to_owned(),
    }
}

/// Looks at a user's orders, all at once and each: they are `there`, as the books have them.
async fn look(client: &Client, person: &Person, user: &str, there: &BTreeMap<String, Status>) {
    let op = format!("{user}-late");
    if !client.does(&op) {
        return;
    }
    let list = unkeyed(&op, "GET", &format!("/orders?user={user}"), ());
    let Some(all) = answered_as(client, person, &list, patience("never shown")).await else {
        return;
    };
    let found = listed(&all.body);
    if found != *there {
        client.broken(
            TRUE_REFUSAL,
            "a list of other orders",
            &[user],
            format!("{there:?}"),
            format!("{found:?}"),
        );
    }
    for (id, expected) in there {
        let show = unkeyed(&op, "GET", &format!("/orders/{id}"), ());
        let Some(order) = answered_as(client, person, &show, patience("never shown")).await else {
            return;
        };
        if shown(&order.body) != Some((id, *expected)) {
            client.broken(
                TRUE_REFUSAL,
                "another order",
                &[id, user],
                format!("{expected:?}"),
                order.body.to_string(),
            );
        }
    }
}

impl Rush {
    /// Buys one after another, each as soon as the one before is answered, when every breaker has had its time.
    async fn carry_out(self, client: &Client, person: &Person) {
        if !client.does("late-rush") {
            return;
        }
        client.node().sleep(BREAKERS_OPEN).await;
        for n in 1..=self.declined + self.good {
            let card = if n <= self.declined {
                "declined"
            } else {
                "visa"
            };
            let op = format!("late-{n}");
            let body =
                json!({ "user": client.name(), "sku": MAT.sku, "quantity": 1, "card": card });
            let began = client.now();
            let answer = person.ask(&keyed(&op, "POST", "/orders", body)).await;
            let as_due = match &answer {
                Ok(reply) if card == "visa" => reply.status == 201,
                Ok(reply) => !reply.is_success() && reply.problem().code == Code::PaymentDeclined,
                Err(_) => false,
            };
            let took = client.now().since(began);
            if !as_due || took > PROMPT {
                client.broken(
                    GOODPUT,
                    if as_due { "slow" } else { "refused" },
                    &[&op],
                    format!("the answer to a {card} card within {PROMPT:?}"),
                    format!("{} after {took:?}", told(&answer)),
                );
                return;
            }
        }
        client.reached(reachability_goals::RUSH);
    }
}
