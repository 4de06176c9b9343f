//! The shop in the storm: its three services as they are, and customers who order at the same time.

mod audit;
mod customer;
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
    sim.process("stock", async || {
        shop_stock::run(shop_stock::Config::from_env()?).await
    })
    .env("STOCK_ITEMS", "tea=9@3,mug=5@8")
    .env("SHOP_BUG", &bug);
    // SQLite keeps its locks in static variables: it needs a process of its own.
    sim.program("ledger", shop_ledger::main)
        .env("LEDGER_ACCOUNTS", "ann=50,ben=50,cleo=50")
        .env("SHOP_BUG", &bug);
    sim.process("orders", async || {
        shop_orders::run(shop_orders::Config::from_env()?).await
    })
    .env("SHOP_BUG", &bug);

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
