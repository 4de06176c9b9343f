//! Rolling upgrades: some storms restart nodes as their other build, one of them, one after another, or all at once.

use squall_core::{
    seed::{Seed, Stream},
    site::Kind,
};

use super::{Action, Fault, FaultKind, Plan, Profile, When, profile::duration};

/// So many storms in a hundred have upgrades.
const UPGRADES_PERCENT: u64 = 15;
/// An upgrade that is aimed at an event of its node happens within so many of them.
const NTH_MAX: u64 = 8;
/// One node follows another after at least this long.
const APART_MS: u64 = 10;

/// How an upgrade goes about.
enum Course {
    /// One node, in the midst of its work.
    One,
    /// One node, and back.
    Back,
    /// One node after another.
    Rolling,
    /// All at once.
    Together,
}

impl Profile {
    /// Some storms have upgrades, in place of their last faults where they are full.
    pub(super) fn maybe_upgrades(&self, plan: &mut Plan, seed: Seed) {
        let mut rng = seed.stream("upgrades");
        if !self.can(FaultKind::Upgrade) {
            return;
        }
        // A storm that can have nothing else has this.
        if rng.below(100) >= UPGRADES_PERCENT && !plan.faults.is_empty() {
            return;
        }
        let course = match rng.below(10) {
            0..4 => Course::One,
            4..6 => Course::Back,
            6..9 => Course::Rolling,
            _ => Course::Together,
        };
        let most = self.max_faults as usize;
        let mut upgrades = self.upgrading(course, &mut rng);
        upgrades.truncate(most);
        plan.faults.truncate(most - upgrades.len());
        plan.faults.extend(upgrades);
    }

    fn upgrading(&self, course: Course, rng: &mut Stream) -> Vec<Fault> {
        let one = *rng.pick(&self.upgrades);
        let began = rng.below(self.horizon_ms + 1);
        match course {
            Course::One => vec![self.midst(one, rng)],
            Course::Back => vec![self.midst(one, rng), self.midst(one, rng)],
            Course::Rolling => {
                let mut at_ms = began;
                let order = self.upgrades.iter().cycle();
                let first = rng.below(self.upgrades.len() as u64) as usize;
                let order = order.skip(first).take(self.upgrades.len());
                order
                    .map(|node| {
                        let when = When::AtMs(at_ms);
                        at_ms += duration(rng, APART_MS, self.horizon_ms);
                        at_ms = at_ms.min(self.horizon_ms);
                        upgrade(node, when)
                    })
                    .collect()
            }
            Course::Together => {
                let all = self.upgrades.iter();
                all.map(|node| upgrade(node, When::AtMs(began))).collect()
            }
        }
    }

    /// An upgrade of a node that has something in hand: at an event of its, or else at another site.
    fn midst(&self, node: &'static str, rng: &mut Stream) -> Fault {
        let events = self.events_of(node);
        let at_event = rng.chance(0.6) && !events.is_empty();
        let when = match at_event {
            true => When::Nth {
                node: node.to_owned(),
                kind: Kind::Event((*rng.pick(&events)).to_owned()),
                nth: 1 + rng.below(NTH_MAX) as u32,
            },
            false => {
                let action = Action::Upgrade {
                    node: node.to_owned(),
                };
                self.site_of(node, &action, rng)
            }
        };
        upgrade(node, when)
    }
}

fn upgrade(node: &str, when: When) -> Fault {
    let action = Action::Upgrade {
        node: node.to_owned(),
    };
    Fault { when, action }
}
