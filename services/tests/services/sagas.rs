//! Sagas, and the service that lives by them, over machines that crash.

mod builds;
mod engine;
mod gaps;
mod order;
mod together;
mod workflow;
