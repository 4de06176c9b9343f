//! The bug bank: which gaps of the services each scenario's shapes have, and which can be planted alone. A scenario lists
//! its bugs by [`planted_bugs`](crate::planted_bugs): that is the one line which adds one.

use squall::scenario::{Bug, Setup, Shape};
use squall_services::gap::{Gap, Gaps};

/// The gaps of a shape with a bug planted into it. `documented` are those of the design as its authors wrote it down.
pub fn gaps(setup: &Setup, documented: &[Gap]) -> Gaps {
    let shape: &[Gap] = if setup.shape == "documented" {
        documented
    } else {
        &[]
    };
    let planted = Gap::ALL
        .iter()
        .filter(|gap| Some(gap.name()) == setup.plant.as_deref());
    shape.iter().chain(planted).copied().collect()
}

/// A bug that can be planted into a scenario alone.
#[derive(Clone, Copy, Debug)]
pub struct Planted {
    /// What is wrong.
    pub gap: Gap,
    /// Seeds whose storms found it when they were noted down: tried before the search from seed 0 begins. One that draws
    /// something else by now costs one storm.
    pub likely: &'static [u64],
    /// The invariants of which it breaks one.
    pub breaks: &'static [&'static str],
}

/// Lists the bugs of a scenario as its `BUGS`: `Gap at seed => "an invariant" | "another one";`, the seed being optional.
#[macro_export]
macro_rules! planted_bugs {
    ($(#[$doc:meta])* $($gap:ident $(at $seed:literal)? => $($breaks:literal)|+;)+) => {
        $(#[$doc])*
        #[doc = "What can be planted alone."]
        pub const BUGS: &[$crate::planted_bug::Planted] = &[$($crate::planted_bug::Planted {
            gap: ::squall_services::gap::Gap::$gap,
            likely: &[$($seed)?],
            breaks: &[$($breaks),+],
        }),+];
    };
}

/// The bugs as `list` and `--plant` know them.
pub fn bugs(bugs: &[Planted]) -> Vec<Bug> {
    let bug = |planted: &Planted| Bug {
        name: planted.gap.name(),
        about: planted.gap.about(),
    };
    bugs.iter().map(bug).collect()
}

/// The two shapes that every reference system comes in.
pub fn shapes(documented: &'static str) -> Vec<Shape> {
    vec![
        Shape {
            name: "hardened",
            about: "the same flow made right: must survive every storm",
            must_survive: true,
        },
        Shape {
            name: "documented",
            about: documented,
            must_survive: false,
        },
    ]
}
