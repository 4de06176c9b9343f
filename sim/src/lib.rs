//! Squall: seeded storms over a whole system of services inside one process.
//!
//! A run is a pure function: `(scenario, seed, plan) → (verdict, trace)`.
//!
//! This is the crate to depend on. It is built on lower crates, and re-exports what users need of them.
//! `ARCHITECTURE.md` describes the crates, and [`guide`] how to use them.

pub mod cli;
#[cfg(not(programs))]
mod elsewhere;
pub mod guide;
mod storms;
pub mod testing;
mod triage;

pub use storms::{Storms, storms};

#[doc(inline)]
pub use kernel::{Process, Processes, in_child, unmodified};
#[doc(inline)]
pub use squall_engine::isolation::Isolation;
#[doc(inline)]
pub use squall_engine::{Builds, Client, Node, Sim};

#[cfg(programs)]
pub use squall_servers::{Fsync, Postgres, Redis, Servers};

#[cfg(not(programs))]
use elsewhere as kernel;
#[cfg(programs)]
use squall_kernel as kernel;

/// Benchmark of planted bugs: how soon each strategy finds them.
pub mod bug_bench {
    #[doc(inline)]
    pub use squall_explore::bug_bench::{
        Figure, Found, MEASURED_VERSION, Measured, Power, Small, Task, measure, summarise,
    };
}

/// Campaigns: many runs of one scenario, folded into one result.
pub mod campaign {
    #[doc(inline)]
    pub use squall_core::{
        names::Unknown,
        seed::{Seeds, SeedsError},
    };
    #[doc(inline)]
    pub use squall_explore::campaign::{
        Campaign, Coverage, Failure, FaultCount, Mismatch, Progress, Tally, Totals, Unheard,
        Verdicts, available_jobs,
    };
}

/// What most tests name.
pub mod prelude {
    #[cfg(programs)]
    #[doc(inline)]
    pub use crate::Servers;
    #[doc(inline)]
    pub use crate::{Client, Node, Processes, Sim, seed::Seed, storm::Plan, storms, unmodified};
}

/// Invariants, goals and violations.
pub mod check {
    #[doc(inline)]
    pub use squall_engine::check::{
        Class, Commit, Findings, Goal, Truth, Violation, history, session,
    };
}

/// A node's wall clock.
pub mod clock {
    #[doc(inline)]
    pub use squall_core::clock::WallClock;
}

/// The simulated disk.
pub mod disk {
    #[doc(inline)]
    pub use squall_engine::disk::{
        BLOCK, Disk, DiskCounters, FILE_LEN_MAX, File, Files, ForkedFile, Snapshot, Unpacked,
    };
}

/// Strategies: which storm is tried next.
pub mod explore {
    #[doc(inline)]
    pub use squall_explore::strategy::{
        Explorer, Guided, Pct, Random, Strategy, Swarm, Sweep, Trial, corpus, sweep,
    };
}

/// Failure files.
pub mod failure {
    #[doc(inline)]
    pub use squall_explore::failure::{Build, FAILURE_VERSION, FailureFile, FileError, Recorded};
}

/// The kinds of fault.
pub mod fault {
    pub use squall_core::fault::*;
}

/// The interface between the simulated network and disks and the world that runs them.
pub mod host {
    #[doc(inline)]
    pub use squall_core::host::{BurstFault, Host, NodeIx, Reached, Verdict};
}

/// Runs that are kept apart from this process.
pub mod isolation {
    #[doc(inline)]
    pub use squall_engine::isolation::{Child, End, Isolation, Turn};
}

/// The simulated network.
pub mod net {
    #[doc(inline)]
    pub use squall_engine::net::{Effect, Latency, LatencyChange, Listener, Net, Stream};
}

/// Pages and trace files that show a run or a campaign.
pub mod render {
    #[doc(inline)]
    pub use squall_report::render::{Subject, campaign, page, perfetto};
}

/// One run.
pub mod run {
    #[doc(inline)]
    pub use squall_engine::{
        run::{Options, Outcome, Signature, Spec, Verdict, run, run_with, take_cpu_time},
        sim::{Builds, Client, Sim, Weather},
        world::Operation,
    };
}

/// Scenarios: what you write to run your own services in storms.
pub mod scenario {
    #[doc(inline)]
    pub use squall_engine::scenario::{Bug, Catalogue, Scenario, Setup, Shape};
}

/// Seeds, and the independent random streams that follow from one.
pub mod seed {
    #[doc(inline)]
    pub use squall_core::seed::{Rng, Seed, Stream, hash, mix, unit};
}

/// Shrinking: making a failing run smaller.
pub mod shrink {
    #[doc(inline)]
    pub use squall_explore::shrink::{Budget, Effort, NotReproduced, Shrunk, Sizes, shrink};
    #[doc(inline)]
    pub use squall_report::sentence::sentence;
}

/// Sites: the places where a fault can be aimed.
pub mod site {
    #[doc(inline)]
    pub use squall_core::site::{Class, Kind, Met, Site};
}

/// Storms: their plans, and the profiles from which they are drawn.
pub mod storm {
    #[doc(inline)]
    pub use squall_engine::storm::{
        Action, CustomFault, Fault, FaultKind, FaultReport, PCT_MAX, PLAN_VERSION, Plan, PlanError,
        Profile, STORM_MS_MAX, When,
    };
}

/// Virtual time.
pub mod time {
    #[doc(inline)]
    pub use squall_core::time::VirtualTime;
}

/// Traces: the events of a run.
pub mod trace {
    #[doc(inline)]
    pub use squall_core::event::{
        ConnectionEvent, DiskEvent, Event, FOUND_AFTER_OUTAGE, Fate, FaultEvent, Kind, Level, Life,
        Phase, Row, Scope, What,
    };
    #[doc(inline)]
    pub use squall_engine::trace::{Feature, Mode, Recorder, Trace};
    #[doc(inline)]
    pub use squall_report::trace::{story, text};
}
