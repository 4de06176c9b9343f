//! Squall: seeded storms over a whole system of services inside one process.
//!
//! A run is a pure function: `(scenario, seed, plan) → (verdict, trace)`.

pub mod bank;
pub mod campaign;
pub mod cli;
pub mod explore;
pub mod failure;
pub mod fuzz;
pub mod picture;
mod report;
pub mod shrink;
pub mod testing;
pub mod trace;

pub use squall_core::{clock, event, host, seed, site, time};
use squall_core::{names, whole};
use squall_engine::world;
pub use squall_engine::{Builds, Client, Node, Sim, check, disk, net, run, scenario, storm};
