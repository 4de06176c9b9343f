//! Single purchases, to be [told](crate::stories): one user buys one thing.

use std::time::Duration;

use serde_json::json;
use squall::{
    Sim,
    fault::Custom,
    scenario::{Scenario, Setup},
    storm::{Fault, Profile},
    trace::story::Untold,
};
use squall_services::{
    infrastructure::bus,
    kit::{member::Settings, outbox::Mode},
    planted_bug::{Bug, Bugs},
};

use crate::{
    invariants::purchases,
    person::keyed,
    scenarios::item_purchase::{MEMBERS, buyer, open},
    stories::{named, told},
};

/// Who buys.
const USER: &str = "ann";
/// The label of the purchase.
const OP: &str = "ann-1";

/// One purchase and what goes wrong meanwhile.
#[derive(Clone, Debug)]
pub struct Purchase {
    /// Its name, in kebab case.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub about: &'static str,
    /// The planted bugs that are on.
    pub bugs: Bugs,
    /// One payment in this many is refused.
    pub refused_one_in: u64,
    /// What goes wrong, and where.
    pub storm: Vec<Fault>,
}

/// Bookkeeping of the bus, its readers and its writers.
const UNTOLD: Untold<'static> = Untold {
    tables: &[
        "answers",
        "events",
        "groups",
        "idempotency",
        "inbox",
        "open_purchases",
        "outbox",
        "outbox_published",
        "outbox_sequence",
        "purchases_of_user",
    ],
    fields: &["event_id", "id", "user_id", "version"],
    logs: &[
        "an event is to be delivered again",
        "balance released",
        "balance reserved",
        "calling again",
        "message sent",
    ],
};

/// Nothing goes wrong.
pub fn completed() -> Purchase {
    Purchase {
        name: "purchase-completed",
        about: "Each service acts on the event before it: balance, bag slot and potion are reserved, the payment goes through, \
                and what was reserved is taken for good.",
        bugs: Bugs::NONE,
        refused_one_in: u64::MAX,
        storm: Vec::new(),
    }
}

/// The payment is refused.
pub fn payment_failed() -> Purchase {
    Purchase {
        name: "purchase-payment-failed",
        about: "The payment is refused: the purchase is cancelled, and the potion, the bag slot and the balance are given back.",
        refused_one_in: 1,
        ..completed()
    }
}

/// The message is lost.
pub fn message_lost() -> Purchase {
    Purchase {
        name: "purchase-message-lost",
        about: "As documented, events travel by publish/subscribe and no purchase has a deadline: the one message that tells of \
                it is lost, nobody says it again, and it stays pending for good.",
        bugs: Bugs::NONE
            .with(Bug::PubsubOnly)
            .with(Bug::NoPurchaseTimeout),
        storm: vec![Fault::at_ms(
            0,
            Custom {
                name: bus::Fault::Lose.name().to_owned(),
                node: "bus".to_owned(),
                amount: 1,
                for_ms: 5_000,
            },
        )],
        ..completed()
    }
}

told!(Purchase, |_| vec![OP.to_owned()]);

impl Scenario for Purchase {
    named!();

    fn profile(&self) -> Profile {
        let mut nodes = vec!["bus"];
        nodes.extend(MEMBERS);
        Profile::new(&nodes, &[])
    }

    fn build(&self, sim: &Sim, _: &Setup) {
        let settings = Settings {
            bugs: self.bugs,
            mode: Mode::Polling,
            ..Default::default()
        };
        open(sim, settings, self.refused_one_in);
        let told = purchases::watch(sim);
        let data = json!({
            "users": [{ "id": USER, "balance": 20_000, "slots": 4 }],
            "items": [{ "id": "potion", "price": 5_000, "stock": 9 }],
        });
        sim.prepare(move |client| async move { buyer::set_up(&client, &data).await });
        sim.client(USER, move |client| async move {
            client.node().sleep(Duration::from_millis(50)).await;
            let body = json!({ "userId": USER, "itemId": "potion", "quantity": 1 });
            let order = keyed(OP, "POST", "/orders", body);
            buyer::place_once(&client, "order", &order, "1 × potion", &told).await;
        });
    }
}
