//! User, coupon and checkout as whole services.

mod coupon;
mod executor;
mod flow;
mod user;
