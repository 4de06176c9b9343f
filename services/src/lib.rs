//! Reference services: how to build saga-style microservices that survive every storm.
//!
//! Each service is a module with `model` (pure state machine), `store` (its tables) and `api` (routes, requests,
//! answers), written against the [`ports`] and the [`kit`]. Nothing here knows whether it runs on real sockets and
//! files or inside a simulation.

pub mod gap;
pub mod kit;
#[cfg(not(madsim))]
pub mod live;
pub mod ports;
pub mod service;
pub mod system;

pub mod bag;
pub mod bus;
pub mod catalog;
pub mod challenge;
pub mod checkout;
pub mod choreography;
pub mod coupon;
pub mod dataplatform;
pub mod delivery;
pub mod gateway;
pub mod inventory;
pub mod lock;
pub mod notification;
pub mod order;
pub mod payment;
pub mod pg;
pub mod purchase;
pub mod ranking;
pub mod user;
