//! Stub.
/// Stub.
pub struct Sim;
