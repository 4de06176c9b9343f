//! What the README shows is compiled here, and does what the README says of it; so is the larger scenario of the guide.

#[path = "../examples/deposits.rs"]
#[allow(dead_code)]
mod deposits;

use deposits::Deposits;
use squall::testing;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
const LINES_MAX: usize = 150;
const FIRST_STORM: &str = include_str!("readme/first_storm.rs");

#[path = "readme/first_storm.rs"]
mod first_storm;

fn readme() -> String {
    std::fs::read_to_string(README).expect("there is a README.md beside the workspace's Cargo.toml")
}

#[test]
fn the_readme_shows_the_first_storm_word_for_word() {
    let shown = FIRST_STORM.replace("pub fn", "#[test]\nfn");
    assert!(
        readme().contains(&format!("```rust\n{shown}```")),
        "README.md does not contain sim/tests/readme/first_storm.rs word for word, as a test: copy it there"
    );
}

#[test]
fn the_readme_can_be_read_in_two_minutes() {
    let lines = readme().lines().count();
    assert!(
        lines <= LINES_MAX,
        "README.md has {lines} lines: move something into the guide"
    );
}

#[test]
#[should_panic(expected = "a reset of the connection comes in place of vault's answer to teller")]
fn the_first_storm_finds_that_a_repeated_deposit_counts_twice() {
    first_storm::a_deposit_counts_once();
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
