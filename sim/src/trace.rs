//! What happened in a run: the recorder of its [events](crate::event), what it covered, the full record, and its text.
//!
//! A campaign folds each event into a [`Recorder`]'s hash and forgets it. A replay keeps all of them as a [`Trace`],
//! which [`text`] shows line by line and [`story`] retells saga by saga.

mod coverage;
mod links;
pub(crate) mod members;
pub(crate) mod names;
mod recorder;
pub(crate) mod rows;
pub mod story;
pub mod subscriber;
#[cfg(test)]
pub(crate) mod testing;
pub mod text;

pub use crate::event::{Event, FOUND_AFTER_OUTAGE, Kind, Rolling, Row, Scope, What, Word};
pub(crate) use crate::event::{OLD_ENDS, OLD_LIVES_ON, http};
pub use coverage::{Coverage, Feature};
pub use links::Links;
pub use recorder::{Mode, Recorder, Trace};
pub(crate) use rows::changes;
pub use subscriber::{Installed, Sink, current_scope, install};
pub(crate) use subscriber::{turn_begins, waits_in};
