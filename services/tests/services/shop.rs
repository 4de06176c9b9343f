//! Inventory, catalog and challenge as whole services.

mod catalog;
mod challenge;
mod inventory;
mod transports;
