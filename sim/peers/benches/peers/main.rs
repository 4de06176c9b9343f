//! Squall beside what else there is, in one run, so that the ratios mean something: `cargo bench -p squall-peers`.
//!
//! Requests from axum to reqwest over the real loopback, between two processes and between two programs; then storms over
//! the same small shop on Squall, turmoil and madsim. `-- --requests N --storms N` says how many.

mod requests;
mod shop;
mod storms;

use std::time::Duration;

use requests::Kind;

fn main() {
    let requests = argument("--requests", 5_000);
    let storms = argument("--storms", 300);

    println!("{requests} requests one after the other, axum and reqwest, JSON");
    let loopback = requests::over_loopback(requests, false);
    row(
        "real loopback, a thread for each",
        loopback,
        requests,
        loopback,
    );
    let shared = requests::over_loopback(requests, true);
    row(
        "real loopback, one thread for both",
        shared,
        requests,
        loopback,
    );
    for (name, kind) in [
        ("two processes", Kind::Process),
        ("two programs, 4 workers each", Kind::Program),
    ] {
        row(
            name,
            requests::simulated(kind, requests),
            requests,
            loopback,
        );
    }

    println!(
        "\n{storms} storms of {} orders, stock crashes amid them",
        shop::ORDERS
    );
    let ours = storms::on_squall(storms);
    row("Squall, real tokio, a child a storm", ours, storms, ours);
    row("turmoil", storms::on_turmoil(storms), storms, ours);
    row("madsim", storms::on_madsim(storms), storms, ours);
}

fn row(name: &str, took: Duration, count: u64, against: Duration) {
    println!(
        "  {name:<36} {:>9.1} µs each {:>9.0}/s   {:.2} of the first",
        took.as_secs_f64() * 1e6 / count as f64,
        count as f64 / took.as_secs_f64(),
        took.as_secs_f64() / against.as_secs_f64(),
    );
}

/// The number that follows this word on the command line.
fn argument(name: &str, usual: u64) -> u64 {
    let given = std::env::args().skip_while(|word| word != name).nth(1);
    given.map_or(usual, |number| number.parse().expect("a number"))
}
