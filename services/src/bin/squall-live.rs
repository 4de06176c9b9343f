//! All reference services on real sockets and files.

use std::process::ExitCode;

#[cfg(not(madsim))]
fn main() -> ExitCode {
    squall_services::live::main()
}

#[cfg(madsim)]
fn main() -> ExitCode {
    eprintln!("this is the simulation build, which has no real sockets; run `cargo live` instead");
    ExitCode::from(2)
}
