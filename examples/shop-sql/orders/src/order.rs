//! Orders, as rows.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use shop_sql_inventory::Line;
use sqlx::{FromRow, Row, postgres::PgRow, types::Json};
use uuid::Uuid;

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What it goes by.
    pub id: Uuid,
    /// Who pays.
    pub customer: String,
    /// What is ordered.
    pub lines: Vec<Line>,
    /// What has become of it.
    pub state: State,
    /// What it costs, once it is reserved.
    pub total: Option<i64>,
    /// Why it is cancelled, if it is.
    pub reason: Option<String>,
    /// How often it has been taken: whoever has taken it last may write it.
    #[serde(skip)]
    pub fence: i64,
}

/// What has become of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The inventory is asked.
    Reserving,
    /// The payments service is asked.
    Charging,
    /// It is paid for, and comes.
    Confirmed,
    /// It does not come, and costs nothing.
    Cancelled,
}

impl State {
    /// Its name in the database.
    pub fn name(self) -> &'static str {
        match self {
            State::Reserving => "reserving",
            State::Charging => "charging",
            State::Confirmed => "confirmed",
            State::Cancelled => "cancelled",
        }
    }

    /// Whether it is final.
    pub fn is_decided(self) -> bool {
        matches!(self, State::Confirmed | State::Cancelled)
    }
}

impl FromStr for State {
    type Err = sqlx::Error;

    fn from_str(name: &str) -> sqlx::Result<State> {
        match name {
            "reserving" => Ok(State::Reserving),
            "charging" => Ok(State::Charging),
            "confirmed" => Ok(State::Confirmed),
            "cancelled" => Ok(State::Cancelled),
            _ => Err(sqlx::Error::Decode(format!("no state is {name}").into())),
        }
    }
}

impl FromRow<'_, PgRow> for Order {
    fn from_row(row: &PgRow) -> sqlx::Result<Order> {
        let Json(lines) = row.try_get("lines")?;
        Ok(Order {
            id: row.try_get("id")?,
            customer: row.try_get("customer")?,
            lines,
            state: row.try_get::<&str, _>("state")?.parse()?,
            total: row.try_get("total")?,
            reason: row.try_get("reason")?,
            fence: row.try_get("fence")?,
        })
    }
}
