//! The payment service and the gateway, each on a machine in memory: lost answers, crashes, races, and every gap's
//! damage to the money.

mod crashes;
mod gaps;
mod gateway;
#[allow(dead_code)]
#[path = "../kit/machine.rs"]
mod machine;
mod money;
mod town;
