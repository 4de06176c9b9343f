//! Services and their kit on machines in memory: duplex pipes for a network, vectors for files, virtual time.

mod bus;
mod checkout;
#[path = "../conformance/mod.rs"]
mod conformance;
mod input;
mod kit;
mod payment;
mod sagas;
mod shop;
mod support;
