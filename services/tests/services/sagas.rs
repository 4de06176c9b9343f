//! Sagas, and the service that lives by them, over machines that crash.

mod bugs;
mod builds;
mod engine;
mod order;
mod together;
mod workflow;
