//! What services are reached by and coordinate with: the gateway, the bus, the lock service.

pub mod bus;
pub mod gateway;
pub mod lock;
