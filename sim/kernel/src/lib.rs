//! Squall's simulated kernel: unmodified programs, with the real tokio and std, run in the storm.
//!
//! A [process](Processes::process) is a node like any other. What is below std is simulated: its system calls are
//! answered from Squall's network, disks and clocks, so every fault that applies to nodes applies to it, and the same seed
//! gives the same run.

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")))]
compile_error!(
    "the simulated kernel needs Linux with glibc on x86-64; depend on `squall`, which does without it elsewhere"
);

pub mod cpu;
mod fork;
mod mapped;
mod process;
mod sim;

pub use cpu::prepare_programs;
pub use fork::{Preparation, forked, in_child, prepare_first};
pub use mapped::map_file;
pub use process::outside::find as find_executable;
pub use sim::{Command, Outcome, Process, Processes, unmodified};
