//! A product as its clients see it: linearizable operations.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{
    Client, Sim,
    check::history::{History, Judged, Model, Ticket},
};
use squall_services::{
    kit::{Code, Reply},
    shared::inventory::store::Product,
};

use crate::lock;

/// What a product can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields that say what they are")]
pub enum Call {
    /// Sets units aside.
    Reserve { saga: String, quantity: u64 },
    /// Sells them.
    Confirm { saga: String },
    /// Gives them back, before or after the sale; a saga that has cancelled reserves nothing any more.
    Cancel { saga: String },
    /// Puts more units on the shelf.
    Restock { units: u64 },
    /// Whether the product is in the hands of another saga than this one.
    IsTaken { saga: String },
    /// Looks.
    Look,
}

/// What it can say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields that say what they are")]
pub enum Answer {
    /// The units are set aside, or sold by now.
    Reserved,
    /// The units are sold.
    Confirmed,
    /// The saga has nothing any more.
    Released,
    /// There are too few.
    OutOfStock,
    /// The saga's state forbids it.
    InvalidState,
    /// The saga has reserved nothing.
    NotFound,
    /// Whether another saga has it.
    Taken(bool),
    /// All that there is to see.
    Seen {
        on_hand: u64,
        reserved: u64,
        sold: u64,
        holder: Option<String>,
    },
    /// Nothing that a sound inventory says.
    Odd(String),
}

impl Answer {
    /// What a reply says to a call.
    pub fn of(call: &Call, reply: &Reply) -> Answer {
        if !reply.is_success() {
            return match reply.problem().code {
                Code::OutOfStock => Answer::OutOfStock,
                Code::InvalidState => Answer::InvalidState,
                Code::NotFound => Answer::NotFound,
                other => Answer::Odd(format!("{other:?}")),
            };
        }
        match call {
            Call::Reserve { .. } => Answer::Reserved,
            Call::Confirm { .. } => Answer::Confirmed,
            Call::Cancel { .. } => Answer::Released,
            Call::IsTaken { .. } => Answer::Taken(false),
            Call::Look | Call::Restock { .. } => match reply.ok::<Product>() {
                Ok(product) => Answer::Seen {
                    on_hand: product.units.on_hand,
                    reserved: product.units.reserved,
                    sold: product.units.sold,
                    holder: product.lock.map(|lock| lock.owner),
                },
                Err(problem) => Answer::Odd(problem.to_string()),
            },
        }
    }
}

/// A product that serves one request at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shelf {
    on_hand: u64,
    holder: Option<String>,
    sagas: BTreeMap<String, Had>,
}

/// What a saga has of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Had {
    Reserved(u64),
    Sold(u64),
    Nothing,
}

impl Shelf {
    fn seen(&self) -> Answer {
        let sum = |of: fn(&Had) -> u64| self.sagas.values().map(of).sum();
        Answer::Seen {
            on_hand: self.on_hand,
            reserved: sum(|had| if let Had::Reserved(n) = had { *n } else { 0 }),
            sold: sum(|had| if let Had::Sold(n) = had { *n } else { 0 }),
            holder: self.holder.clone(),
        }
    }

    fn is_taken(&self, by_another_than: &str) -> bool {
        self.holder
            .as_deref()
            .is_some_and(|holder| holder != by_another_than)
    }

    fn reserve(&mut self, saga: &str, quantity: u64) -> Answer {
        match self.sagas.get(saga) {
            Some(Had::Nothing) => return Answer::InvalidState,
            Some(Had::Reserved(_) | Had::Sold(_)) => return Answer::Reserved,
            None => {}
        }
        if self.is_taken(saga) {
            return Answer::Taken(true);
        }
        if self.on_hand < quantity {
            return Answer::OutOfStock;
        }
        self.on_hand -= quantity;
        self.holder = Some(saga.to_owned());
        self.sagas.insert(saga.to_owned(), Had::Reserved(quantity));
        Answer::Reserved
    }

    fn confirm(&mut self, saga: &str) -> Answer {
        match self.sagas.get(saga) {
            Some(Had::Reserved(quantity)) => {
                let sold = Had::Sold(*quantity);
                self.sagas.insert(saga.to_owned(), sold);
                self.holder = None;
                Answer::Confirmed
            }
            Some(Had::Sold(_)) => Answer::Confirmed,
            Some(Had::Nothing) => Answer::InvalidState,
            None => Answer::NotFound,
        }
    }

    fn cancel(&mut self, saga: &str) -> Answer {
        match self.sagas.insert(saga.to_owned(), Had::Nothing) {
            Some(Had::Reserved(quantity)) => {
                self.on_hand += quantity;
                self.holder = None;
            }
            Some(Had::Sold(quantity)) => self.on_hand += quantity,
            Some(Had::Nothing) | None => {}
        }
        Answer::Released
    }
}

/// The sequential model of a product.
#[derive(Debug)]
pub struct Stocked;

impl Model for Stocked {
    type State = Shelf;
    type Call = Call;
    type Answer = Answer;

    /// Shelves are filled by a first restock.
    fn initial(&self) -> Shelf {
        Shelf::default()
    }

    fn serve(&self, shelf: &Shelf, call: &Call) -> (Shelf, Answer) {
        let mut shelf = shelf.clone();
        let answer = match call {
            Call::Reserve { saga, quantity } => shelf.reserve(saga, *quantity),
            Call::Confirm { saga } => shelf.confirm(saga),
            Call::Cancel { saga } => shelf.cancel(saga),
            Call::Restock { units } => {
                shelf.on_hand += units;
                shelf.seen()
            }
            Call::IsTaken { saga } => Answer::Taken(shelf.is_taken(saga)),
            Call::Look => shelf.seen(),
        };
        (shelf, answer)
    }

    fn explains(&self, right: &Answer, told: &Answer) -> bool {
        right == told
    }

    fn tag(&self, call: &Call) -> &'static str {
        match call {
            Call::Reserve { .. } => "reserve",
            Call::Confirm { .. } => "confirm",
            Call::Cancel { .. } => "cancel",
            Call::Restock { .. } => "restock",
            Call::IsTaken { .. } => "refusal",
            Call::Look => "read",
        }
    }
}

/// The history of all products, judged when the clients are done.
#[derive(Debug)]
pub struct Ledger {
    /// The history.
    pub history: History<Stocked>,
    judged: Option<(u64, Judged)>,
}

impl Ledger {
    /// A ledger of these products, and the invariant that holds the inventory to it.
    pub fn watch(sim: &Sim, shelves: &[(&str, u64)]) -> Arc<Mutex<Self>> {
        let mut history = History::new(Stocked);
        for (sku, units) in shelves {
            let filled = history.invoked(sku, Default::default(), Call::Restock { units: *units });
            let seen = Answer::Seen {
                on_hand: *units,
                reserved: 0,
                sold: 0,
                holder: None,
            };
            history.ok(filled, Default::default(), seen);
        }
        let ledger = Arc::new(Mutex::new(Ledger {
            history,
            judged: None,
        }));
        let judge = ledger.clone();
        sim.finally(
            "operations on a product are linearizable",
            Duration::ZERO,
            move |_, findings| {
                for broken in &lock(&judge).judge().broken {
                    findings.broken(
                        broken.tag,
                        &[&broken.object],
                        format!(
                            "an answer that some order of the {} operations until {} explains",
                            broken.among, broken.at
                        ),
                        format!("{} to {}", broken.answer, broken.call),
                    );
                }
            },
        );
        let count = ledger.clone();
        sim.at_end(move |_| {
            let mut ledger = lock(&count);
            let judged = ledger.judge();
            vec![
                ("histories judged", judged.judged),
                ("histories too wide to judge", judged.too_wide),
            ]
        });
        ledger
    }

    /// A client's call begins.
    pub fn invoked(&mut self, client: &Client, sku: &str, call: Call) -> Ticket {
        self.history.invoked(sku, client.now(), call)
    }

    /// It is answered.
    pub fn ok(&mut self, client: &Client, ticket: Ticket, answer: Answer) {
        self.history.ok(ticket, client.now(), answer);
    }

    fn judge(&mut self) -> &Judged {
        let events = self.history.events();
        if self.judged.as_ref().is_none_or(|(at, _)| *at != events) {
            self.judged = Some((events, self.history.judge()));
        }
        &self.judged.as_ref().expect("just judged").1
    }
}
