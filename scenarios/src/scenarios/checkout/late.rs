//! Who comes when all is settled: asks everything again, looks whether everybody finds what they were told, and buys once
//! more.

use crate::{
    invariants::checkouts::{self, Orders},
    invariants::{
        orders::DURABLE,
        receipts::{answered, find_credited},
    },
    lock,
    person::{Person, keyed, unkeyed},
    scenarios::checkout::{BALANCE, CUSTOMERS, SHELVES, people::Files},
    workloads::customer::listed,
};
use serde_json::json;
use squall::Client;

/// `credits` is what each user was to be credited, and by which operation.
pub async fn come(client: Client, files: Files, credits: Vec<(String, &'static str, u64)>) {
    files.receipts.repeat_all(&client).await;
    for user in CUSTOMERS {
        find_orders(&client, &files.orders, user).await;
        let own = credits
            .iter()
            .filter(|(_, of, _)| *of == user)
            .map(|(op, _, won)| (op.as_str(), *won));
        if let Some(credited) = files.receipts.credited(own) {
            find_credited(&client, user, BALANCE + credited).await;
        }
    }
    buy_once_more(&client, &files).await;
}

/// A user's listing has each of their orders, as it is.
async fn find_orders(client: &Client, orders: &std::sync::Mutex<Orders>, user: &str) {
    let person = Person::new(client, "checkout");
    let path = format!("/checkouts?user={user}");
    let list = unkeyed(&format!("{user}-late-orders"), "GET", &path, ());
    let Some(reply) = answered(client, &person, &list, true).await else {
        return;
    };
    let found = listed(&reply.body);
    let orders = lock(orders);
    for order in orders.orders.values().filter(|order| order.user == user) {
        let found = found.get(&order.id);
        if found != Some(&order.status) {
            let (expected, found) = (format!("{:?}", order.status), format!("{found:?}"));
            client.broken(
                DURABLE,
                "listed otherwise",
                &[&order.id, user],
                expected,
                found,
            );
        }
    }
}

/// Somebody buys a lamp: refused for business reasons if at all.
async fn buy_once_more(client: &Client, files: &Files) {
    let (user, sku) = (CUSTOMERS[0], SHELVES[0].sku);
    let op = format!("{}-1", client.name());
    if !client.does(&op) {
        return;
    }
    let asked = checkouts::asked(&files.orders);
    let person = Person::new(client, "checkout").noting(&asked);
    let body = json!({ "user": user, "sku": sku, "quantity": 1 });
    let request = keyed(&op, "POST", "/checkouts", body);
    files.receipts.asked("checkout", &request);
    let Some(reply) = answered(client, &person, &request, false).await else {
        return;
    };
    files.receipts.told(&request, &reply);
    if let (201, Some(id)) = (reply.status, reply.body["id"].as_str()) {
        checkouts::told(&files.orders, client, id);
    }
}
