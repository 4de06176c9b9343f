//! What every engine under a port does alike: run against those in memory, in a simulation, in files and on servers.

mod store;

pub use store::store;
