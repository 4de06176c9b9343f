//! Events between services: what they carry, how they are sent, how they are heard.
//!
//! A service sends through its [outbox](super::outbox), never directly, and hears through a [`Consumer`], whose handler
//! remembers in its [inbox](super::inbox) what it has handled. Delivery is at least once, in order per key; the inbox
//! makes the effect exactly once.
//!
//! What is *not* here: the bus itself. It is a [service](crate::infrastructure::bus) like the others, reached over HTTP.

mod client;
mod consumer;
pub mod dead;
mod event;
mod listen;
mod member;
mod protocol;

pub use client::{Bus, Refused};
pub use consumer::{Consumer, Handler, HandlerError, Subscription, retry_after};
pub use dead::{DEAD_EVENTS, DeadEvent};
pub use event::{ENVELOPE, Event};
pub use member::{Member, Says, Settings};
pub use protocol::{Delivery, Outcome, Read, Settled, Subscribe};
