//! The shop in the storm: its three services as they are, and customers who order at the same time.

mod audit;
mod customer;

use std::process::ExitCode;

use audit::{Told, audit};
use squall::{
    Processes, Sim,
    scenario::{self, Catalogue, Setup},
    storms, unmodified,
};

fn shop(sim: &Sim, setup: &Setup) {
    let bug = setup.plant.clone().unwrap_or_default();
    sim.process("stock", async || {
        shop_stock::run(shop_stock::Config::from_env()?).await
    })
    .env("STOCK_ITEMS", "tea=9@3,mug=5@8")
    .env("SHOP_BUG", &bug);
    sim.process("ledger", async || {
        shop_ledger::run(shop_ledger::Config::from_env()?).await
    })
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

fn main() -> ExitCode {
    let bugs = shop_kit::Bug::ALL.iter().map(|bug| scenario::Bug {
        name: bug.name(),
        about: bug.about(),
    });
    let shop = storms("shop")
        .about("orders over stock and ledger: axum, reqwest, redb, SQLite")
        .bugs(bugs)
        .scenario(shop);
    squall::cli::main(Catalogue {
        scenarios: vec![shop],
        canary: Some(("shop", "lost-update")),
    })
}
