//! Reference services: how to build saga-style microservices that survive every storm.
//!
//! Each service is a module with `model` (pure state machine), `store` (its tables) and `api` (routes, requests,
//! answers), written against the [`ports`] and the [`kit`]. Nothing here knows whether it runs on real sockets and
//! files or inside a simulation.
//!
//! Services are grouped by the flow that they belong to: [`rewards`], [`orchestration`], [`checkout`],
//! [`choreography`] and [`purchase`], each with an order service of its own but the first. What several flows use is
//! in [`shared`] and [`infrastructure`]; [`systems`] lists what runs together.

pub mod kit;
pub mod planted_bug;
pub mod ports;
pub mod service;

pub mod infrastructure;
pub mod shared;

pub mod checkout;
pub mod choreography;
pub mod orchestration;
pub mod purchase;
pub mod rewards;

#[cfg(not(madsim))]
pub mod live;
pub mod settings;
pub mod systems;
