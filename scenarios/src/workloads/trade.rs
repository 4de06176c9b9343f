//! What kind of a world of orders this is: drawn from the seed, so that a campaign sees worlds of many cancels, of declined
//! cards and of readers, worlds whose prices move, whose operators act in the storm, whose sagas give up soon.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use squall::{Client, Sim, net::Latency, seed::Stream};
use squall_services::{orchestration::orders, shared::inventory};

use crate::{
    invariants::promises::Promises,
    person::{Person, keyed, unkeyed},
    reachability_goals,
    workloads::{
        customer::Customer,
        late::{self, MAT, Rush},
        operator::{self, Letters},
        shop::{Hand, Shelf},
    },
};

/// Who buys.
pub(crate) const CUSTOMERS: [&str; 3] = ["ann", "ben", "cho"];

/// Orders in a storm.
pub(crate) const ORDERS: u64 = 5;

/// What is sold.
pub(crate) const SHELVES: [Shelf; 2] = [
    Shelf {
        sku: "lamp",
        stock: 4,
        price: 12_000,
    },
    Shelf {
        sku: "chair",
        stock: 3,
        price: 45_000,
    },
];

/// What customers are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Ordinary,
    /// They change their minds.
    Fickle,
    /// Their cards are declined.
    Poor,
    /// They look at their orders all the time.
    Curious,
}

/// A world of orders.
#[derive(Clone, Debug)]
pub struct Trade {
    mood: Mood,
    /// Some purchases are asked for from two devices.
    devices: bool,
    /// Some purchases are made twice at the same instant.
    twins: bool,
    /// A customer comes back after so long.
    returns: Option<Duration>,
    /// What the shopkeeper changes.
    changes: Vec<Change>,
    /// Operators who act while the storm lasts.
    operators: u64,
    /// Attempts before a saga needs attention, where they are fewer than usual.
    tries: Option<u32>,
    /// How long a saga may take to its pivot, where that is shorter than usual.
    deadline: Option<Duration>,
    rush: Option<Rush>,
    /// Whether the inventory's sweeper looks after what sagas leave behind.
    sweeps: bool,
    rng: Stream,
}

impl Trade {
    /// The world of this seed.
    pub fn draw(sim: &Sim) -> Self {
        let mut rng = sim.seed().stream("trade");
        let mood = match rng.below(8) {
            0 => Mood::Fickle,
            1 => Mood::Poor,
            2 => Mood::Curious,
            _ => Mood::Ordinary,
        };
        let (devices, twins) = (rng.chance(0.15), rng.chance(0.1));
        let minutes = |rng: &mut Stream| Duration::from_secs(60 * rng.between(2, 15));
        let returns = rng.chance(0.03).then(|| minutes(&mut rng));
        let changes = match rng.chance(0.3) {
            true => rng.between(1, 4),
            false => 0,
        };
        let few = rng.chance(0.12);
        let tries = few.then(|| rng.between(2, 4) as u32);
        let operators = match few || rng.chance(0.08) {
            true => rng.between(1, 2),
            false => 0,
        };
        let short = rng.chance(0.15);
        let rush = rng.chance(0.15).then(|| Rush {
            declined: rng.between(1, 7),
            good: rng.between(2, 4),
        });
        Trade {
            mood,
            devices,
            twins,
            returns,
            changes: (0..changes).map(|_| Change::draw(&mut rng)).collect(),
            operators,
            tries,
            deadline: short.then(|| Duration::from_secs(rng.between(3, 12))),
            rush,
            sweeps: !rng.chance(0.25),
            rng,
        }
    }

    /// Sets the order service up as this world has it.
    pub fn arrange(&self, order: &mut orders::Config) {
        order.saga_tries = self.tries.unwrap_or(order.saga_tries);
        order.saga_deadline = self.deadline.unwrap_or(order.saga_deadline);
    }

    /// Whether the inventory's sweeper looks at all.
    pub fn sweeps(&self) -> bool {
        self.sweeps
    }

    /// How often the inventory's sweeper looks. In some worlds not before the run is over: nothing may need it.
    pub fn swept_every(&self) -> Duration {
        match self.sweeps {
            true => inventory::Config::default().sweep_every,
            false => Duration::from_secs(24 * 60 * 60),
        }
    }

    /// Fills the shelves that the scenarios have in common.
    pub async fn fill(has_rush: bool, hand: &Hand) {
        for shelf in SHELVES {
            hand.fill(shelf).await;
        }
        if has_rush {
            hand.fill(MAT).await;
        }
    }

    /// Whether the late client buys.
    pub fn has_rush(&self) -> bool {
        self.rush.is_some()
    }

    /// Adds the late client, the shopkeeper and the operators, for a catalog at `"catalog"` and orders and inventory at
    /// these entries. With `workflows`, operators also restart sagas and rebuild the read side.
    pub fn staff(
        &self,
        sim: &Sim,
        (order, inventory): (&'static str, &'static str),
        workflows: bool,
        promises: &Arc<Promises>,
    ) {
        promises.count_moved_prices(sim.goal(reachability_goals::PRICE_MOVED));
        sim.goal(reachability_goals::REFUSED);
        late::watch(sim, order, &CUSTOMERS, promises, self.rush);
        let changes = self.changes.clone();
        if !changes.is_empty() {
            sim.client("shopkeeper", move |client| async move {
                keep_shop(&client, &changes, inventory).await;
            });
        }
        let letters = Letters::watch(sim);
        if workflows {
            reachability_goals::rebuilds(sim, "order");
        }
        for name in ["fixer-1", "fixer-2"]
            .into_iter()
            .take(self.operators as usize)
        {
            let letters = letters.clone();
            sim.operator(name, move |client| async move {
                operator::under_fire(&client, order, workflows, &letters).await;
            });
        }
    }

    /// What a customer buys, as customers are in this world.
    fn mood(&mut self, mut purchase: Purchase) -> Errand {
        let rng = &mut self.rng;
        match self.mood {
            Mood::Fickle if rng.chance(0.6) => {
                purchase.cancels_after(Duration::from_millis(rng.between(5, 400)))
            }
            Mood::Poor if rng.chance(0.6) => {
                purchase.card = *rng.pick(&["declined", "capture-declined"]);
            }
            _ => {}
        }
        let looks = match self.mood {
            Mood::Curious => rng.between(2, 6),
            _ => rng.below(8) / 7,
        };
        let way = if self.devices && rng.chance(0.5) {
            Way::TwoDevices(Duration::from_millis(match rng.chance(0.6) {
                true => rng.below(60),
                false => rng.between(60, 2_000),
            }))
        } else if self.twins && rng.chance(0.5) {
            Way::Twins
        } else {
            Way::Once
        };
        Errand {
            purchase,
            looks: (0..looks)
                .map(|_| Duration::from_millis(rng.between(5, 900)))
                .collect(),
            way,
        }
    }

    /// The customers come, and order at `entry` over the internet. What each does is drawn from
    /// `workload`; `plain_keys` says that keys are given without quotation marks.
    pub fn open_doors(
        &mut self,
        sim: &Sim,
        workload: &mut Stream,
        entry: &'static str,
        plain_keys: bool,
        promises: &Arc<Promises>,
    ) {
        sim.goal(reachability_goals::CAME_BACK);
        sim.goal(reachability_goals::TWINS);
        sim.goal(reachability_goals::TWO_DEVICES);
        for (i, name) in CUSTOMERS.into_iter().enumerate() {
            let promises = promises.clone();
            let purchases = ORDERS / 3 + u64::from((i as u64) < ORDERS % 3);
            let errands: Vec<(Errand, bool)> = (0..purchases)
                .map(|_| {
                    let purchase = Purchase::draw(workload);
                    let careless = plain_keys && workload.chance(0.2);
                    (self.mood(purchase), careless)
                })
                .collect();
            let (names_baskets, returns) = (self.devices, self.returns.filter(|_| i == 0));
            sim.client(name, move |client| async move {
                let mut customer = Customer::new(&client, &promises)
                    .through(entry)
                    .who_names_baskets(names_baskets);
                if plain_keys {
                    customer = customer.with_plain_keys();
                }
                for (n, (errand, careless)) in errands.iter().enumerate() {
                    let op = format!("{}-{}", client.name(), n + 1);
                    if let Some(later) = returns.filter(|_| n > 0) {
                        client.node().sleep(later).await;
                        client.reached(reachability_goals::CAME_BACK);
                    }
                    errand.carry_out(&client, &customer, &op).await;
                    if *careless {
                        let Purchase {
                            sku,
                            quantity,
                            card,
                            ..
                        } = errand.purchase;
                        customer.reuse_key(&op, sku, quantity + 1, card).await;
                    }
                }
            });
            sim.link(name, entry, Latency::INTERNET);
        }
    }
}

/// How a purchase is asked for.
#[derive(Clone, Copy, Debug)]
enum Way {
    Once,
    /// Again from another device, this much later.
    TwoDevices(Duration),
    /// Together with another one of the same.
    Twins,
}

/// A purchase, and what the customer does about it besides.
#[derive(Clone, Debug)]
struct Errand {
    purchase: Purchase,
    /// Looks at the latest order, each so long after the one before.
    looks: Vec<Duration>,
    way: Way,
}

impl Errand {
    async fn carry_out(&self, client: &Client, customer: &Customer, op: &str) {
        let Purchase {
            sku,
            quantity,
            card,
            ..
        } = self.purchase;
        self.purchase.prepare(client, customer, op).await;
        let buying = async {
            match self.way {
                Way::Once => drop(customer.buy(op, sku, quantity, card).await),
                Way::TwoDevices(later) => {
                    customer
                        .buy_on_two_devices(op, later, (sku, quantity, card))
                        .await;
                }
                Way::Twins => customer.buy_twins(op, (sku, quantity, card)).await,
            }
        };
        let looking = async {
            for (n, wait) in self.looks.iter().enumerate() {
                client.node().sleep(*wait).await;
                customer.look(&format!("{op}-look-{}", n + 1)).await;
            }
        };
        tokio::join!(buying, looking);
    }
}

/// Something that the shopkeeper changes, and how long after the change before.
#[derive(Clone, Debug)]
struct Change {
    wait: Duration,
    sku: &'static str,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Price(u64),
    Restock(u64),
    /// Off the shelves for so long.
    Off(Duration),
}

impl Change {
    fn draw(rng: &mut Stream) -> Self {
        let what = match rng.below(5) {
            0 => What::Off(Duration::from_millis(rng.between(20, 600))),
            1 => What::Restock(rng.between(1, 3)),
            _ => What::Price(1_000 * rng.between(5, 60)),
        };
        Change {
            wait: Duration::from_millis(rng.below(400)),
            sku: rng.pick(&SHELVES).sku,
            what,
        }
    }
}

async fn keep_shop(client: &Client, changes: &[Change], inventory: &str) {
    let (catalog, stock) = (
        Person::new(client, "catalog"),
        Person::new(client, inventory),
    );
    for (n, Change { wait, sku, what }) in changes.iter().enumerate() {
        client.node().sleep(*wait).await;
        let (op, product) = (format!("shopkeeper-{}", n + 1), format!("/products/{sku}"));
        let patch = |body| unkeyed(&op, "PATCH", &product, body);
        if !client.does(&op) {
            continue;
        }
        match what {
            What::Price(price) => drop(catalog.insist(&patch(json!({ "price": price }))).await),
            What::Restock(quantity) => {
                let path = format!("/inventory/{sku}/restock");
                let restock = keyed(&op, "POST", &path, json!({ "quantity": quantity }));
                stock.insist(&restock).await;
            }
            What::Off(for_so_long) => {
                catalog.insist(&patch(json!({ "on_sale": false }))).await;
                client.node().sleep(*for_so_long).await;
                catalog.insist(&patch(json!({ "on_sale": true }))).await;
            }
        }
    }
}

/// What a customer does next.
#[derive(Clone, Debug)]
pub(crate) struct Purchase {
    wait: Duration,
    pub(crate) sku: &'static str,
    pub(crate) quantity: u64,
    pub(crate) card: &'static str,
    /// Cancels it, this long after the click.
    cancel: Option<Duration>,
}

impl Purchase {
    pub(crate) fn draw(rng: &mut Stream) -> Self {
        let card = match rng.below(20) {
            0..2 => "declined",
            2..5 => "capture-declined",
            _ => "visa",
        };
        Purchase {
            wait: Duration::from_millis(rng.below(400)),
            sku: rng.pick(&SHELVES).sku,
            quantity: 1 + rng.below(5) / 4,
            card,
            cancel: rng
                .chance(0.25)
                .then(|| Duration::from_millis(rng.between(20, 250))),
        }
    }

    /// The customer changes their mind so long after the click.
    pub(crate) fn cancels_after(&mut self, after: Duration) {
        self.cancel = Some(after);
    }

    /// Waits for the customer to come to it, and sees to it that it is cancelled if it is to be.
    pub(crate) async fn prepare(&self, client: &squall::Client, customer: &Customer, op: &str) {
        client.node().sleep(self.wait).await;
        if let Some(after) = self.cancel {
            let (customer, node, op) = (
                customer.clone(),
                client.node().clone(),
                format!("{op}-cancel"),
            );
            client.node().spawn(async move {
                node.sleep(after).await;
                customer.cancel_latest(&op).await;
            });
        }
    }
}
