//! Workloads: customers, operators, shopkeepers, and the shop that they use.

pub mod customer;
pub mod late;
pub mod operator;
pub mod shop;
pub mod trade;
