//! What must hold in a database, as queries that give what is wrong.

use std::time::Duration;

use squall_engine::{Client, Sim, sim::OBSERVER};
use tokio::time::timeout;

use crate::{
    checks::{Checks, Query},
    client::{Connection, Row},
    postgres::Postgres,
};

/// A check that fails to get its answer is made again after so long.
const AGAIN: Duration = Duration::from_millis(200);
/// Once all is settled a query may still give rows for so long.
const PATIENCE: Duration = Duration::from_secs(60);

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
        let all: Vec<&str> = queries.iter().map(|query| query.sql.as_str()).collect();
        let answers = match connection.answers(&all.join(";\n")).await {
            Ok(answers) if answers.len() == queries.len() => answers,
            Ok(_) => one_by_one(client, server, &queries, connection).await?,
            Err(error) if is_mistaken(&error) => {
                one_by_one(client, server, &queries, connection).await?
            }
            Err(error) => return Err(error),
        };
        for (ordinal, (query, rows)) in queries.into_iter().zip(answers).enumerate() {
            for row in rows.iter().filter(|row| !query.told.contains(row)) {
                tell(client, server, &query.name, row);
            }
            checks.queries()[ordinal].told = rows;
        }
        checks.committed().await;
    }
}

/// Asks one query after the other; of those that are wrong it is told.
async fn one_by_one(
    client: &Client,
    server: &str,
    queries: &[Query],
    connection: &mut Connection,
) -> std::io::Result<Vec<Vec<Row>>> {
    let mut answers = Vec::new();
    for query in queries {
        answers.push(match connection.rows(&query.sql).await {
            Ok(rows) => rows,
            Err(error) if is_mistaken(&error) => {
                client.broken(
                    &*query.name,
                    server,
                    &[server],
                    "a query",
                    error.to_string(),
                );
                Vec::new()
            }
            Err(error) => return Err(error),
        });
    }
    Ok(answers)
}

/// Whether the server says that it is the query which is wrong: SQLSTATE class 42.
fn is_mistaken(error: &std::io::Error) -> bool {
    error.to_string().starts_with("ERROR 42")
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
                let late = |_| Err(std::io::ErrorKind::TimedOut.into());
                let given = timeout(PATIENCE, given).await.unwrap_or_else(late);
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
