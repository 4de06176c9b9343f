//! Everything that a person or a script reads: tables, failures, traces as text and as stories, pages, and JSON.
//!
//! It renders what the engine and its exploration give, judges nothing and runs nothing. This crate is a part of `squall`,
//! which is the one to depend on.

pub mod again;
pub mod excerpt;
pub mod failure;
pub mod json;
pub mod junit;
mod numbers;
pub mod render;
pub mod stores;
mod style;
pub mod summary;
pub mod sweep;
pub mod table;
pub mod trace;

pub use numbers::{count, duration, rate};
pub use style::{Paint, Style};
