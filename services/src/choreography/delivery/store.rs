//! The delivery service's tables.

use serde::{Deserialize, Serialize};

use super::model::State;
use crate::{
    choreography::Placed,
    kit::{Context, Table},
};

/// The database's file.
pub const FILE: &str = "delivery.redb";

/// Shipments, by order.
pub const SHIPMENTS: Table<Shipment> = Table::new("shipments");

/// Shipments that are under way, by order: what the courier has to do.
pub const OPEN: Table<Open> = Table::new("open_shipments");

/// A shipment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipment {
    /// What, and to whom.
    pub placed: Placed,
    /// The request that began the order.
    pub context: Context,
    /// Where it is.
    pub state: State,
    /// How often it was tried.
    pub tries: u32,
    /// Wall clock of the last change.
    pub at_ms: u64,
}

impl Shipment {
    /// A shipment that sets out.
    pub fn new(placed: Placed, context: Context, at_ms: u64) -> Self {
        Shipment {
            placed,
            context,
            state: State::Started,
            tries: 0,
            at_ms,
        }
    }
}

/// A mark that a shipment is under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Open {}
