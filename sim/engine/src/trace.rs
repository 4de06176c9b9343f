//! What happened in a run: the recorder of its [events](squall_core::event), what it covered, and what the services say.
//!
//! A campaign folds each event into a [`Recorder`]'s hash and forgets it. A replay keeps all of them as a [`Trace`].

mod coverage;
mod recorder;
pub mod subscriber;

pub use coverage::{Coverage, Feature};
pub use recorder::{Mode, Recorder, Trace};
pub use subscriber::{Installed, Sink, current_scope, install};
pub(crate) use subscriber::{turn_begins, waits_in};

use squall_core::event::{Event, Kind, Rolling, Row, Scope, What, message};
