//! The stories of the reference flows, under review.
//!
//! `stories/` holds one file a flow: one saga in causal order, without clock times, so that it changes when what happens
//! changes and not when the same takes another time. After a change, `cargo test -p squall-snapshots` shows the
//! difference and `cargo insta review` accepts it.
