//! PostgreSQL, which restarts, fails over and loses connections.

use std::{
    ops::{Deref, DerefMut},
    str::FromStr,
    time::Duration,
};

use anyhow::Result as Started;
use sqlx::{
    Connection, FromRow, PgConnection, PgPool, Postgres, SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
    pool::PoolConnection,
    postgres::{PgArguments, PgConnectOptions, PgPoolOptions, PgRow},
    query::QueryAs,
};
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::{Error, Result};

/// How a transaction begins in which each statement sees what is committed when it begins.
pub const READ_COMMITTED: &str = "BEGIN";
/// How a transaction begins in which all statements see what was committed when the first began.
pub const REPEATABLE_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ";
/// How a transaction begins that is as if it were alone.
pub const SERIALIZABLE: &str = "BEGIN ISOLATION LEVEL SERIALIZABLE";

/// How often a transaction is tried that conflicts with others.
const TRIES: u32 = 8;
/// How long a transaction may take. Connections have no limit of their own: one whose other end is gone waits for ever.
const PATIENCE: Duration = Duration::from_secs(4);
/// The advisory lock of whoever migrates.
const MIGRATING: i64 = 0x5348_4f50;

/// A statement whose rows are `T`s.
pub type Statement<'q, T> = QueryAs<'q, Postgres, T, PgArguments>;

/// What a row can be read as.
pub trait Row: for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T: for<'r> FromRow<'r, PgRow> + Send + Unpin> Row for T {}

/// Migrations of SQL, which are numbered from 1.
pub fn migrations(sql: &[&'static str]) -> Vec<Migration> {
    let numbered = sql.iter().zip(1..).map(|(sql, version)| {
        let sql = sql.into_sql_str();
        Migration::new(version, "".into(), MigrationType::Simple, sql, false)
    });
    numbered.collect()
}

fn late() -> Error {
    Error::Unknown("the database does not answer".to_owned())
}

/// A schema of a database.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    schema: &'static str,
}

impl Database {
    /// Connects when it is used.
    ///
    /// # Errors
    ///
    /// The URL means nothing.
    pub fn open(url: &str, schema: &'static str) -> Started<Database> {
        let options = PgConnectOptions::from_str(url)?
            .application_name(schema)
            .options([
                ("search_path", schema),
                ("statement_timeout", "3s"),
                // Its disk has no head that moves.
                ("random_page_cost", "1.1"),
                // A client that vanished leaves its transaction open, and with it its locks.
                ("idle_in_transaction_session_timeout", "5s"),
            ]);
        let pool = PgPoolOptions::new()
            .max_connections(5)
            .acquire_timeout(Duration::from_secs(2))
            .connect_lazy_with(options);
        Ok(Database { pool, schema })
    }

    /// Makes the schema what the migrations say. Waits for the database.
    ///
    /// # Errors
    ///
    /// The database does not come, or refuses.
    pub async fn migrate(&self, migrations: &[&'static str]) -> Started<()> {
        let mut migrator = Migrator::with_migrations(self::migrations(migrations));
        // Its own lock is a session's: that of a client that vanished would stay.
        migrator.set_locking(false).create_schema(self.schema);
        let mut pause = Duration::from_millis(50);
        loop {
            let Err(error) = self.try_to_migrate(&migrator).await else {
                return Ok(());
            };
            warn!("the database is not ready: {error:#}");
            if pause > Duration::from_secs(60) {
                return Err(error);
            }
            sleep(pause.min(Duration::from_secs(2))).await;
            pause *= 2;
        }
    }

    async fn try_to_migrate(&self, migrator: &Migrator) -> Started<()> {
        let mut connection = self.pool.acquire().await?;
        let migrating = async {
            let mut transaction = connection.begin().await?;
            sqlx::query("SELECT pg_advisory_xact_lock($1)")
                .bind(MIGRATING)
                .execute(&mut *transaction)
                .await?;
            migrator.run(&mut *transaction).await?;
            Ok(transaction.commit().await?)
        };
        let migrated = timeout(PATIENCE, migrating).await;
        migrated.unwrap_or_else(|late| {
            drop(connection.detach());
            Err(late.into())
        })
    }

    /// The connections, for single statements.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Does work in a transaction, which it commits; again, from its first statement, if it conflicts with others. An error
    /// of the database tells nothing of whether it is done: COMMIT's answer may be lost.
    ///
    /// # Errors
    ///
    /// Those of the work, which is not done then; and those of the database.
    pub async fn transaction<T, F: Future<Output = Result<T>>>(
        &self,
        begin: &'static str,
        work: impl Fn(Transaction) -> F,
    ) -> Result<T> {
        let mut pause = Duration::from_millis(5);
        for _ in 1..TRIES {
            match self.attempt(begin, &work).await {
                Err(error) if error.is_conflict() => sleep(pause).await,
                done => return done,
            }
            pause *= 2;
        }
        self.attempt(begin, &work).await
    }

    async fn attempt<T, F: Future<Output = Result<T>>>(
        &self,
        begin: &'static str,
        work: &impl Fn(Transaction) -> F,
    ) -> Result<T> {
        let attempt = async {
            let mut transaction = Transaction(Some(self.pool.acquire().await?));
            sqlx::query(begin).execute(&mut *transaction).await?;
            work(transaction).await
        };
        let done = timeout(PATIENCE, attempt).await;
        done.unwrap_or_else(|_| Err(late()))
    }

    /// Runs a single statement, which is a transaction of its own. An error tells nothing of whether it is done.
    ///
    /// # Errors
    ///
    /// The database has failed.
    pub async fn fetch<T: Row>(&self, statement: Statement<'_, T>) -> Result<Vec<T>> {
        let mut connection = self.pool.acquire().await?;
        let fetched = timeout(PATIENCE, statement.fetch_all(&mut *connection)).await;
        match fetched {
            Ok(rows) => Ok(rows?),
            Err(_) => {
                drop(connection.detach());
                Err(late())
            }
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    ///
    /// It does not.
    pub async fn answers(&self) -> Result<()> {
        let asked: Vec<(i32,)> = self.fetch(sqlx::query_as("SELECT 1")).await?;
        debug_assert_eq!(asked, [(1,)]);
        Ok(())
    }

    /// Gives its connections back, if they can be given back.
    pub(crate) async fn close(&self) {
        let _ = timeout(PATIENCE, self.pool.close()).await;
    }
}

/// A transaction, which is rolled back if it is not committed.
#[derive(Debug)]
pub struct Transaction(Option<PoolConnection<Postgres>>);

const OPEN: &str = "it has a connection until it ends";

impl Transaction {
    /// Makes it last. If that fails, nobody knows whether it does.
    ///
    /// # Errors
    ///
    /// It conflicts with others and has to be done again, or the database has failed.
    pub async fn commit(mut self) -> Result<()> {
        let committed = sqlx::query("COMMIT").execute(&mut *self).await;
        if matches!(committed, Ok(_) | Err(sqlx::Error::Database(_))) {
            // There is an answer: it has ended, in one way or the other.
            self.0 = None;
        }
        Ok(committed.map(drop)?)
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.as_ref().expect(OPEN)
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect(OPEN)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            tokio::spawn(roll_back(connection));
        }
    }
}

/// Rolls back; or drops the connection, if its other end does not answer: the pool would wait for it for ever.
async fn roll_back(mut connection: PoolConnection<Postgres>) {
    let rolled_back = sqlx::query("ROLLBACK").execute(&mut *connection);
    if !matches!(timeout(PATIENCE, rolled_back).await, Ok(Ok(_))) {
        drop(connection.detach());
    }
}
