//! What clients were told of each operation: what was refused for good never happens, and a repeat under the same key
//! after the run has settled is answered soon and truthfully.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{Client, Sim, seed::Stream};
use squall_services::kit::{Code, Reply};

use crate::{
    lock,
    person::{Person, Request, unkeyed},
    reachability_goals,
};

/// What was refused for good never happens, then or later.
pub const FINAL: &str = "a refusal is final";
/// A repeat after the run has settled is answered truthfully.
pub const TRUE: &str = "a late repeat is told what is true";
/// A request in the calm is answered.
pub const ANSWERED: &str = "who asks in the calm is answered";

/// What users find of their own is what they were told and what they did.
const OWN: &str = "users find what they were told";

/// Who asks while nothing disturbs anybody: how long, how often, and what is broken if there is no answer.
#[derive(Clone, Copy, Debug)]
pub struct Calm {
    /// The invariant and its tag.
    pub broken: (&'static str, &'static str),
    /// Within this time there is a final answer.
    pub within: Duration,
    /// Between two tries.
    pub again_after: Duration,
    /// Whether 202 is one.
    pub accepts: bool,
}

impl Calm {
    /// An open breaker lets a trial call through after half a minute, and a saga may take as long.
    const fn patience(accepts: bool) -> Self {
        Calm {
            broken: (ANSWERED, "never told"),
            within: Duration::from_secs(60),
            again_after: Duration::from_secs(2),
            accepts,
        }
    }
}

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
    pub fn of(reply: &Reply, accepts: bool) -> Option<Self> {
        if reply.is_success() {
            let id = reply.body["id"]
                .as_str()
                .or(reply.body["order_id"].as_str())
                .unwrap_or_default();
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

/// What has become of a request, by the books: what lives of it, by id. `None` if they do not tell.
type Lives = Box<dyn Fn(&Request) -> Option<Vec<String>> + Send + Sync>;

/// The receipts of all clients.
pub struct Receipts {
    lives: Lives,
    accepts: bool,
    receipts: Mutex<BTreeMap<String, Receipt>>,
}

impl Receipts {
    /// Holds the system to its refusals at the latest `bound` after the storm. `lives` tells what a request has made
    /// that is there for good (orders that are not cancelled), where the books say so. `accepts` says that 202 is an answer.
    pub fn watch(
        sim: &Sim,
        bound: Duration,
        accepts: bool,
        lives: impl Fn(&Request) -> Option<Vec<String>> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let receipts = Arc::new(Receipts {
            lives: Box::new(lives),
            accepts,
            receipts: Mutex::default(),
        });
        let kept = receipts.clone();
        let checked = sim.goal(reachability_goals::REFUSED);
        sim.goal(reachability_goals::LATE_ANSWER);
        sim.finally(FINAL, bound, move |_, findings| {
            for (op, receipt) in lock(&kept.receipts).iter() {
                let Some(Told::Refused(code)) = &receipt.told else {
                    continue;
                };
                let Some(made) = (kept.lives)(&receipt.request) else {
                    continue;
                };
                checked.hit();
                if let Some(id) = made.first() {
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

    /// What these operations have credited, of which each would so much. `None` where somebody was never told how theirs
    /// ended.
    pub fn credited<'a>(&self, credits: impl Iterator<Item = (&'a str, u64)>) -> Option<u64> {
        let receipts = lock(&self.receipts);
        let asked = credits.filter_map(|(op, won)| Some((receipts.get(op)?.told.as_ref(), won)));
        let credited = asked.map(|(told, won)| match told? {
            Told::Done(_) => Some(won),
            Told::Refused(_) => Some(0),
        });
        credited.sum()
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
            client.reached(reachability_goals::LATE_ANSWER);
            reachability_goals::key_read(client, &reply);
            self.judge(client, &request, told, &reply);
        }
    }

    fn judge(&self, client: &Client, request: &Request, before: Option<Told>, reply: &Reply) {
        let op = request.op.as_str();
        let now = Told::of(reply, self.accepts).expect("it is final");
        let alive = (self.lives)(request).unwrap_or_default();
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
    answered_as(client, person, request, Calm::patience(accepts)).await
}

/// The same, of somebody who asks so.
pub async fn answered_as(
    client: &Client,
    person: &Person,
    request: &Request,
    calm: Calm,
) -> Option<Reply> {
    let began = client.now();
    let mut last;
    loop {
        client.invoked(
            &request.op,
            &format!("late {} {}", request.method, request.path),
        );
        match person.ask(request).await {
            Ok(reply) if Told::of(&reply, calm.accepts).is_some() => {
                client.ok(&request.op, &reply.status.to_string());
                return Some(reply);
            }
            Ok(reply) => last = format!("{} {}", reply.status, reply.body),
            Err(reason) => last = reason.to_owned(),
        }
        client.unknown(&request.op, &last);
        if client.now().since(began) > calm.within {
            let (invariant, tag) = calm.broken;
            let expected = format!("a final answer within {:?}", calm.within);
            client.broken(invariant, tag, &[&request.op], expected, last);
            return None;
        }
        client.node().sleep(calm.again_after).await;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering::Relaxed},
        },
        time::Duration,
    };

    use axum::{Json, Router, http::StatusCode, routing::post};
    use serde_json::{Value, json};
    use squall::{Sim, run::Verdict};
    use squall_services::kit::{self, Code, Problem, Reply};

    use super::{ANSWERED, FINAL, Receipts, Request, TRUE, Told};
    use crate::{
        little::{Little, broken},
        person::keyed,
        platform::{platform, read_store},
    };

    fn reply(status: u16, body: Value) -> Reply {
        Reply {
            status,
            body,
            next: None,
        }
    }

    fn refusal(code: Code) -> Reply {
        let problem = code.because("no");
        reply(
            code.status(),
            serde_json::to_value(problem).expect("it is JSON"),
        )
    }

    #[test]
    fn an_answer_is_final_if_it_tells_what_was_done_or_will_never_be() {
        let made = reply(201, json!({ "id": "ORD-1" }));
        assert_eq!(Told::of(&made, false), Some(Told::Done("ORD-1".to_owned())));
        let accepted = reply(202, json!({ "id": "ORD-1" }));
        assert_eq!(Told::of(&accepted, false), None);
        let told = Told::of(&accepted, true);
        assert_eq!(told, Some(Told::Done("ORD-1".to_owned())));
        let no = Told::of(&refusal(Code::OutOfStock), false);
        assert_eq!(no, Some(Told::Refused(Code::OutOfStock)));
        assert_eq!(Told::of(&refusal(Code::ServiceUnavailable), true), None);
    }

    /// What a shop says to a late repeat.
    #[derive(Clone, Copy)]
    enum Says {
        Made(&'static str),
        No(Code),
    }

    /// A shop that tells ann of `first` in the storm, or of nothing, and says `late` when all is settled. By the books,
    /// her order is there if `made`.
    fn told(first: Option<Reply>, late: Says, made: bool) -> Vec<(String, String)> {
        let world = Little(move |sim: &Sim| {
            sim.read_stores_with(read_store);
            sim.node("shop", move |node| async move {
                let answer = move || async move {
                    match late {
                        Says::Made(id) => {
                            Ok::<_, Problem>((StatusCode::CREATED, Json(json!({ "id": id }))))
                        }
                        Says::No(code) => Err(code.because("no")),
                    }
                };
                let routes = Router::new().route("/orders", post(answer));
                kit::http::serve(&platform(&node), routes).await?;
                Ok::<_, io::Error>(())
            });
            let happened = Arc::new(AtomicBool::new(made));
            let alive = move |_: &Request| match happened.load(Relaxed) {
                true => Some(vec!["ORD-1".to_owned()]),
                false => Some(Vec::new()),
            };
            let receipts = Receipts::watch(sim, Duration::from_secs(1), false, alive);
            let (asked, first) = (receipts.clone(), first.clone());
            sim.client("ann", |_| async move {
                let request = keyed("ann-1", "POST", "/orders", json!({}));
                asked.asked("shop", &request);
                if let Some(first) = first {
                    asked.told(&request, &first);
                }
            });
            sim.late_client("latecomer", |client| async move {
                receipts.repeat_all(&client).await;
            });
        });
        let outcome = world.run(&[]);
        let told = broken(&outcome).into_iter();
        let told: Vec<_> = told
            .map(|(i, tag)| (i.to_owned(), tag.to_owned()))
            .collect();
        assert_eq!(told.is_empty(), outcome.verdict == Verdict::Survived);
        told
    }

    fn only(invariant: &str, tag: &str) -> Vec<(String, String)> {
        vec![(invariant.to_owned(), tag.to_owned())]
    }

    fn made(id: &str) -> Option<Reply> {
        Some(reply(201, json!({ "id": id })))
    }

    #[test]
    fn who_asks_again_and_is_told_the_same_has_nothing_to_complain_of() {
        assert_eq!(told(made("ORD-1"), Says::Made("ORD-1"), true), []);
        assert_eq!(told(None, Says::Made("ORD-1"), true), []);
        assert_eq!(told(None, Says::No(Code::OutOfStock), false), []);
        let refused = Some(refusal(Code::OutOfStock));
        assert_eq!(told(refused, Says::No(Code::OutOfStock), false), []);
    }

    #[test]
    fn what_was_refused_for_good_must_not_be_there() {
        let refused = Some(refusal(Code::OutOfStock));
        let found = told(refused, Says::Made("ORD-1"), true);
        assert_eq!(found, only(FINAL, "happened all the same"));
    }

    #[test]
    fn a_late_repeat_is_told_of_what_was_done_and_of_nothing_else() {
        let found = told(made("ORD-1"), Says::Made("ORD-2"), true);
        assert_eq!(found, only(TRUE, "another effect"));
        let found = told(made("ORD-1"), Says::No(Code::OutOfStock), false);
        assert_eq!(found, only(TRUE, "refused"));
        let found = told(None, Says::No(Code::OutOfStock), true);
        assert!(
            found.contains(&only(TRUE, "refused what was done")[0]),
            "{found:?}"
        );
    }

    #[test]
    fn whoever_asks_in_the_calm_is_told_something_final_within_a_minute() {
        let found = told(None, Says::No(Code::ServiceUnavailable), false);
        assert_eq!(found, only(ANSWERED, "never told"));
    }
}
