//! The inventory alone, judged from outside: three clerks reserve, confirm, cancel, restock and look, and some order of
//! what they asked has to explain what they were told. No invariant here looks into the database.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::json;
use squall::{
    Client, Sim,
    check::history::Ticket,
    scenario::{Scenario, Setup},
    seed::Stream,
    storm::Profile,
};
use squall_services::{
    kit::{Code, Context, Peer, Reply},
    planted_bug::Bug,
    shared::inventory::{self, model::ReservationState, store::RESERVATIONS},
};

use crate::{
    invariants::{
        history::{Answer, Call, Ledger},
        receipts::ANSWERED,
    },
    lock,
    person::{Person, Request, browser, keyed, unkeyed},
    planted_bug,
    platform::{platform, read_store},
    reachability_goals,
};

/// The scenario `stock-room`.
pub struct StockRoom;

crate::planted_bugs! {
    /// The bugs that somebody who only talks to the inventory can notice.
    LateReserveAfterCancel at 61 => "operations on a product are linearizable";
    CommitWithoutSync => "operations on a product are linearizable" | "acknowledged is durable";
    SemanticLockReservingOnly at 4 => "operations on a product are linearizable";
    CheckThenActStock => "operations on a product are linearizable";
    NoVersionCheck => "operations on a product are linearizable";
    NoKey => "operations on a product are linearizable";
    KeyStoredAfterEffect => "operations on a product are linearizable";
    StaleRead => "operations on a product are linearizable";
    UnreadableIsAbsent at 25 => "operations on a product are linearizable";
}

/// What the authors of the order saga list of their inventory.
const DOCUMENTED: &[Bug] = &[Bug::LateReserveAfterCancel, Bug::SemanticLockReservingOnly];

const CLERKS: [&str; 3] = ["dee", "eve", "fay"];

/// Products, and the units that there are at first.
const SHELVES: [(&str, u64); 2] = [("lamp", 4), ("chair", 2)];

/// Sagas of each clerk.
const SAGAS: u64 = 3;

impl Scenario for StockRoom {
    planted_bug::described! {
        "stock-room": "the inventory alone, judged by what its clients are told: reserve, confirm, cancel, restock, read",
        documented: "the inventory as its authors wrote it down: the lock heeds RESERVING only, a cancel leaves no tombstone",
    }

    fn profile(&self) -> Profile {
        Profile {
            events: vec![
                ("inventory", "stock reserved"),
                ("inventory", "stock confirmed"),
                ("inventory", "stock released"),
            ],
            held: vec![("inventory", "stock reserved")],
            horizon_ms: 1_500,
            ..Profile::new(&["inventory"], &CLERKS.map(|clerk| (clerk, "inventory")))
        }
    }

    fn build(&self, sim: &Sim, setup: &Setup) {
        let bugs = planted_bug::bugs(setup, DOCUMENTED);
        sim.read_stores_with(read_store);
        sim.node("inventory", move |node| {
            let config = inventory::Config {
                bugs,
                // Nobody could tell the sweeper of a saga's end: clerks let go by themselves.
                lock_age: Duration::MAX,
                ..Default::default()
            };
            inventory::run(platform(&node), config)
        });
        let ledger = Ledger::watch(sim, &SHELVES);
        reachability_goals::services(sim, &[]);
        reachability_goals::stock(sim, &["inventory"]);
        reachability_goals::late_reserves(sim, &["inventory"]);
        sim.prepare(|client| async move {
            let inventory = Peer::new(&platform(client.node()), "inventory", browser());
            let context = Context::fresh(&platform(client.node()), client.name());
            for (sku, stock) in SHELVES {
                let (path, body) = (format!("/inventory/{sku}"), json!({ "stock": stock }));
                let reply = inventory.call(&context, "PUT", &path, None, &body).await;
                assert!(
                    reply.as_ref().is_ok_and(Reply::is_success),
                    "PUT {path} was refused: {reply:?}"
                );
            }
        });
        sim.at_end(|truth| {
            let rows = truth.rows("inventory", RESERVATIONS.name);
            let states: Vec<_> = rows
                .filter_map(|(_, row)| RESERVATIONS.decode(row).ok())
                .map(|reservation| reservation.state)
                .collect();
            let count = |state| states.iter().filter(|s| **s == state).count() as u64;
            vec![
                ("completed", count(ReservationState::Confirmed)),
                ("compensated", count(ReservationState::Released)),
            ]
        });
        let mut workload = sim.seed().stream("workload");
        let mut twins = sim.seed().stream("twins");
        let late = ledger.clone();
        for name in CLERKS {
            let errands: Vec<Errand> = (0..SAGAS)
                .map(|_| Errand::draw(&mut workload).perhaps_twice(&mut twins))
                .collect();
            let ledger = ledger.clone();
            sim.client(name, move |client| async move {
                let clerk = Clerk::new(&client, ledger);
                for (n, errand) in errands.iter().enumerate() {
                    clerk.run(errand, &format!("{name}-{}", n + 1)).await;
                }
                client.node().sleep(LATER).await;
                clerk.look_around(&format!("{name}-later")).await;
            });
        }
        sim.late_client("inspector", move |client| async move {
            let clerk = Clerk::new(&client, late);
            clerk.look_around("inspector").await;
            // What is told in the calm is told at once, and the next one is served.
            let saga = "inspector-1";
            if client.does(saga) {
                clerk.serve_in_the_calm(saga).await;
            }
        });
    }
}

/// A saga as a clerk carries it out.
#[derive(Clone, Debug)]
struct Errand {
    wait: Duration,
    sku: &'static str,
    quantity: u64,
    sells: bool,
    /// Takes the units back after the sale.
    returns: bool,
    /// Brings new units first.
    restock: Option<u64>,
    /// Everything is asked from a second device as well, at the same time and under keys of its own.
    twice: bool,
}

impl Errand {
    fn draw(rng: &mut Stream) -> Self {
        Errand {
            wait: Duration::from_millis(rng.below(120)),
            sku: SHELVES[usize::from(rng.chance(0.3))].0,
            quantity: 1 + rng.below(3) / 2,
            sells: rng.chance(0.6),
            returns: rng.chance(0.2),
            restock: rng.chance(0.2).then(|| 1 + rng.below(2)),
            twice: false,
        }
    }

    /// The same, in some worlds from two devices.
    fn perhaps_twice(self, rng: &mut Stream) -> Self {
        Errand {
            twice: rng.chance(0.15),
            ..self
        }
    }
}

/// A client who notes what is asked and answered.
struct Clerk {
    client: Client,
    person: Person,
    ledger: Arc<Mutex<Ledger>>,
}

/// How long after their last call clerks look once more.
const LATER: Duration = Duration::from_secs(30);
/// How often a clerk asks for an answer before giving up.
const PATIENCE: u32 = 16;
/// How often a clerk asks for a product that is in another's hands.
const TURNS: u32 = 4;

impl Clerk {
    fn new(client: &Client, ledger: Arc<Mutex<Ledger>>) -> Self {
        Clerk {
            client: client.clone(),
            person: Person::new(client, "inventory"),
            ledger,
        }
    }

    async fn run(&self, errand: &Errand, saga: &str) {
        let Errand { sku, quantity, .. } = *errand;
        self.client.node().sleep(errand.wait).await;
        if !self.client.does(saga) {
            return;
        }
        let op = format!("{saga}/restock");
        if let Some(units) = errand.restock
            && self.client.does(&op)
        {
            let path = format!("/inventory/{sku}/restock");
            let request = keyed(&op, "POST", &path, json!({ "quantity": units }));
            self.insist(sku, Call::Restock { units }, &request).await;
        }
        let twice = errand.twice && self.client.does(&format!("{saga}/twice"));
        let holds = self.reserve(sku, saga, quantity, twice).await;
        self.look(sku, saga, 1).await;
        if holds && errand.sells {
            self.settle(sku, saga, "confirm", twice).await;
        }
        if !holds || !errand.sells || errand.returns {
            self.settle(sku, saga, "cancel", twice).await;
        }
        self.look(sku, saga, 2).await;
    }

    /// Looks at each product once.
    async fn look_around(&self, saga: &str) {
        for (n, (sku, _)) in SHELVES.iter().enumerate() {
            self.look(sku, saga, n as u32 + 1).await;
        }
    }

    /// A saga that nothing disturbs, on a shelf that is filled first: nobody has it in hand for long, so it is served.
    async fn serve_in_the_calm(&self, saga: &str) {
        let (sku, _) = SHELVES[0];
        let op = format!("{saga}/restock");
        let path = format!("/inventory/{sku}/restock");
        let request = keyed(&op, "POST", &path, json!({ "quantity": 1 }));
        let restocked = self.insist(sku, Call::Restock { units: 1 }, &request).await;
        let looked = unkeyed(
            &format!("{saga}/look"),
            "GET",
            &format!("/inventory/{sku}"),
            (),
        );
        let product = self.person.ask(&looked).await;
        // A clerk who gave up may have left the product in a saga's hands: this inventory has no sweeper.
        let taken = product.is_ok_and(|reply| !reply.body["lock"].is_null());
        let reserved = !taken && self.reserve(sku, saga, 1, false).await;
        if restocked.is_none() || !taken && !reserved {
            let expected = "a saga that is served";
            self.client
                .broken(ANSWERED, "not served", &[saga, sku], expected, "a refusal");
        }
        self.settle(sku, saga, "cancel", false).await;
        self.look(sku, saga, 3).await;
    }

    /// Whether the units are set aside. If not, they may yet be.
    async fn reserve(&self, sku: &str, saga: &str, quantity: u64, twice: bool) -> bool {
        let body = json!({ "saga_id": saga, "order_id": saga, "sku": sku, "quantity": quantity });
        let request = keyed(&format!("{saga}/reserve"), "POST", "/reservations", body);
        let call = Call::Reserve {
            saga: saga.to_owned(),
            quantity,
        };
        let answers = self.ask_all(sku, call, request, twice).await;
        answers.contains(&Some(Answer::Reserved))
    }

    async fn settle(&self, sku: &str, saga: &str, how: &str, twice: bool) {
        let (op, path) = (
            format!("{saga}/{how}"),
            format!("/reservations/{saga}/{how}"),
        );
        let saga = saga.to_owned();
        let (call, body) = match how {
            "confirm" => (Call::Confirm { saga }, json!({})),
            _ => (Call::Cancel { saga }, json!({ "sku": sku })),
        };
        let request = keyed(&op, "POST", &path, body);
        self.ask_all(sku, call, request, twice).await;
    }

    /// Insists from one device, or from two at once.
    async fn ask_all(
        &self,
        sku: &str,
        call: Call,
        request: Request,
        twice: bool,
    ) -> Vec<Option<Answer>> {
        let op = format!("{}-twin", request.op);
        let twin = twice.then(|| Request {
            key: Some(op.clone()),
            op,
            ..request.clone()
        });
        let requests = [Some(request), twin].into_iter().flatten();
        let asked = requests.map(|request| {
            let call = call.clone();
            async move { self.insist(sku, call, &request).await }
        });
        join_all(asked).await
    }

    /// Looks once: a reading that is lost tells nothing and changes nothing.
    async fn look(&self, sku: &str, saga: &str, nth: u32) {
        let op = format!("{saga}/look-{nth}");
        if !self.client.does(&op) {
            return;
        }
        let request = unkeyed(&op, "GET", &format!("/inventory/{sku}"), ());
        let ticket = self.begin(sku, Call::Look, &request);
        match self.person.ask(&request).await {
            Ok(reply) => self.end(ticket, &request, Answer::of(&Call::Look, &reply)),
            Err(reason) => {
                self.client.unknown(&op, reason);
                lock(&self.ledger).history.failed(ticket);
            }
        }
    }

    /// Asks until the answer is final. `None` if patience ends first: the outcome stays unknown.
    async fn insist(&self, sku: &str, call: Call, request: &Request) -> Option<Answer> {
        let whole = self.begin(sku, call.clone(), request);
        let (mut turns, mut lost) = (0, false);
        for attempt in 1..=PATIENCE {
            // A refusal that is not final says who has the product, and that alone: the request may arrive once more.
            let saga = request.op.split('/').next().unwrap_or_default().to_owned();
            let turn = lock(&self.ledger).invoked(&self.client, sku, Call::IsTaken { saga });
            let reply = self.person.ask(request).await;
            match reply {
                Ok(reply)
                    if !reply.is_success() && reply.problem().code == Code::SagaInProgress =>
                {
                    lock(&self.ledger).ok(&self.client, turn, Answer::Taken(true));
                    self.client.unknown(&request.op, "SagaInProgress");
                    turns += 1;
                    if turns == TURNS {
                        return None;
                    }
                }
                Ok(reply) if reply.is_success() || !reply.problem().code.is_transient() => {
                    if lost {
                        self.client.reached(reachability_goals::ANSWER_LOST);
                    }
                    lock(&self.ledger).history.failed(turn);
                    let answer = Answer::of(&call, &reply);
                    self.end(whole, request, answer.clone());
                    return Some(answer);
                }
                Ok(reply) => {
                    lock(&self.ledger).history.failed(turn);
                    let code = reply.problem().code;
                    self.client.unknown(&request.op, &format!("{code:?}"));
                }
                Err(reason) => {
                    lost |= reason == "no answer";
                    lock(&self.ledger).history.failed(turn);
                    self.client.unknown(&request.op, reason);
                    // Sagas cancel what they are not sure to have reserved.
                    let reserving = matches!(call, Call::Reserve { .. });
                    if reserving && self.client.draw(|rng| rng.chance(0.4)) {
                        return None;
                    }
                }
            }
            let most = (20u64 << attempt.min(9)).min(8_000);
            let wait = self.client.draw(|rng| rng.between(most / 2, most));
            self.client.node().sleep(Duration::from_millis(wait)).await;
        }
        None
    }

    fn begin(&self, sku: &str, call: Call, request: &Request) -> Ticket {
        self.client
            .invoked(&request.op, &format!("{} {}", request.method, request.path));
        lock(&self.ledger).invoked(&self.client, sku, call)
    }

    fn end(&self, ticket: Ticket, request: &Request, answer: Answer) {
        self.client.ok(&request.op, &format!("{answer:?}"));
        lock(&self.ledger).ok(&self.client, ticket, answer);
    }
}
