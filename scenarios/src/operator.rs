//! Whoever looks after the services when the storm is over: redrives the outboxes' dead letters, replays events.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use squall::{Client, seed::Stream};
use squall_services::kit::{Context, Peer, Reply};

use crate::{customer::browser, platform::platform};

/// How often the operator looks.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Tends these services for ever. What is refused again is given so many `chances`: a breaker that is open still, or a
/// neighbour that is not back, is no reason to give an event up.
pub async fn tend(client: &Client, services: &[&'static str], chances: u32) {
    tend_every(client, services, chances, (LOOK_EVERY, usize::MAX)).await;
}

/// Looks made in a shift of the storm: then whoever tends the services when it is over is enough.
pub const ROUNDS: usize = 12;

/// The same, looking so often and so many times.
pub async fn tend_every(
    client: &Client,
    services: &[&'static str],
    chances: u32,
    (every, rounds): (Duration, usize),
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
