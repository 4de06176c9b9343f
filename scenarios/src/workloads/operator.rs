//! Operators, who act when the storm is over, and in some worlds while it lasts: they redrive dead letters, replay
//! events, restart sagas and rebuild the read side.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use squall::{Client, Sim, seed::Stream};
use squall_services::kit::{CallError, Context, Peer, Reply};

use crate::{lock, person::browser, platform::platform, reachability_goals};

/// How often the operator looks.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Tends these services until the run ends. What is refused again gets `chances` more tries: a breaker that is still
/// open, or a peer that is not back yet, is no reason to give an event up.
pub async fn tend(client: &Client, services: &[&'static str], chances: u32) {
    tend_every(client, services, chances, (LOOK_EVERY, u64::MAX)).await;
}

/// Rounds of an operator during the storm; after it, the operators of the calm are enough.
pub const ROUNDS: u64 = 12;

/// The same, at this interval and for this many rounds.
pub async fn tend_every(
    client: &Client,
    services: &[&'static str],
    chances: u32,
    (every, rounds): (Duration, u64),
) {
    let platform = platform(client.node());
    let context = Context::fresh(&platform, client.name());
    let peers: Vec<Peer> = services
        .iter()
        .map(|service| Peer::new(&platform, service, browser()))
        .collect();
    let mut tended: BTreeMap<(&str, String), u32> = BTreeMap::new();
    for _ in 0..rounds {
        for (service, peer) in services.iter().zip(&peers) {
            for path in listed(&context, peer).await {
                let times = tended.entry((*service, path.clone())).or_default();
                if *times < chances {
                    *times += 1;
                    let _ = peer.call(&context, "POST", &path, None, &json!({})).await;
                }
            }
        }
        client.node().sleep(every).await;
    }
}

/// Who is on duty while the storm lasts: nobody in most worlds, two at once in some.
pub fn on_duty(rng: &mut Stream) -> &'static [&'static str] {
    match rng.below(10) {
        0 => &["first-shift", "second-shift"],
        1 | 2 => &["first-shift"],
        _ => &[],
    }
}

/// Where what needs a person is given another chance.
async fn listed(context: &Context, peer: &Peer) -> Vec<String> {
    let letters = rows(context, peer, "/outbox/dead-letters").await;
    let outbox = letters.iter().filter_map(|letter| {
        let key = letter["key"].as_str()?;
        Some(format!("/outbox/dead-letters/{key}/redrive"))
    });
    let events = rows(context, peer, "/dead-events").await;
    let events = events.iter().filter_map(|letter| {
        let (group, id) = (letter["group"].as_str()?, letter["event"]["id"].as_str()?);
        Some(format!("/dead-events/{group}:{id}/replay"))
    });
    outbox.chain(events).collect()
}

/// The rows of a listing, of all its pages. It ends before the first page that has no answer: whoever tends looks again.
pub async fn rows(context: &Context, peer: &Peer, path: &str) -> Vec<Value> {
    let (mut rows, mut page) = (Vec::new(), Some(path.to_owned()));
    while let Some(place) = page {
        let answer = peer.call(context, "GET", &place, None, &()).await;
        let Some(mut reply) = answer.ok().filter(Reply::is_success) else {
            break;
        };
        if let Some(found) = reply.body.as_array_mut() {
            rows.append(found);
        }
        page = reply.next.map(|next| format!("{path}{next}"));
    }
    rows
}

/// In how many of these rounds the read side is made anew.
const REBUILDS: u64 = 5;

/// The invariant of dead letters.
const ONCE: &str = "a dead letter is sent on its way once";

/// The dead letters of sagas that an operator was told to have sent on their way. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Letters(Arc<Mutex<BTreeSet<String>>>);

impl Letters {
    /// Nothing was redriven yet.
    pub fn watch(sim: &Sim) -> Self {
        sim.goal(reachability_goals::REDRIVEN);
        sim.goal(reachability_goals::REDRIVEN_BEFORE);
        Letters::default()
    }

    /// Takes the answer to a redrive over: a letter is sent on its way once, whoever asks.
    fn answered(&self, client: &Client, letter: &str, answer: Result<Reply, CallError>) {
        let Ok(reply) = answer else { return };
        if !reply.is_success() {
            if lock(&self.0).contains(letter) {
                client.reached(reachability_goals::REDRIVEN_BEFORE);
            }
            return;
        }
        client.reached(reachability_goals::REDRIVEN);
        if !lock(&self.0).insert(letter.to_owned()) {
            client.broken(
                ONCE,
                "redriven twice",
                &[letter],
                "a refusal: it was redriven before",
                reply.status.to_string(),
            );
        }
    }
}

/// Looks after the sagas of the service at `entry` while the storm lasts, in haste: each dead letter is redriven twice at
/// once. Where sagas are `workflows`, restarts what is under way and has the read side made anew.
pub async fn under_fire(client: &Client, entry: &str, workflows: bool, letters: &Letters) {
    let platform = platform(client.node());
    let context = Context::fresh(&platform, client.name());
    let peer = Peer::new(&platform, entry, browser());
    let nothing = json!({});
    for round in 1..=ROUNDS {
        let wait = client.draw(|rng| rng.between(20, if round <= REBUILDS { 900 } else { 6_000 }));
        client.node().sleep(Duration::from_millis(wait)).await;
        if !client.does(&format!("{}-{round}", client.name())) {
            continue;
        }
        for letter in rows(&context, &peer, "/dead-letters").await {
            let id = letter["id"].as_str().unwrap_or_default();
            let path = format!("/dead-letters/{id}/redrive");
            let redrive = || peer.call(&context, "POST", &path, None, &nothing);
            let (one, two) = match letter["redriven_ms"].is_null() {
                true => {
                    let (one, two) = tokio::join!(redrive(), redrive());
                    (one, Some(two))
                }
                false => (redrive().await, None),
            };
            for answer in [Some(one), two].into_iter().flatten() {
                letters.answered(client, id, answer);
            }
        }
        if workflows && round <= REBUILDS {
            restart_all(&context, &peer).await;
            let rebuilt = peer.call(&context, "POST", "/sagas/rebuild", None, &nothing);
            if rebuilt.await.is_ok_and(|reply| reply.is_success()) {
                client.reached(reachability_goals::REBUILT);
            }
        }
    }
}

/// Restarts every workflow that is not at its end.
async fn restart_all(context: &Context, peer: &Peer) {
    for status in ["Running", "Compensating"] {
        for saga in rows(context, peer, &format!("/workflows?status={status}")).await {
            let id = saga["id"].as_str().unwrap_or_default();
            let path = format!("/workflows/{id}/restart");
            let _ = peer.call(context, "POST", &path, None, &json!({})).await;
        }
    }
}

/// Those on duty look after the `members` now and then, each at their own pace.
pub fn shifts(sim: &Sim, members: &'static [&str]) {
    let mut shifts = sim.seed().stream("shifts");
    for name in on_duty(&mut shifts) {
        let every = Duration::from_millis(shifts.between(300, 3_000));
        sim.operator(name, move |client| async move {
            tend_every(&client, members, 1, (every, ROUNDS)).await;
        });
    }
}
