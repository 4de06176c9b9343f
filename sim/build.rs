//! Says whether unmodified programs can be simulated on the system that is built for: then `programs` is set.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(programs)");
    let is = |name, value| env::var(name).is_ok_and(|found| found == value);
    // `--cfg squall_elsewhere` builds what other systems get.
    if is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ARCH", "x86_64")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && env::var_os("CARGO_CFG_SQUALL_ELSEWHERE").is_none()
    {
        println!("cargo::rustc-cfg=programs");
    }
}
