//! Squall: seeded storms over a whole system of services inside one process.
//!
//! A run is a pure function: `(scenario, seed, plan) → (verdict, trace)`.

pub mod cli;
pub mod picture;
mod report;
pub mod testing;
pub mod trace;
mod triage;

pub use squall_core::{clock, event, host, seed, site, time};
use squall_core::{names, whole};
pub use squall_engine::{Builds, Client, Node, Sim, check, disk, net, run, scenario, storm};
pub use squall_explore::{bank, campaign, failure, fuzz, shrink, strategy as explore};
