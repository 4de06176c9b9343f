//! The `squall` program: the reference services in the storm.

use std::process::ExitCode;

fn main() -> ExitCode {
    squall::cli::main(squall_scenarios::catalogue())
}
