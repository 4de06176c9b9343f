//! The inconsistency windows of product sync, measured by mode and storm.

pub mod command;
mod measure;
mod page;
mod storms;
mod table;
