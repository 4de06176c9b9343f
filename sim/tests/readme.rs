//! The toy scenario that the README shows is the one that is compiled here, and does what the README says of it.

#[path = "../examples/deposits.rs"]
#[allow(dead_code)]
mod deposits;

use deposits::Deposits;
use squall::testing;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
const TOY: &str = include_str!("../examples/deposits.rs");

#[test]
fn the_readme_shows_the_toy_word_for_word() {
    let readme = std::fs::read_to_string(README)
        .expect("there is a README.md beside the workspace's Cargo.toml");
    let shown: Vec<&str> = readme
        .split("```rust\n")
        .skip(1)
        .filter_map(|block| block.split("```").next())
        .collect();
    assert!(
        shown.contains(&TOY),
        "README.md does not contain sim/examples/deposits.rs word for word between ```rust and ```: copy it there"
    );
}

#[test]
fn the_toy_survives_its_storms() {
    let totals = testing::check(&Deposits, 200);
    assert_eq!(totals.tally.count("calls ok"), 5 * totals.tally.runs);
}

#[test]
fn the_toy_s_bug_is_found() {
    let found = testing::finds(&Deposits, "counts-twice", 500);
    assert_eq!(found.signature.invariant, "each deposit counts once");
    assert_eq!(found.signature.tag, "twice");
}
