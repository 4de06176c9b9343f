//! What the services of the shop share.

pub mod rows;

mod bug;
mod files;
mod http;
mod settings;

pub use bug::{Bug, Bugs};
pub use files::Health;
pub use http::{Refusal, serve};
pub use settings::{log_to_stderr, var};
