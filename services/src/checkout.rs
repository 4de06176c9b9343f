//! Checkout: orders paid from a balance and with coupons, and the subscribers that are told after the commit.

pub mod coupon;
pub mod data_platform;
pub mod orders;
pub mod ranking;
