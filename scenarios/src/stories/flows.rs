//! Single orders and rewards, to be [told](crate::stories): one person does one thing.

pub mod orders;
pub mod people;
pub mod rewards;

use squall::{
    Sim,
    scenario::{Scenario, Setup},
    site::{Kind, Site},
    storm::{Action, Fault, Profile, When},
    trace::story::Untold,
};
use squall_services::{
    kit::PeerPolicy,
    orchestration::{
        self,
        orders::{Execution, PaymentMode},
    },
    planted_bug::Bugs,
    shared::payment,
};

use self::people::Deed;
use crate::{
    invariants::{
        money, orders as order_checks, promises::Promises, rewards as reward_checks, sagas, stock,
    },
    stories::{named, told},
    topology,
    workloads::shop::{self, Hand, Shelf},
};

/// A flow: a shop, what one person does in it, and what goes wrong meanwhile.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Its name, in kebab case.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub about: &'static str,
    /// Which of the reference systems runs.
    pub system: System,
    /// Who says what a saga does next.
    pub execution: Execution,
    /// The planted bugs that are on.
    pub bugs: Bugs,
    /// Lamps on the shelf.
    pub stock: u64,
    /// What is done.
    pub deed: Deed,
    /// What goes wrong, and where.
    pub storm: Vec<Fault>,
    /// Whether another customer buys something else meanwhile.
    pub company: bool,
    /// What a rival does who wants the same.
    pub rival: Option<Deed>,
}

/// A reference system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Orders that are paid, orchestrated by a saga.
    Orders(PaymentMode),
    /// Challenges rewarded with orders.
    Rewards,
}

/// What the flow is about.
pub const LAMP: &str = "lamp";
/// What the company buys.
const CHAIR: Shelf = Shelf {
    sku: "chair",
    stock: 2,
    price: 45_000,
};
/// The challenge whose reward is a lamp.
const CHALLENGE: &str = "run";

/// Idempotency records, indexes, and what the journal says again.
const UNTOLD: Untold<'static> = Untold {
    tables: &[
        "answers",
        "facts",
        "idempotency",
        "keys",
        "open_dead_letters",
        "open_sagas",
        "orders_of_user",
        "payments_by_order",
    ],
    fields: &[
        "attempts",
        "captures",
        "card",
        "data",
        "gateway_id",
        "id",
        "reference",
        "refunds",
        "refusal",
        "version",
    ],
    logs: &[
        "calling again",
        "compensating",
        "payment authorized",
        "payment authorizing",
        "payment captured",
        "payment capturing",
        "payment charged",
        "payment charging",
        "payment declined",
        "payment refunded",
        "payment refunding",
        "payment voided",
        "payment voiding",
        "saga compensated",
        "saga completed",
        "step done",
        "step intended",
        "step refused",
        "step undone",
        "stock confirmed",
        "stock refused",
        "stock released",
        "stock reserved",
    ],
};

impl Flow {
    fn new(name: &'static str, about: &'static str, system: System, deed: Deed) -> Self {
        Flow {
            name,
            about,
            system,
            execution: Execution::Saga,
            bugs: Bugs::NONE,
            stock: 3,
            deed,
            storm: Vec::new(),
            company: false,
            rival: None,
        }
    }
}

told!(Flow, |it| vec![it.deed.op()]);

impl Scenario for Flow {
    named!();

    fn profile(&self) -> Profile {
        Profile::new(&shop::NODES, &shop::LINKS)
    }

    fn build(&self, sim: &Sim, _: &Setup) {
        let bugs = self.bugs;
        let payment = match self.system {
            System::Orders(mode) => mode,
            System::Rewards => PaymentMode::default(),
        };
        let order = orchestration::orders::Config {
            bugs,
            payment,
            execution: self.execution,
            // One try a call: what the saga does about a lost answer is what the flows are about.
            inventory_calls: PeerPolicy {
                attempts: 1,
                ..PeerPolicy::internal()
            },
            ..Default::default()
        };
        topology::open(sim, shop::counter(bugs, order, Default::default()));
        let permits = shop::open_till(sim, bugs, payment::CALLS_MAX);

        let stock = stock::watch(sim);
        let money = money::watch(sim, &permits, sagas::SAGAS_END);
        let orders = order_checks::watch(sim);
        order_checks::watch_money(sim, &orders, &money);
        order_checks::watch_stock(sim, &orders, &stock);
        let promises = Promises::watch(sim, &orders);

        let rewards = self.system == System::Rewards;
        if rewards {
            topology::open(sim, [shop::challenges(bugs, shop::TTL)]);
            reward_checks::watch(sim, &orders);
        }
        let lamp = Shelf {
            sku: LAMP,
            stock: self.stock,
            price: 12_000,
        };
        sim.prepare(move |client| async move {
            let hand = Hand::new(&client);
            hand.fill(lamp).await;
            hand.fill(CHAIR).await;
            if rewards {
                hand.open_challenges("live", &[(CHALLENGE, LAMP)]).await;
            }
        });
        let company = Deed::buy("ben", CHAIR.sku, 1, "visa");
        let deeds = [
            Some(self.deed.clone()),
            self.company.then_some(company),
            self.rival.clone(),
        ];
        for deed in deeds.into_iter().flatten() {
            let promises = promises.clone();
            sim.client(deed.who, move |client| async move {
                deed.carry_out(&client, &promises).await;
            });
        }
    }
}

/// At the first time that `node` logs `event` for `label`.
pub fn at_event(node: &str, event: &str, label: &str, action: impl Into<Action>) -> Fault {
    at(node, Kind::Event(event.to_owned()), label, 1, action)
}

/// At the n-th burst from `node` to `to` for `label`.
pub fn at_send(node: &str, to: &str, label: &str, nth: u32, action: impl Into<Action>) -> Fault {
    at(node, Kind::Send(to.to_owned()), label, nth, action)
}

/// At the n-th site of this kind for `label`.
pub fn at(node: &str, kind: Kind, label: &str, attempt: u32, action: impl Into<Action>) -> Fault {
    Fault::new(When::Site(Site::new(node, kind, label, attempt)), action)
}
