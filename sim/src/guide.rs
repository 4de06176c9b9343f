//! The guide. Its examples are compiled and run with the tests.
//!
//! * [`tutorial`]: a first storm, and faults by hand
//! * [`adopting`]: your own services in ten minutes
//! * [`servers`]: the real PostgreSQL and Redis beside them, and other programs of Linux
//! * [`exploring`]: which storms are tried, and how a run is judged
//! * [`replaying`]: failures made small, replayed, drawn
//! * [`plans`]: plan files and sites
//! * [`campaigns`]: nights of storms, on many machines
//! * [`reference_systems`]: ten scenarios over published designs, and the bugs that storms find in them
//! * [`live`]: the same services on real sockets and files
//! * [`nondeterminism`]: what is simulated of unmodified programs, and where that differs from Linux
//! * [`guarantees`]: what is guaranteed, and what is not
//! * [`measurements`]: what was measured, and with which commands
//! * [`glossary`]

#[doc = include_str!("guide/tutorial.md")]
pub mod tutorial {}

#[doc = include_str!("guide/adopting.md")]
#[doc = "```no_run"]
#[doc = include_str!("../examples/deposits.rs")]
#[doc = "```"]
#[doc = ""]
#[doc = include_str!("guide/adopting_ports.md")]
pub mod adopting {}

#[doc = include_str!("guide/servers.md")]
pub mod servers {}

#[doc = include_str!("guide/exploring.md")]
pub mod exploring {}

#[doc = include_str!("guide/replaying.md")]
pub mod replaying {}

#[doc = include_str!("guide/plans.md")]
pub mod plans {}

#[doc = include_str!("guide/campaigns.md")]
pub mod campaigns {}

#[doc = include_str!("guide/reference_systems.md")]
pub mod reference_systems {}

#[doc = include_str!("guide/live.md")]
pub mod live {}

#[doc = include_str!("guide/nondeterminism.md")]
pub mod nondeterminism {}

#[doc = include_str!("guide/guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("guide/measurements.md")]
pub mod measurements {}

#[doc = include_str!("guide/glossary.md")]
pub mod glossary {}
