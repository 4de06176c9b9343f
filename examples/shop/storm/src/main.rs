//! The shop in the storm: its three services as they are, and customers who order at the same time.

mod audit;
mod customer;
mod rows;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use audit::{Told, audit};
use shop_kit::Bug;
use squall::{
    Processes, Sim,
    scenario::{Catalogue, Scenario, Setup},
    storm::Profile,
    storms, unmodified,
};

fn shop(sim: &Sim, setup: &Setup) {
    let bug = setup.plant.clone().unwrap_or_default();
    // Each needs a process of its own: tokio's signals and SQLite's locks are static variables.
    sim.program("stock", shop_stock::main)
        .env("STOCK_ITEMS", "tea=9@3,mug=5@8")
        .env("SHOP_BUG", &bug);
    sim.program("ledger", shop_ledger::main)
        .env("LEDGER_ACCOUNTS", "ann=50,ben=50,cleo=50")
        .env("SHOP_BUG", &bug);
    sim.program("orders", shop_orders::main)
        .env("SHOP_BUG", &bug);

    rows::watch(sim);
    let told = Told::default();
    for name in ["ann", "ben", "cleo"] {
        let told = told.clone();
        sim.client(name, unmodified(|client| customer::orders(client, told)));
    }
    sim.late_client("auditor", unmodified(|_| audit(told)));
}

fn scenario() -> Box<dyn Scenario> {
    let bugs = Bug::ALL.iter().map(|bug| (bug.name(), bug.about()));
    let about = "orders over stock and ledger: axum, reqwest, redb, SQLite";
    // All orders are placed at once: what befalls the shop later finds it idle.
    let soon = |profile: &mut Profile| profile.horizon_ms = 200;
    storms("shop")
        .about(about)
        .bugs(bugs)
        .profile(soon)
        .scenario(shop)
}

fn main() -> ExitCode {
    squall::cli::main(Catalogue {
        scenarios: vec![scenario()],
        canary: Some(("shop", "lost-update")),
    })
}
