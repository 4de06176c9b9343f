//! The challenge service.
