//! What happened in a run: the recorder of its [events](crate::event), what it covered, and what the services say.
//!
//! A campaign folds each event into a [`Recorder`]'s hash and forgets it. A replay keeps all of them as a [`Trace`].

mod coverage;
mod recorder;
pub mod subscriber;

pub use crate::event::{Event, FOUND_AFTER_OUTAGE, Kind, Rolling, Row, Scope, What, Word};
pub use crate::event::{OLD_ENDS, OLD_LIVES_ON, http};
pub use coverage::{Coverage, Feature};
pub use recorder::{Mode, Recorder, Trace};
pub use subscriber::{Installed, Sink, current_scope, install};
pub(crate) use subscriber::{turn_begins, waits_in};
