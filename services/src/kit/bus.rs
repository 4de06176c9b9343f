//! Events between services: what they carry, how they are sent, how they are heard.
//!
//! A service sends through its [outbox](super::outbox), never directly, and hears through a [`Consumer`], whose handler
//! remembers in its [inbox](super::inbox) what it has handled. Delivery is at least once, in order per key; the inbox
//! makes the effect exactly once.
//!
//! What is *not* here: the bus itself. It is a [service](crate::infrastructure::bus) like the others, reached over HTTP.

mod client;
mod consume;
mod consumer;
pub mod dead;
mod event;
mod listen;
mod protocol;

pub use client::{Bus, Refused};
pub use consume::retry_after;
pub(crate) use consumer::DELIVERIES_MAX;
pub use consumer::{Consumer, Handler, Subscription};
pub use dead::{DEAD_EVENTS, DeadEvent};
pub use event::{ENVELOPE, Event, HandlerError};
pub use protocol::{Delivery, Outcome, Read, Settled, Subscribe};
