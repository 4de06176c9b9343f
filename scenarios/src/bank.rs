//! The bug bank: which gaps of the services each scenario's shapes have, and which can be planted alone.

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

/// These gaps, as bugs for `list` and `--plant`.
pub fn bugs(gaps: &[Gap]) -> Vec<Bug> {
    gaps.iter()
        .map(|gap| Bug {
            name: gap.name(),
            about: gap.about(),
        })
        .collect()
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
