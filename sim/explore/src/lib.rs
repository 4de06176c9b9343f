//! Exploring: which storms are tried, how many runs are folded into a result, and how a failure is made small and kept.
//!
//! It runs the engine and knows nothing of how results look to a person. This crate is a part of `squall`, which is the
//! one to depend on.

pub mod bug_bench;
pub mod campaign;
pub mod failure;
pub mod fuzz;
pub mod shrink;
pub mod strategy;
