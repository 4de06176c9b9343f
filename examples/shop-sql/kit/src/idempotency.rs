//! Requests that may come again.

use axum::http::StatusCode;
use serde::Serialize;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use crate::{Bug, Bugs, Error, Result};

/// The migration that makes its table.
pub const MIGRATION: &str = "
    CREATE TABLE idempotency_keys (
        key text PRIMARY KEY,
        request jsonb NOT NULL,
        subject uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )";

/// Whether a request is the first with its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is: what it asks for has to be done, in this transaction.
    First,
    /// It has come before, and this came of it.
    Again(Uuid),
}

/// Remembers a request, of which `subject` will come, unless it has come before.
///
/// # Errors
///
/// The key was another request's, or the database has failed.
pub async fn remember(
    transaction: &mut PgConnection,
    key: &str,
    request: &(impl Serialize + Sync),
    subject: Uuid,
    bugs: &Bugs,
) -> Result<Seen> {
    let inserted: Option<(Uuid,)> = sqlx::query_as(
        "INSERT INTO idempotency_keys (key, request, subject) VALUES ($1, $2, $3)
         ON CONFLICT (key) DO NOTHING RETURNING subject",
    )
    .bind(key)
    .bind(Json(request))
    .bind(subject)
    .fetch_optional(&mut *transaction)
    .await?;
    if inserted.is_some() || bugs.has(Bug::ConflictTakenForInserted) {
        return Ok(Seen::First);
    }
    let (subject, is_same): (Uuid, bool) =
        sqlx::query_as("SELECT subject, request = $2 FROM idempotency_keys WHERE key = $1")
            .bind(key)
            .bind(Json(request))
            .fetch_one(transaction)
            .await?;
    match is_same {
        true => Ok(Seen::Again(subject)),
        false => Err(Error::refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "the key is another request's",
        )),
    }
}
