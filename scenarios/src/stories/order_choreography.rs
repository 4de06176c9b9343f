//! Single choreographed orders, to be [told](crate::stories): one user orders one thing.

use std::time::Duration;

use serde_json::json;
use squall::{
    Sim,
    scenario::{Scenario, Setup},
    storm::{Fault, Profile},
    trace::story::Untold,
};
use squall_services::{
    kit::outbox::Mode,
    planted_bug::{Bug, Bugs},
};

use crate::{
    invariants::choreographed_orders,
    person::{Asked, keyed},
    scenarios::item_purchase::buyer::place_once,
    scenarios::order_choreography::nodes::{self, NODES, Shop},
    stories::{named, told},
    workloads::shop::Shelf,
};

/// Who orders.
const USER: &str = "ann";
/// The label of the order.
const OP: &str = "ann-1";

/// One order and what goes wrong meanwhile.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its name, in kebab case.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub about: &'static str,
    /// The planted bugs that are on.
    pub bugs: Bugs,
    /// One delivery attempt in this many finds no one at home.
    pub misses_one_in: u64,
    /// What goes wrong, and where.
    pub storm: Vec<Fault>,
}

/// Bookkeeping of the log, its readers and its writers.
const UNTOLD: Untold<'static> = Untold {
    tables: &[
        "answers",
        "events",
        "groups",
        "idempotency",
        "inbox",
        "open_shipments",
        "orders_of_user",
        "outbox",
        "outbox_published",
        "outbox_sequence",
        "payments_by_order",
    ],
    fields: &[
        "attempts",
        "captures",
        "card",
        "context",
        "event_id",
        "gateway_id",
        "id",
        "name",
        "placed",
        "reference",
        "refunds",
        "version",
    ],
    logs: &[
        "calling again",
        "message sent",
        "payment charged",
        "payment charging",
        "payment refunded",
        "payment refunding",
        "stock released",
    ],
};

/// Nothing goes wrong.
pub fn completed() -> Order {
    Order {
        name: "choreography-completed",
        about: "Each service acts on the event before it: reserved, paid, delivered, completed, and three messages sent.",
        bugs: Bugs::NONE,
        misses_one_in: u64::MAX,
        storm: Vec::new(),
    }
}

/// No one opens the door, twice.
pub fn undeliverable() -> Order {
    Order {
        name: "choreography-undeliverable",
        about: "The courier finds nobody, twice: the money is paid back, the lamp goes back on the shelf, the order is cancelled.",
        misses_one_in: 1,
        ..completed()
    }
}

/// No one opens the door, and the money is not paid back.
pub fn money_kept() -> Order {
    Order {
        name: "choreography-money-kept",
        about: "The same, but the payment does not listen to failed deliveries: the lamp is back, the order cancelled, and the \
                money kept.",
        bugs: Bugs::NONE.with(Bug::DeliveryFailureKeepsMoney),
        ..undeliverable()
    }
}

/// All of them.
pub fn all() -> Vec<Order> {
    vec![completed(), undeliverable(), money_kept()]
}

told!(Order, |_| vec![OP.to_owned()]);

impl Scenario for Order {
    named!();

    fn profile(&self) -> Profile {
        Profile::new(&NODES, &[])
    }

    fn build(&self, sim: &Sim, _: &Setup) {
        let shop = Shop {
            misses_one_in: self.misses_one_in,
            ..Shop::new(self.bugs, Mode::Polling)
        };
        let counters = nodes::open(sim, &shop);
        let told = choreographed_orders::watch(sim, &counters.permits, &Asked::default());
        let lamp = Shelf {
            sku: "lamp",
            stock: 3,
            price: 12_000,
        };
        sim.prepare(move |client| async move { nodes::fill(&client, &[USER], &[lamp]).await });
        sim.client(USER, move |client| async move {
            client.node().sleep(Duration::from_millis(50)).await;
            let body = json!({ "userId": USER, "productId": "lamp", "quantity": 1 });
            let order = keyed(OP, "POST", "/orders", body);
            place_once(&client, "gateway", &order, "1 × lamp", &told).await;
        });
    }
}
