//! Orders orchestrated by a saga: stock, a payment in two phases, completion.

pub mod orders;
