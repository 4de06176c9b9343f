//! Two who want the last lamp, each at another replica of the inventory, to be [told](crate::stories): the first one's lease
//! runs out in a pause.

use std::time::Duration;

use serde_json::json;
use squall::{
    Client, Sim,
    fault::Pause,
    scenario::{Scenario, Setup},
    storm::{Action, Fault, Profile},
    trace::story::Untold,
};
use squall_services::{
    infrastructure::lock,
    kit::lease::LeasePolicy,
    planted_bug::{Bug, Bugs},
    shared::inventory::{self, Locking},
};

use crate::{
    invariants::{leases, stock},
    person::{Person, keyed},
    stories::{
        flows::{LAMP, at_event},
        named, told,
    },
    topology::{self, replicas, with},
    workloads::shop::{Hand, Shelf},
};

const NODES: [&str; 4] = ["inventory-1", "inventory-2", "inventory-db", "lock"];

/// Who comes first, and where.
const FIRST: (&str, &str) = ("ben", "inventory-2");
/// Who comes once the lease has run out, and where. Of two ends the one of the lesser name is told first.
const SECOND: (&str, &str) = ("ann", "inventory-1");
/// From one to the other, and from "try again" to the next try: longer than a lease.
const LATER: Duration = Duration::from_secs(4);
/// The pause: over when the second one has got the lamp, and before the first one loses patience.
const PAUSE_MS: u64 = 6_000;

/// How a lease is held: without renewal.
const LEASE: LeasePolicy = LeasePolicy {
    wait: Duration::from_secs(5),
    lease: Duration::from_secs(3),
    renew_every: Duration::from_secs(30),
    limit: Duration::from_secs(30),
};

/// Two requests for one lamp, and what goes wrong meanwhile.
#[derive(Clone, Debug)]
pub struct LastLamp {
    /// Its name, in kebab case.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub about: &'static str,
    /// The planted bugs that are on.
    pub bugs: Bugs,
    /// What goes wrong, and where.
    pub storm: Vec<Fault>,
}

/// The late holder is refused.
pub fn fenced_off() -> LastLamp {
    let pause = Action::Pause(Pause {
        node: FIRST.1.to_owned(),
        for_ms: PAUSE_MS,
    });
    LastLamp {
        name: "lease-fenced-off",
        about: "Inventory 2 stands still under its lease of the lamp, which runs out: inventory 1 is granted the next one and \
                gives the last lamp away. The write that inventory 2 comes back with bears the older token and is refused.",
        bugs: Bugs::NONE,
        storm: vec![at_event(FIRST.1, "lease held", &op(FIRST.0), pause)],
    }
}

/// Both write.
pub fn not_fenced_off() -> LastLamp {
    LastLamp {
        name: "lease-without-fencing",
        about: "The same, but nobody compares tokens: inventory 2 writes what it worked out before the pause over what \
                inventory 1 has written since, and the last lamp is promised twice.",
        bugs: Bugs::NONE.with(Bug::LeaseWithoutFencing),
        ..fenced_off()
    }
}

/// All of them.
pub fn all() -> Vec<LastLamp> {
    vec![fenced_off(), not_fenced_off()]
}

/// Idempotency records, and what the rows say again.
const UNTOLD: Untold<'static> = Untold {
    tables: &["answers", "idempotency"],
    fields: &["order_id", "saga_id", "sku", "version"],
    logs: &["stock reserved", "stock refused"],
};

told!(LastLamp, |_| [FIRST, SECOND]
    .map(|(who, _)| op(who))
    .to_vec());

impl Scenario for LastLamp {
    named!();

    fn profile(&self) -> Profile {
        Profile::new(&NODES, &[])
    }

    fn build(&self, sim: &Sim, _: &Setup) {
        let (bugs, shelf) = (self.bugs, lock::Shelf::default());
        let config = inventory::Config {
            bugs,
            // The lease alone keeps one out of the other's way.
            semantic_lock: false,
            locking: Locking::Leases {
                service: lock::SERVICE.name.to_owned(),
                policy: LEASE,
            },
            ..Default::default()
        };
        let keeper = lock::Config {
            bugs,
            leases: shelf.clone(),
        };
        topology::open(sim, [with(lock::SERVICE, keeper, lock::run)]);
        let inventory = with(inventory::SERVICE, config, inventory::run);
        let within = Duration::from_secs(15);
        topology::open(sim, replicas(inventory, inventory::store::FILE, within));
        stock::watch_books_at(sim, "inventory-db");
        leases::watch(sim, &shelf);

        sim.prepare(|client| async move {
            let lamp = Shelf {
                sku: LAMP,
                stock: 1,
                price: 12_000,
            };
            Hand::over(&client, SECOND.1, SECOND.1).stock(lamp).await;
        });
        for ((who, at), begins) in [(FIRST, Duration::ZERO), (SECOND, LATER)] {
            sim.client(who, move |client| reserve(client, at, begins));
        }
    }
}

/// The label of a person's request.
fn op(who: &str) -> String {
    format!("{who}-1")
}

/// Has a lamp set aside; asks once more if nothing was done.
async fn reserve(client: Client, at: &str, begins: Duration) {
    client.node().sleep(begins).await;
    let (person, op) = (Person::new(&client, at), op(client.name()));
    let wish = json!({
        "saga_id": client.name(), "order_id": op, "sku": LAMP, "quantity": 1,
    });
    let request = keyed(&op, "POST", "/reservations", wish);
    for _ in 0..2 {
        client.invoked(&op, "the last lamp");
        match person.ask(&request).await {
            Ok(reply) if reply.is_success() => return client.ok(&op, "it is set aside"),
            Ok(reply) => {
                let problem = reply.problem();
                client.failed(&op, &problem.detail);
                if !problem.code.is_transient() {
                    return;
                }
            }
            Err(why) => client.unknown(&op, why),
        }
        client.node().sleep(LATER).await;
    }
}
