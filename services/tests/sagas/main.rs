//! Sagas, and the service that lives by them, over machines in memory that crash.

#[allow(dead_code)]
#[path = "../kit/machine.rs"]
mod machine;

mod builds;
mod engine;
mod gaps;
mod life;
mod order;
mod together;
mod workflow;
