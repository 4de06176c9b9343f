//! The `squall` program: the reference services in the storm.

use std::process::ExitCode;

/// A fifth of a storm is allocation, and mimalloc takes a storm a sixth less CPU time than the C library's allocator;
/// no allocator can change what a run does, as no address reaches an output.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let brought = vec![
        squall_scenarios::experiments::sync_windows::command::brought(),
        squall_scenarios::live_command::brought(),
    ];
    squall::cli::main_with(squall_scenarios::catalogue(), brought)
}
