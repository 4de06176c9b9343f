//! Storms: explicit, serialisable lists of faults, drawn from a profile or read from a file.

mod fault;
mod injector;
mod limits;
mod plan;
mod profile;

pub use fault::{Action, FaultKind};

pub(crate) use injector::{Due, Injector};
pub use plan::{Fault, FaultReport, PCT_MAX, PLAN_VERSION, Plan, PlanError, STORM_MS_MAX, When};
pub use profile::{CustomFault, Profile};
