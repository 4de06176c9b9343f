//! What the services of the shop share.

pub mod rows;

mod bug;
mod http;
mod settings;

pub use bug::{Bug, Bugs};
pub use http::{Refusal, serve};
pub use settings::{log_to_stderr, var};
