//! Everything that a person or a script reads: tables, failures, traces as text and as stories, pages, and JSON.
//!
//! It renders what the engine and its exploration give, judges nothing and runs nothing. This crate is a part of `squall`,
//! which is the one to depend on.

pub mod again;
pub mod annotation;
pub mod bugs;
pub mod excerpt;
pub mod failure;
pub mod json;
pub mod junit;
pub mod outcome;
pub mod render;
pub mod sentence;
pub mod stores;
mod style;
pub mod summary;
pub mod sweep;
pub mod table;
pub mod trace;
pub mod words;

pub use style::{Paint, Style};
pub use words::{count, duration, rate};
