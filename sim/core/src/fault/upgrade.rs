//! Rolling upgrades: some storms restart nodes as their other build, one of them, one after another, or all at once.

use super::*;

/// The share of storms with upgrades, in percent.
const STORMS_PERCENT: u64 = 15;
/// An upgrade that is aimed at an event of its node happens within this many of them.
const NTH_MAX: u64 = 8;
/// One node follows another after at least this many virtual milliseconds.
const APART_MS: u64 = 10;

const UPGRADE: Heading = Heading::at("upgrade", 21, 9);

fault! {
    /// The process is told to stop and is started again as the next build; one that runs it already, as the one before.
    pub struct Upgrade = "upgrade" on Process(node) {}
    told "{node} is restarted as its other build";
    effective once "the process has booted as what it was not";
    drawn |from| Upgrade::new(*from.rng.pick(&from.profile.upgrades));
}

impl Injectable for Upgrade {
    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.upgrades.is_empty())
    }

    fn drawing() -> Drawing {
        Drawing {
            joins: Some(Turn::AfterAiming),
            ..Drawing::default()
        }
    }

    /// Some storms have upgrades, in place of their last faults where they are full.
    fn join(profile: &Profile, faults: &mut Vec<Fault>, seed: Seed) {
        if !profile.can(FaultKind::Upgrade) {
            return;
        }
        let mut rng = seed.stream("upgrades");
        // A storm that can have nothing else has this.
        if rng.below(100) >= STORMS_PERCENT && !faults.is_empty() {
            return;
        }
        let most = profile.max_faults as usize;
        let mut upgrades = upgrades(&mut Draw::new(profile, &mut rng));
        upgrades.truncate(most);
        faults.truncate(most - upgrades.len());
        faults.extend(upgrades);
    }

    fn candidates(at: &mut Candidates<'_>) {
        let can = |node: &&str| at.profile.upgrades.contains(node);
        if let Some(node) = at.idle_process().filter(can) {
            at.once(&UPGRADE, Upgrade::new(node));
        }
    }

    fn check_in(&self, profile: &Profile) -> Result<(), String> {
        match &profile.upgrades[..] {
            two if two.contains(&&*self.node) => Ok(()),
            [] => Err("the scenario has no node of two builds".to_owned()),
            two => Err(format!("of two builds there are {}", two.join(", "))),
        }
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        vec![Restart::new(&self.node).into()]
    }

    fn strike(&self, target: &dyn Target) {
        target.upgrade(&self.node, restart::RESTART_MS);
    }
}

/// One node in the midst of its work, one node and back, one node after another, or all at once.
fn upgrades(from: &mut Draw<'_>) -> Vec<Fault> {
    let (all, horizon_ms) = (&from.profile.upgrades, from.profile.horizon_ms);
    let course = from.below(10);
    let one = *from.rng.pick(all);
    let mut at_ms = from.below(horizon_ms + 1);
    match course {
        0..4 => vec![midst(one, from)],
        4..6 => vec![midst(one, from), midst(one, from)],
        6..9 => {
            let first = from.below(all.len() as u64) as usize;
            let order = all.iter().cycle().skip(first).take(all.len());
            let next = |node: &&'static str| {
                let fault = upgrade(node, When::AtMs(at_ms));
                at_ms = horizon_ms.min(at_ms + from.ms(APART_MS, horizon_ms));
                fault
            };
            order.map(next).collect()
        }
        _ => {
            let at = |node: &&str| upgrade(node, When::AtMs(at_ms));
            all.iter().map(at).collect()
        }
    }
}

/// An upgrade of a node that has something in hand: at an event of its, or else at another site.
fn midst(node: &'static str, from: &mut Draw<'_>) -> Fault {
    let events = from.profile.events_of(node);
    let at_event = from.rng.chance(0.6) && !events.is_empty();
    let when = match at_event {
        true => {
            let event = *from.rng.pick(&events);
            let nth = 1 + from.rng.below(NTH_MAX);
            When::nth(node, Kind::Event(event.to_owned()), nth)
        }
        false => from.site_of(node, false),
    };
    upgrade(node, when)
}

fn upgrade(node: &str, when: When) -> Fault {
    let action = Upgrade::new(node).into();
    Fault { when, action }
}
