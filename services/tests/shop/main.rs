//! Inventory, catalog and challenge as whole services, on machines in memory.

#[path = "../kit/machine.rs"]
#[allow(dead_code)]
mod machine;

mod catalog;
mod challenge;
mod inventory;
mod transports;
mod world;
