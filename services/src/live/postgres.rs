//! Databases on a PostgreSQL server: one schema a service, in it one table of all rows as jsonb.

use std::{fmt, io, str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool, Postgres as Dialect,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
    query, query_as, query_scalar, raw_sql,
};
use tokio::{
    runtime::Handle,
    task::{JoinSet, block_in_place},
    time::{Instant, sleep, timeout},
};

use crate::ports::{Database, Process, RowChange, Server, ServerError, Transaction};

/// Connections that one service has at most.
const CONNECTIONS_MAX: u32 = 6;

/// How long the server may take over one statement, and how long the outcome of a commit is asked for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one attempt to find that outcome out may take.
const ATTEMPT: Duration = Duration::from_secs(2);

/// Pause before the server is asked the same again.
const PAUSE: Duration = Duration::from_millis(50);

/// How long an earlier life is waited for to let go of its database.
const HOLD_WITHIN: Duration = Duration::from_secs(5);

/// How often the hold on a database is looked at.
const HOLD_EVERY: Duration = Duration::from_secs(1);

/// How often old markers are deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(300);

/// For every session. Whatever is there already is not worth a notice. Transactions conflict over what they have read: a whole table, if it was scanned for one row.
const SETTINGS: [(&str, &str); 6] = [
    ("client_min_messages", "warning"),
    ("default_transaction_isolation", "read committed"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// Keys are in the order of their bytes. Every transaction that writes leaves a marker, by which it is known whether it
/// was committed: its number may be given to another after a crash. A void marker is that of one that never will be.
const TABLES: &str = r#"
    CREATE TABLE IF NOT EXISTS rows (
        relation text COLLATE "C",
        key text COLLATE "C",
        row jsonb NOT NULL,
        PRIMARY KEY (relation, key)
    );
    CREATE TABLE IF NOT EXISTS markers (
        marker uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        void boolean NOT NULL DEFAULT false,
        made timestamptz NOT NULL DEFAULT clock_timestamp()
    )"#;

const GET: &str = "SELECT row::text FROM rows WHERE relation = $1 AND key = $2";

const RANGE: &str = "
    SELECT key, row::text FROM rows
    WHERE relation = $1 AND key >= $2 AND key < $3 AND ($4::text IS NULL OR key <> $4)
    ORDER BY key LIMIT $5";

const ALL: &str = "SELECT relation, key, row::text FROM rows ORDER BY relation, key";

/// Writes, deletes, and tells the transaction's marker.
const CHANGE: &str = "
    WITH put AS (
        INSERT INTO rows
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[]::jsonb[])
        ON CONFLICT (relation, key) DO UPDATE SET row = excluded.row
    ), gone AS (
        DELETE FROM rows USING unnest($4::text[], $5::text[]) AS gone (relation, key)
        WHERE rows.relation = gone.relation AND rows.key = gone.key
    )
    INSERT INTO markers DEFAULT VALUES RETURNING marker::text";

/// Waits for a transaction of this marker that is under way. If it was not committed, it no longer can be.
const MAKE_VOID: &str =
    "INSERT INTO markers (marker, void) VALUES ($1::uuid, true) ON CONFLICT DO NOTHING";

const IS_COMMITTED: &str = "SELECT NOT void FROM markers WHERE marker = $1::uuid";

/// Long after anybody asks for them. No part of a serializable transaction, which all others would conflict with.
const SWEEP: &str = "DELETE FROM markers WHERE made < clock_timestamp() - interval '1 hour'";

/// Greater than what follows any prefix: no character comes after it, and it stands for none.
const LAST: char = char::MAX;

/// Where the server is, and who asks there.
#[derive(Clone)]
pub struct Url {
    text: String,
    options: PgConnectOptions,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "a store is written postgres://USER@HOST/DATABASE";
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(wanted.to_owned());
        }
        let options =
            PgConnectOptions::from_str(text).map_err(|error| format!("{error}; {wanted}"))?;
        match options.get_database() {
            Some(_) => Ok(Url {
                text: text.to_owned(),
                options,
            }),
            None => Err(format!("it names no database; {wanted}")),
        }
    }
}

/// A server, as one service uses it.
pub(super) struct Postgres {
    pub url: Url,
    /// The system, whose services keep apart from those of others.
    pub system: &'static str,
    /// Whether replicas of the service, in other processes too, use the same database.
    pub shared: bool,
    pub process: Arc<dyn Process>,
}

impl Server for Postgres {
    fn open(&self, file: &str) -> Result<Arc<dyn Database>, ServerError> {
        let stem = file.strip_suffix(".redb").unwrap_or(file);
        let schema = format!("{}_{stem}", self.system);
        let options = self
            .url
            .options
            .clone()
            .application_name(&schema)
            .options(SETTINGS)
            .options([("search_path", format!("\"{schema}\""))]);
        let hold = block(self.prepare(&schema, &options))?;
        let mut held = JoinSet::new();
        let ask = (options.clone(), self.shared);
        held.spawn_on(keep(hold, ask, self.process.clone()), &Handle::current());
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(options.clone());
        Ok(Arc::new(Opened {
            pool,
            options,
            shared: self.shared,
            _held: held,
        }))
    }
}

impl Postgres {
    /// Makes the schema, and takes hold of it: alone, or with other replicas.
    async fn prepare(
        &self,
        schema: &str,
        options: &PgConnectOptions,
    ) -> Result<PgConnection, ServerError> {
        let mut connection = self.connect(options).await?;
        // Taken, so that two that begin at once do not make the same.
        let make = format!(
            "SELECT pg_advisory_xact_lock(hashtextextended('{schema}', 1));
             CREATE SCHEMA IF NOT EXISTS \"{schema}\"; {TABLES}"
        );
        let made = within(raw_sql(AssertSqlSafe(make)).execute(&mut connection)).await;
        made.map_err(|error| self.explain(error))?;
        let began = Instant::now();
        while began.elapsed() < HOLD_WITHIN {
            let held = within(hold(&mut connection, self.shared)).await;
            if held.map_err(failed)? {
                return Ok(connection);
            }
            // An earlier life may be about to end.
            sleep(PAUSE).await;
        }
        Err(ServerError::Refused(format!(
            "another process uses the schema {schema} of this database; stop that one first"
        )))
    }

    async fn connect(&self, options: &PgConnectOptions) -> Result<PgConnection, ServerError> {
        let connected = within(options.connect()).await;
        connected.map_err(|error| self.explain(error))
    }

    /// What to do about a server that cannot be used from the start.
    fn explain(&self, error: sqlx::Error) -> ServerError {
        let options = &self.url.options;
        let (host, port, user) = (
            options.get_host(),
            options.get_port(),
            options.get_username(),
        );
        let database = options.get_database().unwrap_or_default();
        let code = error.as_database_error().and_then(|error| error.code());
        let advice = match code.as_deref() {
            Some("28P01" | "28000") => format!(
                "check user and password of {user}, in --store or PGPASSWORD, and the server's pg_hba.conf"
            ),
            Some("3D000") => {
                format!("create it: createdb -h {host} -p {port} -U {user} {database}")
            }
            Some("42501") => {
                format!("let {user} make schemas: GRANT CREATE ON DATABASE {database} TO {user}")
            }
            Some("53300") => "raise the server's max_connections".to_owned(),
            _ => format!(
                "start the server at {host}:{port}, or leave --store out to keep the rows in files"
            ),
        };
        match failed(error) {
            ServerError::Refused(why) => ServerError::Refused(format!("{why}; {advice}")),
            error => ServerError::Unreachable(format!("{error}; {advice}")),
        }
    }
}

/// Takes hold of the schema for as long as the connection lives.
async fn hold(connection: &mut PgConnection, shared: bool) -> sqlx::Result<bool> {
    let take = match shared {
        true => "SELECT pg_try_advisory_lock_shared(hashtextextended(current_schema(), 0))",
        false => "SELECT pg_try_advisory_lock(hashtextextended(current_schema(), 0))",
    };
    query_scalar(take).fetch_one(connection).await
}

/// Keeps the hold on a schema, and takes it anew when the connection was lost. If another process has it by then, this
/// one ends.
async fn keep(
    mut held: PgConnection,
    (options, shared): (PgConnectOptions, bool),
    process: Arc<dyn Process>,
) {
    let mut swept = Instant::now();
    loop {
        sleep(HOLD_EVERY).await;
        if swept.elapsed() >= SWEEP_EVERY {
            swept = Instant::now();
            let _ = within(raw_sql(SWEEP).execute(&mut held)).await;
        }
        if within(held.ping()).await.is_ok() {
            continue;
        }
        let Ok(mut connection) = within(options.connect()).await else {
            continue;
        };
        match within(hold(&mut connection, shared)).await {
            Ok(true) => held = connection,
            Ok(false) => {
                process.fail("another process has taken its database while the server was away");
            }
            Err(_) => {}
        }
    }
}

/// A service's schema.
struct Opened {
    pool: PgPool,
    options: PgConnectOptions,
    shared: bool,
    _held: JoinSet<()>,
}

impl Database for Opened {
    fn is_shared(&self) -> bool {
        self.shared
    }

    fn begin(&self, reads_only: bool) -> Result<Box<dyn Transaction>, ServerError> {
        let begin = match reads_only {
            true => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            false => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        };
        let connection = answer(self.pool.acquire())?;
        let mut session = Session {
            options: self.options.clone(),
            connection,
            ended: false,
        };
        let begun = answer(raw_sql(begin).execute(&mut *session.connection));
        session.heard(begun)?;
        Ok(Box::new(session))
    }
}

/// A connection with a transaction under way.
struct Session {
    options: PgConnectOptions,
    connection: PoolConnection<Dialect>,
    /// There is nothing to roll back, or nobody to ask.
    ended: bool,
}

impl Transaction for Session {
    fn get(&mut self, table: &str, key: &str) -> Result<Option<Vec<u8>>, ServerError> {
        let asked = query_scalar(GET).bind(table).bind(key);
        let row = answer(asked.fetch_optional(&mut *self.connection));
        let row: Option<String> = self.heard(row)?;
        Ok(row.map(String::into_bytes))
    }

    fn range(
        &mut self,
        table: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, ServerError> {
        let asked = query_as(RANGE)
            .bind(table)
            .bind(after.unwrap_or(prefix))
            .bind(format!("{prefix}{LAST}"))
            .bind(after)
            .bind(limit as i64);
        let rows = answer(asked.fetch_all(&mut *self.connection));
        let rows: Vec<(String, String)> = self.heard(rows)?;
        Ok(rows
            .into_iter()
            .map(|(key, row)| (key, row.into_bytes()))
            .collect())
    }

    fn all(&mut self) -> Result<Vec<(String, String, Vec<u8>)>, ServerError> {
        let rows = answer(query_as(ALL).fetch_all(&mut *self.connection));
        let rows: Vec<(String, String, String)> = self.heard(rows)?;
        let bytes = |(table, key, row): (_, _, String)| (table, key, row.into_bytes());
        Ok(rows.into_iter().map(bytes).collect())
    }

    fn commit(mut self: Box<Self>, changes: &[RowChange]) -> Result<(), ServerError> {
        let marker = match changes {
            [] => None,
            changes => Some(self.change(changes)?),
        };
        let committed = answer(raw_sql("COMMIT").execute(&mut *self.connection));
        self.ended = committed.is_ok();
        match (self.heard(committed), marker) {
            (Ok(_), _) => Ok(()),
            (Err(ServerError::Unreachable(why)), Some(marker)) => {
                let options = self.options.clone();
                // Closed first: what is left of the transaction would be waited for.
                drop(self);
                settle(&options, &marker, why)
            }
            (Err(error), _) => Err(error),
        }
    }
}

impl Session {
    /// Gives a connection up that was lost.
    fn heard<T>(&mut self, answer: Result<T, ServerError>) -> Result<T, ServerError> {
        if let Err(ServerError::Unreachable(_)) = answer {
            self.ended = true;
            self.connection.close_on_drop();
        }
        answer
    }

    /// Sends the changes; the answer is the transaction's marker.
    fn change(&mut self, changes: &[RowChange]) -> Result<String, ServerError> {
        let text = |row: &[u8]| String::from_utf8_lossy(row).into_owned();
        let (mut put, mut gone) = ((vec![], vec![], vec![]), (vec![], vec![]));
        for change in changes {
            match &change.after {
                Some(row) => {
                    put.0.push(change.table);
                    put.1.push(change.key.as_str());
                    put.2.push(text(row));
                }
                None => {
                    gone.0.push(change.table);
                    gone.1.push(change.key.as_str());
                }
            }
        }
        let sent = query_scalar(CHANGE)
            .bind(put.0)
            .bind(put.1)
            .bind(put.2)
            .bind(gone.0)
            .bind(gone.1);
        let marker = answer(sent.fetch_one(&mut *self.connection));
        self.heard(marker)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.ended && answer(raw_sql("ROLLBACK").execute(&mut *self.connection)).is_err() {
            self.connection.close_on_drop();
        }
    }
}

/// Whether a transaction was committed, whose COMMIT was not answered: its marker tells.
fn settle(options: &PgConnectOptions, marker: &str, why: String) -> Result<(), ServerError> {
    let asking = async {
        loop {
            match timeout(ATTEMPT, is_committed(options, marker)).await {
                Ok(Ok(committed)) => return committed,
                Ok(Err(_)) | Err(_) => sleep(PAUSE).await,
            }
        }
    };
    match block(async { timeout(PATIENCE, asking).await }) {
        Ok(true) => Ok(()),
        Ok(false) => Err(ServerError::Unreachable(why)),
        Err(_) => Err(ServerError::Unknown(why)),
    }
}

/// May be asked again if its own answer was lost. On a connection of its own: those of a pool may all be in use.
async fn is_committed(options: &PgConnectOptions, marker: &str) -> sqlx::Result<bool> {
    let mut connection = options.connect().await?;
    let make_void = query(MAKE_VOID).bind(marker);
    make_void.execute(&mut connection).await?;
    let is_committed = query_scalar(IS_COMMITTED).bind(marker);
    is_committed.fetch_one(&mut connection).await
}

fn answer<T>(asked: impl Future<Output = sqlx::Result<T>>) -> Result<T, ServerError> {
    block(within(asked)).map_err(failed)
}

/// What takes too long has failed: the server may be gone without a word.
async fn within<T>(asked: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let late = || {
        io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {PATIENCE:?}"),
        )
    };
    timeout(PATIENCE, asked)
        .await
        .unwrap_or_else(|_| Err(late().into()))
}

/// Waits on this very thread; whatever else it had to do goes on on others.
fn block<T>(work: impl Future<Output = T>) -> T {
    block_in_place(|| Handle::current().block_on(work))
}

/// What an error means, by its [code](https://www.postgresql.org/docs/current/errcodes-appendix.html).
fn failed(error: sqlx::Error) -> ServerError {
    let Some(code) = error.as_database_error().and_then(|error| error.code()) else {
        return match error {
            sqlx::Error::Configuration(_)
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::Encode(_)
            | sqlx::Error::RowNotFound => ServerError::Refused(error.to_string()),
            error => ServerError::Unreachable(error.to_string()),
        };
    };
    match code.as_ref() {
        "40001" | "40P01" => ServerError::Conflict,
        // It is about to stop, starts, or has no room; a standby is not yet promoted; an operator or a time limit has
        // cancelled the statement, or ended the session.
        "57014" | "57P01" | "57P02" | "57P03" | "57P05" | "25006" | "25P03" | "55P03" => {
            ServerError::Unreachable(error.to_string())
        }
        code if code.starts_with("53") || code.starts_with("08") => {
            ServerError::Unreachable(error.to_string())
        }
        _ => ServerError::Refused(error.to_string()),
    }
}

impl From<ServerError> for io::Error {
    fn from(error: ServerError) -> Self {
        io::Error::other(error)
    }
}
