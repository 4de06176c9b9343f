//! Who uses the services: customers, operators, shopkeepers, and what they find when they come.

pub mod customer;
pub mod late;
pub mod operator;
pub mod shop;
pub mod trade;
