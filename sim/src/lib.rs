//! Squall: seeded storms over a whole system of services inside one process.
//!
//! A run is a pure function: `(scenario, seed, plan) → (verdict, trace)`.

#[cfg(not(all(madsim, tokio_unstable)))]
compile_error!(
    "squall is a simulation and needs `--cfg madsim --cfg tokio_unstable`: copy .cargo/config.toml next to your \
     workspace's Cargo.toml, and unset RUSTFLAGS, which overrides it"
);

mod alarm;
pub mod bank;
pub mod campaign;
pub mod check;
pub mod cli;
pub mod clock;
pub mod disk;
pub mod explore;
pub mod failure;
pub mod fault;
pub mod fuzz;
pub mod host;
pub mod net;
pub mod picture;
mod report;
pub mod run;
pub mod scenario;
pub mod seed;
pub mod shrink;
pub mod site;
pub mod storm;
pub mod testing;
pub mod time;
pub mod trace;
mod whole;
mod world;

pub use run::{Builds, Client, Sim};
pub use world::Node;
