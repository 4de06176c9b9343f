//! What else ordinary services are made of. Each module has a server, `serve`, and what a client of it does.

pub mod events;
pub mod grpc;
pub mod shutdown;
pub mod threads;
pub mod timeouts;
pub mod websocket;
