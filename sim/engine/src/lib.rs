//! The engine of Squall: the simulated network, disks and nodes, the storm that comes over them, and one run from boot to
//! verdict.
//!
//! It runs one `(scenario, seed, plan)` and knows nothing of campaigns over many, nor of what a person reads. This crate is
//! a part of `squall`, which is the one to depend on.

pub mod check;
pub mod disk;
pub mod isolation;
pub mod net;
pub mod run;
pub mod scenario;
pub mod sim;
pub mod storm;
mod timer_watch;
pub mod trace;
pub mod world;

pub use sim::{Builds, Client, Sim};
pub use world::Node;
