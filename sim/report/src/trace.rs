//! What happened in a run, as a person reads it: [`text`] shows a trace line by line and [`story`] retells it saga by
//! saga.

mod brief;
mod links;
pub(crate) mod members;
pub(crate) mod names;
pub(crate) mod rows;
pub mod story;
#[cfg(test)]
pub(crate) mod testing;
pub mod text;

pub(crate) use brief::changes;
pub(crate) use links::Links;

use squall_core::event::{Event, Row, Scope, What, message};
use squall_engine::trace::Trace;
