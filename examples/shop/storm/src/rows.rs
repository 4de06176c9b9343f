//! What must hold of rows: they are read from the services' own files, at each sync.

use std::error::Error;

use redb::{Builder, ReadableDatabase, ReadableTable, TableDefinition};
use rusqlite::Connection;
use serde_json::{Value, from_slice, json};
use squall::{Sim, disk::Files};

type Rows = Vec<(String, String, Vec<u8>)>;

fn of_stock(files: &Files<'_>) -> Result<Rows, Box<dyn Error>> {
    let file = Builder::new().create_with_backend(files.open("stock.redb")?)?;
    let read = file.begin_read()?;
    let items = read.open_table(TableDefinition::<&str, &[u8]>::new("items"))?;
    let rows = items.iter()?.map(|row| {
        let (sku, item) = row?;
        let item = item.value().to_vec();
        Ok(("items".to_owned(), sku.value().to_owned(), item))
    });
    rows.collect()
}

fn of_ledger(files: &Files<'_>) -> Result<Rows, Box<dyn Error>> {
    let folder = files.unpack()?;
    let file = Connection::open(folder.path("ledger.sqlite"))?;
    let sql = "SELECT name, balance,
               (SELECT coalesce(sum(amount), 0) FROM charges WHERE customer = name AND NOT refunded) FROM accounts";
    let mut accounts = file.prepare(sql)?;
    let rows = accounts.query_map([], |row| {
        let account = json!({ "balance": row.get::<_, i64>(1)?, "paid": row.get::<_, i64>(2)? });
        let account = account.to_string().into_bytes();
        Ok(("accounts".to_owned(), row.get(0)?, account))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// No more is taken than there is, not for a moment; and in the end accounts are what is charged to them.
pub fn watch(sim: &Sim) {
    sim.read_rows("stock", of_stock);
    sim.read_rows("ledger", of_ledger);
    sim.always("stock is never negative", |commit, findings| {
        for row in commit.rows.iter().filter(|row| row.table == "items") {
            let Some(item) = row.value.as_deref() else {
                continue;
            };
            let item: Value = from_slice(item).unwrap_or_default();
            if item["free"].as_i64() < Some(0) {
                findings.broken("negative", &[&row.key], "0 or more", item.to_string());
            }
        }
    });
    let bound = std::time::Duration::from_secs(60);
    sim.finally("accounts are what is charged", bound, |truth, findings| {
        for (name, account) in truth.rows("ledger", "accounts") {
            let account: Value = from_slice(account).unwrap_or_default();
            let [balance, paid] = ["balance", "paid"].map(|of| account[of].as_i64());
            if balance != paid.map(|paid| 50 - paid) {
                findings.broken(
                    "other",
                    &[name],
                    "50 less what is paid",
                    account.to_string(),
                );
            }
        }
    });
}
