//! User, coupon and checkout as whole services, on machines in memory.

#[path = "../kit/machine.rs"]
#[allow(dead_code)]
mod machine;
#[path = "../shop/world.rs"]
#[allow(dead_code)]
mod world;

mod coupon;
mod executor;
mod flow;
mod user;
