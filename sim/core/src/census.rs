//! A census of sites: every one that a run meets, and which of them are the same but for whose they are.
//!
//! Two sites are *alike* when the same thing happens at the same place in the same step, and the same things happened
//! just before on the same behalf, only for another client, order or connection. Where the same was answered in the end
//! too, a fault at one of them tells what a fault at the other would. What others did meanwhile is not compared: what
//! matters of it (a lock that is held, a refusal) shows in what is answered and logged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    event::{Row, message::Message},
    seed,
    site::{Kind, Met, SAYS, Site},
    time::VirtualTime,
};

/// How many preceding events tell a site from others. Periodic work is alike however long it has gone on.
const PAST: usize = 12;

/// What a burst or a commit is about, as far as the census compares it.
#[derive(Clone, Copy, Debug)]
pub enum About<'a> {
    /// The bytes of a burst.
    Burst(&'a [u8]),
    /// The rows that a commit changes.
    Rows(&'a [Row]),
    /// Nothing that could be compared.
    Nothing,
}

/// Records sites as they are met.
#[derive(Debug, Default)]
pub struct Census {
    clients: BTreeSet<String>,
    pasts: BTreeMap<String, Past>,
    met: Vec<Met>,
}

/// What happened on one behalf.
#[derive(Debug, Default)]
struct Past {
    /// The last things, the latest last.
    things: VecDeque<u64>,
    /// Writes and syncs since: a commit is a thing, its blocks are counted.
    blocks: u64,
}

impl Census {
    /// A census in a world of these clients, who are all alike.
    pub fn new(clients: impl IntoIterator<Item = String>) -> Self {
        Census {
            clients: clients.into_iter().collect(),
            ..Census::default()
        }
    }

    /// A site is met.
    pub fn meets(&mut self, site: Site, at: VirtualTime, about: About<'_>) {
        let (behalf, step) = behalf_and_step(&site);
        let thing = seed::hash(self.thing(&site, step, about).as_bytes());
        let past = self.pasts.entry(behalf.clone()).or_default();
        let disk = matches!(site.kind, Kind::Write | Kind::Sync);
        // Those between the same two things are alike: nobody outside can tell the instants apart.
        let clock = site.kind == Kind::Clock;
        let words = past.things.iter().chain([&past.blocks, &thing]);
        let alike = words.fold(0, |hash, word| seed::mix(hash ^ word));
        if disk {
            past.blocks += 1;
        } else if !clock {
            past.blocks = 0;
            past.things.push_back(thing);
            if past.things.len() > PAST {
                past.things.pop_front();
            }
        }
        self.met.push(Met {
            site,
            at,
            behalf,
            asks: match about {
                About::Burst(bytes) => {
                    Message::parse(bytes).map(|message| matches!(message, Message::Request { .. }))
                }
                _ => None,
            },
            thing,
            alike,
            ends: 0,
        });
    }

    /// All sites that were met, in order, with their classes.
    pub fn into_met(mut self) -> Vec<Met> {
        let answers = self.met.iter().filter(|met| met.asks == Some(false));
        let last: BTreeMap<String, u64> = answers
            .map(|answer| (answer.behalf.clone(), answer.thing))
            .collect();
        for met in &mut self.met {
            met.ends = last.get(&met.behalf).copied().unwrap_or_default();
        }
        self.met
    }

    /// What happens at a site, in words that don't say to whom.
    fn thing(&self, site: &Site, step: &str, about: About<'_>) -> String {
        let role = |node: &str| match self.clients.contains(node) {
            true => "a client".to_owned(),
            false => node.to_owned(),
        };
        let kind = match &site.kind {
            Kind::Send(peer) => format!("sends to {}", role(peer)),
            other => format!("{other:?}"),
        };
        format!("{} {kind} [{step}] {}", role(&site.node), self.gist(about))
    }

    fn gist(&self, about: About<'_>) -> String {
        match about {
            About::Nothing => String::new(),
            About::Rows(rows) => {
                let tables: BTreeSet<&str> = rows.iter().map(|row| &*row.table).collect();
                tables.into_iter().collect::<Vec<_>>().join(",")
            }
            About::Burst(bytes) => match Message::parse(bytes) {
                None => String::new(),
                Some(Message::Request { method, target, .. }) => {
                    format!("{method} {}", self.route(&target))
                }
                Some(answer) => answer.to_string(),
            },
        }
    }

    /// A path without its query and without the names of clients and numbered things.
    fn route(&self, target: &str) -> String {
        let path = target.split('?').next().unwrap_or(target);
        let segment = |segment| {
            let numbered = |word: &str| word.contains(|c: char| c.is_ascii_digit());
            match self.clients.contains(segment) || numbered(segment) {
                true => "*",
                false => segment,
            }
        };
        path.split('/').map(segment).collect::<Vec<_>>().join("/")
    }
}

/// On whose behalf a label speaks, and of what: `ann-1/reserve` of `ann-1` and of `reserve`, `ann-1-cancel` of
/// `ann-1-cancel` and of `cancel`. Where a label names no operation, the node acts on its own behalf, or on that of a
/// connection: `c12`.
fn behalf_and_step(site: &Site) -> (String, &str) {
    let label = &*site.label;
    if label.starts_with(SAYS) {
        return (format!("{} {label}", site.node), label);
    }
    let (operation, step) = label.split_once('/').unwrap_or((label, ""));
    let number = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    if let Some(ordinal) = operation.split('-').find(|word| number(word)) {
        let after = ordinal.as_ptr() as usize - operation.as_ptr() as usize + ordinal.len();
        let what = match step {
            "" => &operation[after..],
            step => step,
        };
        return (operation.to_owned(), what);
    }
    let step = match label.strip_prefix('c') {
        Some(ordinal) if number(ordinal) => "a connection",
        _ => label,
    };
    (format!("{} {label}", site.node), step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(node: &str, kind: Kind, label: &str) -> Site {
        Site::new(node, kind, label, 1)
    }

    fn event(name: &str) -> Kind {
        Kind::Event(name.into())
    }

    fn census(sites: &[Site]) -> Vec<Met> {
        let mut census = Census::new(["ann", "ben"].map(str::to_owned));
        for site in sites {
            census.meets(site.clone(), VirtualTime::ZERO, About::Nothing);
        }
        census.into_met()
    }

    #[test]
    fn a_label_tells_on_whose_behalf_and_what() {
        for (label, behalf, step) in [
            ("ann-1/reserve", "ann-1", "reserve"),
            ("ann-1", "ann-1", ""),
            ("ann-12-cancel", "ann-12-cancel", "-cancel"),
            ("c12", "order c12", "a connection"),
            ("sweep", "order sweep", "sweep"),
            ("", "order ", ""),
        ] {
            let of_order = site("order", Kind::Commit, label);
            let (whose, what) = behalf_and_step(&of_order);
            assert_eq!((&*whose, what), (behalf, step), "{label}");
        }
    }

    #[test]
    fn the_same_step_for_another_client_is_alike_however_they_interleave() {
        let met = census(&[
            site("ann", Kind::Send("order".into()), "ann-1"),
            site("ben", Kind::Send("order".into()), "ben-1"),
            site("order", event("step done"), "ben-1/reserve"),
            site("order", event("step done"), "ann-1/reserve"),
        ]);
        assert_eq!(met[0].alike, met[1].alike);
        assert_eq!(met[2].alike, met[3].alike);
        assert_ne!(met[0].alike, met[2].alike);
    }

    #[test]
    fn node_kind_step_and_what_went_before_tell_sites_apart() {
        let base = [
            site("order", event("step done"), "ann-1/reserve"),
            site("order", Kind::Commit, "ann-1"),
        ];
        let others = [
            [base[0].clone(), site("stock", Kind::Commit, "ann-1")],
            [base[0].clone(), site("order", Kind::Sync, "ann-1")],
            [base[0].clone(), site("order", Kind::Commit, "ann-1/pay")],
            [
                site("order", event("step failed"), "ann-1/reserve"),
                base[1].clone(),
            ],
        ];
        let last = census(&base)[1].alike;
        for other in others {
            assert_ne!(census(&other)[1].alike, last, "{other:?}");
        }
    }

    #[test]
    fn blocks_of_one_commit_are_told_apart_and_those_of_the_next_are_alike() {
        let write = || site("order", Kind::Write, "ann-1");
        let commit = || site("order", Kind::Commit, "ann-1");
        let once = [write(), write(), commit()];
        let often: Vec<Site> = (0..20).flat_map(|_| once.clone()).collect();
        let met = census(&often);
        assert_ne!(met[0].alike, met[1].alike);
        let n = met.len();
        assert_eq!(met[n - 3].alike, met[n - 6].alike);
        assert_ne!(met[n - 3].alike, met[0].alike, "there was nothing before");
    }

    #[test]
    fn what_is_answered_in_the_end_tells_classes_apart() {
        let mut census = Census::default();
        for (who, answer) in [("ann-1", "201 Created"), ("ben-1", "402 Payment Required")] {
            let ask = site("order", Kind::Send("stock".into()), who);
            census.meets(ask, VirtualTime::ZERO, About::Nothing);
            let bytes = format!("HTTP/1.1 {answer}\r\n\r\n");
            let told = site("order", Kind::Send("app".into()), who);
            census.meets(told, VirtualTime::ZERO, About::Burst(bytes.as_bytes()));
        }
        let met = census.into_met();
        assert_eq!(met[0].alike, met[2].alike);
        assert_ne!(met[0].class(), met[2].class());
        assert_eq!(met[0].ends, met[1].ends);
    }

    #[test]
    fn a_refusal_is_not_like_a_consent() {
        let answers = |bytes: &[u8]| {
            let mut census = Census::default();
            let answer = site("pg", Kind::Send("payment".into()), "ann-1/pay");
            census.meets(answer, VirtualTime::ZERO, About::Burst(bytes));
            census.into_met()[0].alike
        };
        let yes = answers(b"HTTP/1.1 201 Created\r\nx: 1\r\n\r\n{}");
        assert_eq!(yes, answers(b"HTTP/1.1 201 Created\r\nx: 2\r\n\r\n[]"));
        assert_ne!(yes, answers(b"HTTP/1.1 402 Payment Required\r\n\r\n{}"));
    }

    #[test]
    fn a_route_names_nobody() {
        let census = Census::new(["ann".to_owned()]);
        let route = census.route("/orders/ORD-1A/of/ann?page=2");
        assert_eq!(route, "/orders/*/of/*");
    }
}
