//! The payment service and the gateway: lost answers, crashes, races, and every gap's damage to the money.

mod crashes;
mod gaps;
mod gateway;
mod money;
mod town;
