//! What must hold in a database, as queries that give what is wrong.

use std::{io, time::Duration};

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

/// Adds a query, and with a server's first the clients that ask: one after each commit, one once all is settled.
pub fn add(sim: &Sim, db: &Postgres, query: Query) {
    let asking = Asking {
        server: db.name(),
        db: db.clone(),
        checks: db.checks(),
    };
    asking.checks.queries().push(query);
    if asking.checks.queries().len() > 1 {
        return;
    }
    let name = format!("{OBSERVER}{}", asking.server);
    let at_rest = asking.clone();
    sim.operator(&name, async move |client| asking.always(&client).await);
    let name = format!("{name} at rest");
    sim.late_client(&name, async move |client| at_rest.finally(&client).await);
}

/// Who asks the queries of a server.
#[derive(Clone)]
struct Asking {
    server: String,
    db: Postgres,
    checks: Checks,
}

impl Asking {
    async fn always(&self, client: &Client) {
        loop {
            if let Ok(connection) = self.connect(client).await {
                let _ = self.after_commits(client, connection).await;
            }
            client.sleep(AGAIN).await;
        }
    }

    async fn connect(&self, client: &Client) -> io::Result<Connection> {
        Connection::open(client, &self.server, &self.db.database_name()).await
    }

    /// Asks after each commit, for as long as the connection lasts. A query of what is not there yet has to wait for it.
    async fn after_commits(&self, client: &Client, mut connection: Connection) -> io::Result<()> {
        let mut prepared = Vec::new();
        loop {
            let queries = self.checks.queries().clone();
            for (number, query) in queries.iter().enumerate() {
                if query.always && !prepared.contains(&number) {
                    match connection.prepare(number, &query.sql).await? {
                        Ok(()) => prepared.push(number),
                        // Should it never be there, it is told at rest.
                        Err(why) if is_mistaken(&why) => {}
                        Err(why) => return Err(io::Error::other(why)),
                    }
                }
            }
            let answers = connection.ask(&prepared).await?;
            for (&number, answer) in prepared.iter().zip(answers) {
                let query = &queries[number];
                let told = match answer {
                    Ok(rows) => {
                        for row in rows.iter().filter(|row| !query.told.contains(row)) {
                            self.tell(client, query, row);
                        }
                        rows
                    }
                    Err(why) if is_mistaken(&why) => {
                        let mistake = vec![why.clone()];
                        if !query.told.contains(&mistake) {
                            self.broken(client, query, "a query", &why);
                        }
                        vec![mistake]
                    }
                    Err(why) => return Err(io::Error::other(why)),
                };
                self.checks.queries()[number].told = told;
            }
            self.checks.committed().await;
        }
    }

    /// Asks until each query has given no row once, or has given rows for too long.
    async fn finally(&self, client: &Client) {
        let begun = client.now();
        let mut left = self.checks.queries().clone();
        while !left.is_empty() {
            let is_over = client.now().since(begun) >= PATIENCE;
            let late = |_| Err(io::ErrorKind::TimedOut.into());
            let answers = timeout(PATIENCE, self.answers(client, &left)).await;
            let answers = answers.unwrap_or_else(late);
            let mut unanswered = Vec::new();
            for (ordinal, query) in left.into_iter().enumerate() {
                match answers.as_ref().map(|answers| &answers[ordinal]) {
                    Ok(Ok(rows)) if rows.is_empty() => {}
                    Ok(Ok(rows)) if is_over => {
                        rows.iter().for_each(|row| self.tell(client, &query, row));
                    }
                    Ok(Err(mistake)) => self.broken(client, &query, "a query", mistake),
                    Err(error) if is_over => {
                        let why = format!("no answer: {error}");
                        self.broken(client, &query, "an answer", &why);
                    }
                    _ => unanswered.push(query),
                }
            }
            left = unanswered;
            if !left.is_empty() {
                client.sleep(AGAIN).await;
            }
        }
    }

    /// What each query gives, or what is wrong with it.
    async fn answers(
        &self,
        client: &Client,
        queries: &[Query],
    ) -> io::Result<Vec<Result<Vec<Row>, String>>> {
        let mut connection = self.connect(client).await?;
        let mut answers = Vec::new();
        for (number, query) in queries.iter().enumerate() {
            let answer = match connection.prepare(number, &query.sql).await? {
                Ok(()) => connection.ask(&[number]).await?.remove(0),
                Err(why) => Err(why),
            };
            if let Some(why) = answer.as_ref().err().filter(|why| !is_mistaken(why)) {
                return Err(io::Error::other(why.clone()));
            }
            answers.push(answer);
        }
        Ok(answers)
    }

    fn tell(&self, client: &Client, query: &Query, row: &[String]) {
        let row = format!("({})", row.join(", "));
        self.broken(client, query, "no row", &row);
    }

    fn broken(&self, client: &Client, query: &Query, expected: &str, found: &str) {
        let server = &*self.server;
        client.broken(&*query.name, server, &[server], expected, found.to_owned());
    }
}

/// Whether the server says that the query is wrong, or of what is not there: SQLSTATE classes 21, 22, 3F and 42.
fn is_mistaken(error: &str) -> bool {
    let classes = ["ERROR 21", "ERROR 22", "ERROR 3F", "ERROR 42"];
    classes.iter().any(|class| error.starts_with(class))
}
