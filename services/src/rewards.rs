//! Challenges rewarded with orders of a shop that is another system: two databases, one outcome.

pub mod challenge;
