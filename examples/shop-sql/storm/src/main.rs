//! The shop in the storm: its services, PostgreSQL and Redis as they are, and customers who order at the same time.

mod audit;
mod customer;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use audit::{INSTANCES, Told, audit};
use shop_sql_kit::{
    Bug,
    audit::{ALWAYS, AT_REST},
    migrations,
};
use squall::{
    Processes, Sim,
    scenario::{Catalogue, Scenario, Setup},
    storm::Profile,
    storms, unmodified,
};
use squall_servers::Servers;

/// What the services would make of an empty database: it is made once, and not in each storm.
fn schema() -> String {
    let services = [
        ("inventory", shop_sql_inventory::MIGRATIONS),
        ("payments", shop_sql_payments::MIGRATIONS),
        ("orders", shop_sql_orders::MIGRATIONS),
    ];
    let mut script = String::new();
    for (schema, sql) in services {
        script += &format!(
            "CREATE SCHEMA {schema}; SET search_path = {schema};
             CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL,
                 installed_on timestamptz NOT NULL DEFAULT now(), success boolean NOT NULL,
                 checksum bytea NOT NULL, execution_time bigint NOT NULL);"
        );
        for migration in migrations(sql) {
            let digits = migration.checksum.iter().map(|byte| format!("{byte:02x}"));
            let (version, checksum) = (migration.version, digits.collect::<String>());
            script += migration.sql.as_str();
            script += &format!(
                "; INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                   VALUES ({version}, '', true, '\\x{checksum}', 0);"
            );
        }
    }
    script
}

fn shop(sim: &Sim, setup: &Setup) {
    let bug = setup.plant.clone().unwrap_or_default();
    let db = sim.postgres("db").database("shop").schema(schema());
    let db = db.setting("deadlock_timeout", "100ms");
    let service = |name, main| {
        sim.program(name, main)
            .env("DATABASE_URL", "postgres://app@db/shop")
            .env("SHOP_BUG", &bug)
    };
    // What is read from a replica may be late. It is there for those who want to read so.
    let replica = match bug == Bug::StaleRead.name() {
        true => {
            sim.postgres("db-2").database("shop").replica_of(&db);
            "postgres://app@db-2/shop"
        }
        false => "",
    };
    sim.redis("cache").in_memory();
    service("inventory", shop_sql_inventory::main).env("STOCK_ITEMS", "tea=9@3,mug=5@8");
    service("payments", shop_sql_payments::main).env("ACCOUNTS", "ann=20,ben=20,cleo=20");
    for name in INSTANCES {
        service(name, shop_sql_orders::main)
            .env("DATABASE_REPLICA_URL", replica)
            .env("REDIS_URL", "redis://cache");
    }

    let told = Told::default();
    for name in ["ann", "ben", "cleo"] {
        let told = told.clone();
        sim.client(name, unmodified(|client| customer::orders(client, told)));
    }
    for (rule, offences) in ALWAYS {
        sim.always_sql(&db, rule, offences);
    }
    for (rule, offences) in AT_REST {
        sim.finally_sql(&db, rule, offences);
    }
    let decided = told.clone();
    sim.at_end(move |_| decided.counts());
    sim.late_client("auditor", unmodified(|_| audit(told)));
}

fn scenario() -> Box<dyn Scenario> {
    let bugs = Bug::ALL.iter().map(|bug| (bug.name(), bug.about()));
    let about = "orders over inventory and payments: axum, reqwest, sqlx on PostgreSQL, Redis";
    // What befalls the shop later finds it idle.
    let soon = |profile: &mut Profile| profile.horizon_ms = 2_000;
    storms("shop-sql")
        .about(about)
        .bugs(bugs)
        .profile(soon)
        .scenario(shop)
}

fn main() -> ExitCode {
    squall::cli::main(Catalogue {
        scenarios: vec![scenario()],
        canary: Some(("shop-sql", "conflict-taken-for-inserted")),
    })
}
