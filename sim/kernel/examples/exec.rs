//! Runs an executable in the simulated kernel: `exec NAME ARGUMENTS..`, for so many seconds of virtual time.

use std::time::Duration;

use squall::{seed::Seed, storm::Plan, trace::text};
use squall_kernel::Processes;

fn main() {
    let build = |sim: &squall::Sim| {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        sim.exec("a", arguments);
        sim.client("client", |client: squall::Client| async move {
            client.sleep(Duration::from_secs(5)).await;
        });
    };
    let outcome = squall::storms("exec")
        .plan(Plan::calm())
        .one(Seed(1), build);
    let trace = outcome.trace.as_ref().expect("it is kept");
    println!("{}", text::render(trace, &text::Options::default()));
    for violation in &outcome.violations {
        println!("{violation:?}");
    }
}
