//! Squall's simulated kernel: unmodified programs, with the real tokio and std, run in the storm.

pub mod cpu;
