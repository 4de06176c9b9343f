//! Services that several [systems](crate::systems) have in common. They know of none of them.

pub mod catalog;
pub mod inventory;
pub mod notification;
pub mod payment;
pub mod payment_provider;
pub mod user;
