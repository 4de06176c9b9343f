//! Machines in memory, and who asks what runs there.

pub mod computer;
pub mod machine;
pub mod world;
