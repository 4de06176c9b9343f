//! The data platform's tables.

use crate::kit::{Table, events::Event};

/// The database's file.
pub const FILE: &str = "dataplatform.redb";

/// Everything it was told, by event id.
pub const FACTS: Table<Event> = Table::new("facts");
