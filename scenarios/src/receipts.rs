//! What clients were told of each operation: what was refused for good never happens, and whoever asks again under the
//! same key when all is settled is answered soon, and with what is true.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{Client, Sim, seed::Stream};
use squall_services::kit::{Code, Reply};

use crate::{
    customer::{Person, Request, unkeyed},
    lock, sometimes,
};

/// What was refused for good never happens, then or later.
pub const FINAL: &str = "a refusal is final";
/// Whoever asks again when all is settled is told what is true.
pub const TRUE: &str = "a late repeat is told what is true";
/// Whoever asks when nothing disturbs anybody is answered.
pub const ANSWERED: &str = "who asks in the calm is answered";

/// What users find of their own is what they were told and what they did.
const OWN: &str = "users find what they were told";

/// How soon: an open breaker lets a trial call through after half a minute, and a saga may take as long.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
/// How long a late client waits between two of its tries.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Whether somebody comes when all is settled: in four worlds of ten, for it makes a run longer.
pub fn comes(rng: &mut Stream) -> bool {
    rng.chance(0.4)
}

/// How long a late client stays away: most come at once, some after most of an hour.
pub fn pause(rng: &mut Stream) -> Duration {
    match rng.chance(0.05) {
        true => Duration::from_secs(rng.between(600, 3_000)),
        false => Duration::ZERO,
    }
}

/// How an operation ended, as its client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It was done, or will be: what was made has this id.
    Done(String),
    /// It was not done and will not be.
    Refused(Code),
}

impl Told {
    /// What a reply says, if that is final. `accepts` says that 202 is: the client waits for nothing more.
    fn of(reply: &Reply, accepts: bool) -> Option<Self> {
        if reply.is_success() {
            let id = reply.body["id"].as_str().unwrap_or_default();
            return (accepts || reply.status != 202).then(|| Told::Done(id.to_owned()));
        }
        let code = reply.problem().code;
        (!code.is_transient()).then_some(Told::Refused(code))
    }
}

/// What was asked, of whom, and what came of it.
#[derive(Clone, Debug)]
struct Receipt {
    entry: &'static str,
    request: Request,
    told: Option<Told>,
}

/// What has become of an operation, by the books: what lives of it, by id.
type Lives = Box<dyn Fn(&str) -> Vec<String> + Send + Sync>;

/// The receipts of all clients.
pub struct Receipts {
    lives: Lives,
    accepts: bool,
    receipts: Mutex<BTreeMap<String, Receipt>>,
}

impl Receipts {
    /// Holds the system to its refusals at the latest `bound` after the storm. `lives` tells what an operation has made
    /// that is there for good: orders that are not cancelled. `accepts` says that 202 is an answer.
    pub fn watch(
        sim: &Sim,
        bound: Duration,
        accepts: bool,
        lives: impl Fn(&str) -> Vec<String> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let receipts = Arc::new(Receipts {
            lives: Box::new(lives),
            accepts,
            receipts: Mutex::default(),
        });
        let kept = receipts.clone();
        let checked = sim.goal("a refusal was final and stayed so");
        sim.finally(FINAL, bound, move |_, findings| {
            for (op, receipt) in lock(&kept.receipts).iter() {
                let Some(Told::Refused(code)) = &receipt.told else {
                    continue;
                };
                checked.hit();
                if let Some(id) = (kept.lives)(op).first() {
                    findings.broken(
                        "happened all the same",
                        &[op, id],
                        format!("nothing, as {code:?} was told"),
                        "it happened",
                    );
                }
            }
        });
        receipts
    }

    /// A client begins to ask `entry`.
    pub fn asked(&self, entry: &'static str, request: &Request) {
        let receipt = Receipt {
            entry,
            request: request.clone(),
            told: None,
        };
        lock(&self.receipts)
            .entry(request.op.clone())
            .or_insert(receipt);
    }

    /// It is told something.
    pub fn told(&self, request: &Request, reply: &Reply) {
        let told = Told::of(reply, self.accepts);
        if let Some(receipt) = lock(&self.receipts).get_mut(&request.op) {
            receipt.told = receipt.told.take().or(told);
        }
    }

    /// Whether this was asked at all.
    pub fn knows(&self, op: &str) -> bool {
        lock(&self.receipts).contains_key(op)
    }

    /// Asks everything again under its key, one after another. To be called when all is settled.
    pub async fn repeat_all(&self, client: &Client) {
        let receipts: Vec<Receipt> = lock(&self.receipts).values().cloned().collect();
        for Receipt {
            entry,
            request,
            told,
        } in receipts
        {
            if !client.does(&format!("{}-late", request.op)) {
                continue;
            }
            let person = Person::new(client, entry);
            let Some(reply) = answered(client, &person, &request, self.accepts).await else {
                continue;
            };
            client.reached("somebody asked again when all was settled");
            sometimes::key_read(client, &reply);
            self.judge(client, &request, told, &reply);
        }
    }

    fn judge(&self, client: &Client, request: &Request, before: Option<Told>, reply: &Reply) {
        let op = request.op.as_str();
        let now = Told::of(reply, self.accepts).expect("it is final");
        let alive = (self.lives)(op);
        let found = match (&before, &now) {
            (Some(Told::Done(first)), Told::Done(again)) if first != again => {
                Some(("another effect", format!("{first}, as told"), again.clone()))
            }
            (Some(Told::Done(first)), Told::Refused(code)) => {
                Some(("refused", format!("{first}, as told"), format!("{code:?}")))
            }
            (_, Told::Refused(code)) if !alive.is_empty() => Some((
                "refused what was done",
                format!("{}, as it was done", alive.join(", ")),
                format!("{code:?}"),
            )),
            _ => None,
        };
        if let Some((tag, expected, found)) = found {
            client.broken(TRUE, tag, &[op], expected, found);
        }
        // A refusal that was not kept under its key is no longer one once the same request is accepted.
        if let Some(receipt) = lock(&self.receipts).get_mut(op) {
            receipt.told = Some(now);
        }
    }
}

/// A user's balance tells of everything that was credited, once. To be asked when every credit was, and all is settled.
pub async fn find_credited(client: &Client, user: &str, credited: u64) {
    let person = Person::new(client, "user");
    let path = format!("/users/{user}");
    let look = unkeyed(&format!("{user}-late-balance"), "GET", &path, ());
    let Some(reply) = answered(client, &person, &look, true).await else {
        return;
    };
    let found = &reply.body["credited"];
    if found.as_u64() != Some(credited) {
        let (expected, found) = (format!("{credited} won credited in all"), found.to_string());
        client.broken(OWN, "credited otherwise", &[user], expected, found);
    }
}

/// The final answer to a request that nothing disturbs. `None` if there is none, which is reported.
pub async fn answered(
    client: &Client,
    person: &Person,
    request: &Request,
    accepts: bool,
) -> Option<Reply> {
    let began = client.now();
    let mut last;
    loop {
        client.invoked(
            &request.op,
            &format!("late {} {}", request.method, request.path),
        );
        match person.ask(request).await {
            Ok(reply) if Told::of(&reply, accepts).is_some() => {
                client.ok(&request.op, &reply.status.to_string());
                return Some(reply);
            }
            Ok(reply) => last = format!("{} {}", reply.status, reply.body),
            Err(reason) => last = reason.to_owned(),
        }
        client.unknown(&request.op, &last);
        if client.now().since(began) > ANSWERED_WITHIN {
            let expected = format!("a final answer within {ANSWERED_WITHIN:?}");
            client.broken(ANSWERED, "never told", &[&request.op], expected, last);
            return None;
        }
        client.node().sleep(AGAIN_AFTER).await;
    }
}
