//! The payment service and the gateway: lost answers, crashes, races, and every bug's damage to the money.

mod bugs;
mod crashes;
mod gateway;
mod money;
mod town;
