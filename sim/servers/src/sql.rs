//! What must hold in a database, as queries that give what is wrong.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use squall_engine::{Client, Sim, sim::OBSERVER};
use tokio::sync::Notify;

use crate::{client::Connection, postgres::Postgres};

/// A check that fails to get its answer is made again after so long.
const AGAIN: Duration = Duration::from_millis(200);
/// Once all is settled a query may still give rows for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is looked at after each commit.
#[derive(Clone, Debug, Default)]
pub struct Checks(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    queries: Mutex<Vec<Query>>,
    committed: Notify,
}

#[derive(Clone, Debug)]
struct Query {
    name: String,
    sql: String,
    /// What it has given already.
    told: Vec<Vec<String>>,
}

/// What a server says when something that writes is committed (`CommandComplete`): the beginning of its tag.
const WRITES: [&[u8]; 6] = [
    b"COMMIT", b"INSERT", b"UPDATE", b"DELETE", b"MERGE", b"SELECT",
];

impl Checks {
    /// Hears what the server sends: whether something was committed.
    pub fn hear(&self, sent: &[u8]) {
        if self.queries().is_empty() {
            return;
        }
        if is_committed(sent) {
            self.0.committed.notify_one();
        }
    }

    fn queries(&self) -> MutexGuard<'_, Vec<Query>> {
        self.0
            .queries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether messages of the server end a transaction that may have written. They need not begin with a whole one.
fn is_committed(mut sent: &[u8]) -> bool {
    let mut writes = false;
    while let [kind, a, b, c, d, rest @ ..] = sent {
        let len = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let Some(body) = len.checked_sub(4).and_then(|len| rest.get(..len)) else {
            return false;
        };
        match kind {
            b'C' => writes |= WRITES.iter().any(|tag| body.starts_with(tag)),
            b'Z' if body == b"I" && writes => return true,
            _ => {}
        }
        sent = &rest[len - 4..];
    }
    false
}

pub fn always(sim: &Sim, db: &Postgres, name: &str, sql: &str) {
    let checks = db.checks();
    let is_first = {
        let mut queries = checks.queries();
        queries.push(Query {
            name: name.to_owned(),
            sql: sql.to_owned(),
            told: Vec::new(),
        });
        queries.len() == 1
    };
    if is_first {
        let (server, db) = (db.name(), db.clone());
        sim.operator(
            &format!("{OBSERVER}{server}"),
            async move |client: Client| {
                loop {
                    let database = db.database_name();
                    if let Ok(mut connection) = Connection::open(&client, &server, &database).await
                    {
                        let _ = look(&client, &server, &checks, &mut connection).await;
                    }
                    client.sleep(AGAIN).await;
                }
            },
        );
    }
}

/// Looks after each commit, for as long as the connection lasts.
async fn look(
    client: &Client,
    server: &str,
    checks: &Checks,
    connection: &mut Connection,
) -> std::io::Result<()> {
    loop {
        let queries = checks.queries().clone();
        for (ordinal, query) in queries.into_iter().enumerate() {
            let rows = connection.rows(&query.sql).await?;
            for row in rows.iter().filter(|row| !query.told.contains(row)) {
                tell(client, server, &query.name, row);
            }
            checks.queries()[ordinal].told = rows;
        }
        checks.0.committed.notified().await;
    }
}

pub fn finally(sim: &Sim, db: &Postgres, name: &str, sql: &str) {
    let (server, db) = (db.name(), db.clone());
    let (name, sql) = (name.to_owned(), sql.to_owned());
    sim.late_client(
        &format!("{OBSERVER}{server}: {name}"),
        async move |client: Client| {
            let database = db.database_name();
            let begun = client.now();
            loop {
                let given = async {
                    let mut connection = Connection::open(&client, &server, &database).await?;
                    connection.rows(&sql).await
                };
                let given = given.await;
                let is_over = client.now().since(begun) >= PATIENCE;
                match given {
                    Ok(rows) if rows.is_empty() => return,
                    Ok(rows) if is_over => {
                        for row in &rows {
                            tell(&client, &server, &name, row);
                        }
                        return;
                    }
                    Err(error) if is_over => {
                        let why = format!("no answer: {error}");
                        return client.broken(&*name, &*server, &[&server], "an answer", why);
                    }
                    _ => client.sleep(AGAIN).await,
                }
            }
        },
    );
}

fn tell(client: &Client, server: &str, name: &str, row: &[String]) {
    let row = row.join(", ");
    client.broken(name, server, &[server], "no row", format!("({row})"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_heard_where_something_may_have_been_written() {
        assert!(is_committed(b"C\0\0\0\x0fINSERT 0 1\0Z\0\0\0\x05I"));
        assert!(is_committed(b"C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05I"));
        assert!(!is_committed(b"C\0\0\0\x0fINSERT 0 1\0Z\0\0\0\x05T"));
        assert!(!is_committed(b"C\0\0\0\x0aBEGIN\0Z\0\0\0\x05T"));
        assert!(!is_committed(b"C\0\0\0\x0dROLLBACK\0Z\0\0\0\x05I"));
        assert!(!is_committed(b"half of a message"));
    }
}
