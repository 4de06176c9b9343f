//! The catalogue of scenarios.
