//! Storms as a run carries them out: which fault is due.

mod injector;

pub use squall_core::storm::{
    Action, CustomFault, Fault, FaultKind, FaultReport, PCT_MAX, PLAN_VERSION, Plan, PlanError,
    Profile, STORM_MS_MAX, When, depth,
};

pub(crate) use injector::{Due, Injector};
