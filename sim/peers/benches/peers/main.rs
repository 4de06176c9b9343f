//! Squall beside what else there is, in one run, so that the ratios mean something: `cargo bench -p squall-peers`.
//!
//! Requests from reqwest to axum over the real loopback, between two processes and between two programs; then storms over
//! the same small shop on Squall, turmoil and madsim. `-- --requests N --storms N` says how many, `--only WORD` which rows.

mod requests;
mod shop;
mod storms;
mod took;

use std::time::Duration;

use requests::Kind;
use took::{Took, took};

fn main() {
    took::adopt_orphans();
    let requests = argument("--requests", 5_000);
    let storms = argument("--storms", 300);

    println!("{requests} requests one after the other, axum and reqwest, JSON");
    table(
        requests,
        &[
            ("real loopback, a thread for each", &|| {
                requests::over_loopback(requests, false)
            }),
            ("real loopback, one thread for both", &|| {
                requests::over_loopback(requests, true)
            }),
            ("two processes", &|| {
                requests::simulated(Kind::Process, requests)
            }),
            ("two programs, 4 workers each", &|| {
                requests::simulated(Kind::Program, requests)
            }),
        ],
    );
    for down in [300, 10_000].map(Duration::from_millis) {
        println!(
            "\n{storms} storms of {} orders, stock crashes amid them and is down for {down:?}",
            shop::ORDERS
        );
        table(
            storms,
            &[
                ("Squall, real tokio, a child a storm", &|| {
                    storms::on_squall(storms, down)
                }),
                ("turmoil", &|| storms::on_turmoil(storms, down)),
                ("madsim", &|| storms::on_madsim(storms, down)),
            ],
        );
    }
}

type Row<'a> = (&'a str, &'a dyn Fn());

/// Runs each and prints what it took, and how that compares to the first.
fn table(count: u64, rows: &[Row<'_>]) {
    let only = following("--only").unwrap_or_default();
    println!(
        "{:38} {:>10} {:>10} {:>8} {:>12} {:>8}",
        "", "each", "a second", "ratio", "CPU, each", "ratio"
    );
    let mut first = None;
    for (name, work) in rows.iter().filter(|(name, _)| name.contains(&only)) {
        let Took { wall, cpu } = took(work);
        let first = first.get_or_insert(Took { wall, cpu });
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
        println!(
            "  {name:36} {:>7.1} µs {:>10.0} {:>8.2} {:>9.1} µs {:>8.2}",
            micros(wall),
            1e6 / micros(wall),
            wall.as_secs_f64() / first.wall.as_secs_f64(),
            micros(cpu),
            cpu.as_secs_f64() / first.cpu.as_secs_f64(),
        );
    }
}

/// The number that follows this word on the command line.
fn argument(name: &str, usual: u64) -> u64 {
    following(name).map_or(usual, |number| number.parse().expect("a number"))
}

fn following(name: &str) -> Option<String> {
    std::env::args().skip_while(|word| word != name).nth(1)
}
