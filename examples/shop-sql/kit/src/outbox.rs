//! Events that are written together with what they tell of, and sent afterwards, at least once.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{PgConnection, postgres::PgListener};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tracing::warn;
use uuid::Uuid;

use crate::{Bug, Bugs, Database, Peer, READ_COMMITTED, Result, Transaction};

/// The migration that makes its tables.
pub const MIGRATION: &str = "
    CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        event uuid NOT NULL,
        subject uuid NOT NULL,
        kind text NOT NULL,
        detail jsonb NOT NULL
    );
    CREATE INDEX outbox_by_subject ON outbox (subject, id);
    CREATE TABLE outbox_cursor (last bigint NOT NULL);
    INSERT INTO outbox_cursor VALUES (0)";

/// How often is looked for events that nothing has told of.
const ROUND: Duration = Duration::from_secs(1);

/// An event, as it is sent. Whoever hears of it twice knows that by its `event`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its name, which it keeps however often it is sent.
    pub event: Uuid,
    /// What it tells of. Events of one subject come in their order.
    pub subject: Uuid,
    /// What has happened.
    pub kind: String,
    /// All else.
    pub detail: Value,
}

/// Writes an event, in the transaction of what it tells of.
///
/// # Errors
///
/// The database has failed.
pub async fn publish(
    transaction: &mut PgConnection,
    subject: Uuid,
    kind: &str,
    detail: &Value,
) -> Result<()> {
    let insert = "
        WITH written AS (
            INSERT INTO outbox (event, subject, kind, detail) VALUES ($1, $2, $3, $4) RETURNING id
        ) SELECT pg_notify('outbox', id::text) FROM written";
    sqlx::query(insert)
        .bind(Uuid::new_v4())
        .bind(subject)
        .bind(kind)
        .bind(detail)
        .execute(transaction)
        .await?;
    Ok(())
}

/// Sends events to those who want them. Any number of relays may do so at the same time.
pub struct Relay {
    /// Where the outbox is.
    pub database: Database,
    /// Who is told of which kinds.
    pub subscribers: Vec<(Peer, &'static [&'static str])>,
    /// The bugs that it has.
    pub bugs: Bugs,
}

type Row = (i64, Uuid, Uuid, String, Value);

impl Relay {
    /// Sends for ever: what a notification tells of at once, and all else soon.
    pub async fn run(self) {
        let (tell, mut told) = mpsc::channel(100);
        let listening = listen(self.database.clone(), tell);
        let sending = async {
            loop {
                let id = timeout(ROUND, told.recv()).await;
                let sent = match (id, self.bugs.has(Bug::NotifyTakenForDelivery)) {
                    (Ok(Some(id)), true) => self.send(Some(id)).await,
                    (_, true) => continue,
                    (_, false) => {
                        while told.try_recv().is_ok() {}
                        self.send_all().await
                    }
                };
                if let Err(error) = sent {
                    warn!("outbox: {error}");
                }
            }
        };
        tokio::join!(listening, sending);
    }

    async fn send_all(&self) -> Result<usize> {
        let mut all = 0;
        loop {
            match self.send(None).await? {
                0 => return Ok(all),
                sent => all += sent,
            }
        }
    }

    /// Sends some events, and deletes what has arrived. Returns how many that are.
    async fn send(&self, id: Option<i64>) -> Result<usize> {
        let send = |transaction| self.send_in(transaction, id);
        self.database.transaction(READ_COMMITTED, send).await
    }

    async fn send_in(&self, mut transaction: Transaction, id: Option<i64>) -> Result<usize> {
        let mut sent = Vec::new();
        for row in self.take(&mut transaction, id).await? {
            let id = row.0;
            match self.deliver(row).await {
                Ok(()) => sent.push(id),
                // What is deleted already has to come back.
                Err(error) if self.bugs.has(Bug::ReturningOrder) => return Err(error),
                Err(error) => {
                    warn!("outbox: {error}");
                    break;
                }
            }
        }
        sqlx::query("DELETE FROM outbox WHERE id = ANY($1)")
            .bind(&sent)
            .execute(&mut *transaction)
            .await?;
        if self.bugs.has(Bug::CursorPassesOpenTransaction)
            && let Some(last) = sent.last()
        {
            sqlx::query("UPDATE outbox_cursor SET last = $1")
                .bind(last)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(sent.len())
    }

    /// Takes the first event of each subject, in their order, unless another relay has it. The second has to wait for the
    /// first to be deleted: or else another relay, which skips what this one has locked, would overtake it.
    async fn take(&self, transaction: &mut PgConnection, id: Option<i64>) -> Result<Vec<Row>> {
        let rows = if let Some(id) = id {
            sqlx::query_as("SELECT id, event, subject, kind, detail FROM outbox WHERE id = $1")
                .bind(id)
        } else if self.bugs.has(Bug::CursorPassesOpenTransaction) {
            sqlx::query_as(
                "WITH cursor AS (SELECT last FROM outbox_cursor FOR UPDATE)
                 SELECT id, event, subject, kind, detail FROM outbox, cursor
                 WHERE id > last ORDER BY id LIMIT 4",
            )
        } else if self.bugs.has(Bug::ReturningOrder) {
            sqlx::query_as(
                "DELETE FROM outbox WHERE id IN
                 (SELECT id FROM outbox ORDER BY id LIMIT 4 FOR UPDATE SKIP LOCKED)
                 RETURNING id, event, subject, kind, detail",
            )
        } else {
            sqlx::query_as(
                "SELECT id, event, subject, kind, detail FROM outbox AS head WHERE NOT EXISTS
                 (SELECT FROM outbox AS earlier WHERE earlier.subject = head.subject AND earlier.id < head.id)
                 ORDER BY id LIMIT 4 FOR UPDATE OF head SKIP LOCKED",
            )
        };
        Ok(rows.fetch_all(transaction).await?)
    }

    async fn deliver(&self, (_, event, subject, kind, detail): Row) -> Result<()> {
        let event = Event {
            event,
            subject,
            kind,
            detail,
        };
        for (subscriber, kinds) in &self.subscribers {
            if kinds.contains(&&*event.kind) {
                let _: Value = subscriber.post("/events", &event).await?;
            }
        }
        Ok(())
    }
}

/// What a subscriber answers.
pub fn heard() -> axum::Json<Value> {
    axum::Json(json!({}))
}

/// Tells of the events that a notification tells of. It tells of none that are written while it is not connected.
async fn listen(database: Database, tell: mpsc::Sender<i64>) {
    loop {
        let listening = async {
            let mut listener = PgListener::connect_with(database.pool()).await?;
            listener.listen("outbox").await?;
            loop {
                let id = listener.recv().await?.payload().parse();
                if tell.send(id.unwrap_or_default()).await.is_err() {
                    return Ok(());
                }
            }
        };
        let ended: std::result::Result<(), sqlx::Error> = listening.await;
        match ended {
            Ok(()) => return,
            Err(error) => warn!("outbox: {error}"),
        }
        sleep(ROUND).await;
    }
}
