//! The bug bank: which bugs of the services each scenario's shapes have, and which can be planted alone. A scenario lists
//! its bugs by [`planted_bugs`](crate::planted_bugs): that is the one line which adds one.

use squall::scenario::{self, Setup, Shape};
use squall_services::planted_bug::{Bug, Bugs};

/// The bugs of a shape with a bug planted into it. `documented` are those of the design as its authors wrote it down.
pub fn bugs(setup: &Setup, documented: &[Bug]) -> Bugs {
    let shape: &[Bug] = if setup.shape == "documented" {
        documented
    } else {
        &[]
    };
    let planted = Bug::ALL
        .iter()
        .filter(|bug| Some(bug.name()) == setup.plant.as_deref());
    shape.iter().chain(planted).copied().collect()
}

/// A bug that can be planted into a scenario alone.
#[derive(Clone, Copy, Debug)]
pub struct Planted {
    /// What is wrong.
    pub bug: Bug,
    /// Seeds whose storms found it when they were noted down: tried before the search from seed 0 begins. One that draws
    /// something else by now costs one storm.
    pub likely: &'static [u64],
    /// The invariants of which it breaks one.
    pub breaks: &'static [&'static str],
}

/// Lists the bugs of a scenario as its `BUGS`: `Bug at seed => "an invariant" | "another one";`, the seed being optional.
#[macro_export]
macro_rules! planted_bugs {
    ($(#[$doc:meta])* $($bug:ident $(at $seed:literal)? => $($breaks:literal)|+;)+) => {
        $(#[$doc])*
        #[doc = "What can be planted alone."]
        pub const BUGS: &[$crate::planted_bug::Planted] = &[$($crate::planted_bug::Planted {
            bug: ::squall_services::planted_bug::Bug::$bug,
            likely: &[$($seed)?],
            breaks: &[$($breaks),+],
        }),+];
    };
}

/// What a scenario says of itself: its name and what it is; and if it comes in two shapes, what is wrong with the
/// documented one. Its bugs are its module's `BUGS` then.
macro_rules! described {
    ($name:literal: $about:literal $(,)?) => {
        fn name(&self) -> &str {
            $name
        }

        fn about(&self) -> &str {
            $about
        }
    };
    ($name:literal: $about:literal, documented: $documented:literal,) => {
        $crate::planted_bug::described! { $name: $about }

        fn shapes(&self) -> Vec<::squall::scenario::Shape> {
            $crate::planted_bug::shapes($documented)
        }

        fn bugs(&self) -> Vec<::squall::scenario::Bug> {
            $crate::planted_bug::listed(BUGS)
        }
    };
}

pub(crate) use described;

/// The bugs as `list` and `--plant` know them.
pub fn listed(bugs: &[Planted]) -> Vec<scenario::Bug> {
    let listed = |planted: &Planted| scenario::Bug {
        name: planted.bug.name(),
        about: planted.bug.about(),
    };
    bugs.iter().map(listed).collect()
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
