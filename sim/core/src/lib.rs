//! The lowest floor of Squall: seeds, virtual time, wall clocks, events, sites where a fault can strike, kinds of fault and
//! plans.
//!
//! Data and small helpers. Nothing here knows how a network, a disk or a node works. This crate is a part of `squall`,
//! which is the one to depend on.

#[cfg(not(all(madsim, tokio_unstable)))]
compile_error!(
    "squall is a simulation and needs `--cfg madsim --cfg tokio_unstable`: copy .cargo/config.toml next to your \
     workspace's Cargo.toml, and unset RUSTFLAGS, which overrides it"
);

pub mod atomic_file;
pub mod census;
pub mod clock;
pub mod event;
pub mod fault;
pub mod host;
pub mod interned;
pub mod names;
pub mod seed;
pub mod site;
pub mod storm;
pub mod time;
mod vocabulary;
