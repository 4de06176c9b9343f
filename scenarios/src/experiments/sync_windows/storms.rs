//! The storms in which the windows are measured: each a function of its seed, and the same for all ways.

use squall::{
    fault::{Crash, Cut, LoseBurst},
    scenario::Scenario,
    seed::{Seed, Stream},
    site::Kind,
    storm::{Action, Fault, Plan, When},
};

use crate::scenarios::product_sync::ProductSync;

/// A kind of storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weather {
    Calm,
    Partition,
    CatalogCrashes,
    ChallengeCrashes,
    LostNotices,
    Random,
}

/// Outages of this many virtual milliseconds ...
const OUTAGE_MS: (u64, u64) = (10_000, 60_000);
/// ... begin within so many.
const BEGIN_MS: (u64, u64) = (5_000, 200_000);
const OUTAGES: u64 = 2;
/// Messages lost in a storm of lost notices, in each direction of each way that notices go.
const LOST: u64 = 4;

impl Weather {
    pub const ALL: [Weather; 6] = [
        Weather::Calm,
        Weather::Partition,
        Weather::CatalogCrashes,
        Weather::ChallengeCrashes,
        Weather::LostNotices,
        Weather::Random,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Weather::Calm => "calm",
            Weather::Partition => "partition",
            Weather::CatalogCrashes => "crash of catalog",
            Weather::ChallengeCrashes => "crash of challenge",
            Weather::LostNotices => "lost notices",
            Weather::Random => "random",
        }
    }

    /// The storm of a seed.
    pub fn plan(self, scenario: &ProductSync, seed: Seed) -> Plan {
        let mut rng = seed.stream("sync weather");
        match self {
            Weather::Calm => Plan::calm(),
            Weather::Partition => outages(&mut rng, |rng| {
                let for_ms = rng.between(OUTAGE_MS.0, OUTAGE_MS.1);
                ["catalog", "bus"]
                    .map(|to| {
                        Action::Cut(Cut {
                            from: "challenge".to_owned(),
                            to: to.to_owned(),
                            both: true,
                            for_ms,
                        })
                    })
                    .into()
            }),
            Weather::CatalogCrashes => outages(&mut rng, |rng| vec![crash("catalog", rng)]),
            Weather::ChallengeCrashes => outages(&mut rng, |rng| vec![crash("challenge", rng)]),
            Weather::LostNotices => lost(&mut rng),
            Weather::Random => scenario.profile().draw(seed),
        }
    }
}

fn crash(node: &str, rng: &mut Stream) -> Action {
    Action::Crash(Crash {
        node: node.to_owned(),
        down_ms: rng.between(OUTAGE_MS.0, OUTAGE_MS.1),
    })
}

fn outages(rng: &mut Stream, outage: impl Fn(&mut Stream) -> Vec<Action>) -> Plan {
    let mut faults = Vec::new();
    for _ in 0..OUTAGES {
        let when = When::AtMs(rng.between(BEGIN_MS.0, BEGIN_MS.1));
        faults.extend(
            outage(rng)
                .into_iter()
                .map(|action| Fault::new(when.clone(), action)),
        );
    }
    Plan::new(faults)
}

/// Messages vanish on every way that a notice can go.
fn lost(rng: &mut Stream) -> Plan {
    let mut faults = Vec::new();
    let ways = [
        ("catalog", "challenge"),
        ("catalog", "bus"),
        ("bus", "challenge"),
    ];
    for (node, to) in ways {
        for _ in 0..LOST {
            faults.push(Fault::new(
                When::nth(node, Kind::Send(to.into()), rng.between(2, 40)),
                LoseBurst {},
            ));
        }
    }
    Plan::new(faults)
}
