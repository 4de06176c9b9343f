//! Storms: explicit, serialisable lists of faults, drawn from a profile or read from a file.

mod aimed;
mod fault;
mod injector;
mod limits;
mod plan;
mod profile;
mod upgrading;

pub use fault::rows_in_words;
pub use fault::{Action, FaultKind, UNREADABLE_ONE_IN};

pub(crate) use injector::{Due, Injector};
pub use plan::{Fault, FaultReport, PCT_MAX, PLAN_VERSION, Plan, PlanError, STORM_MS_MAX, When};
pub use profile::{CustomFault, Profile};
