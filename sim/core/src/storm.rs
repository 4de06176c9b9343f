//! Storms: explicit, serialisable lists of faults, drawn from a profile or read from a file.

mod aimed;
mod draw;
mod plan;

pub use crate::fault::{Action, CustomFault, Fault, FaultKind, Profile, UNREADABLE_ONE_IN, When};
pub use draw::depth;
pub use plan::{FaultReport, PCT_MAX, PLAN_VERSION, Plan, PlanError, STORM_MS_MAX};
