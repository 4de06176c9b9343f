//! `replay` of a seed.

use super::*;

#[test]
fn replay_prints_the_same_bytes_every_time() {
    let line = "replay bank --seed 10 --plant forgets --trace";
    let said = squall(line);
    assert_eq!(said.exit, Exit::Failed);
    assert_eq!(said.out, squall(line).out);
    assert_has(
        &said.out,
        &[
            "bank (hardened + forgets), seed 10\nVIOLATED, ended at 1.000000\n",
            "no money is lost (little) at 12.003450",
            "at 0.01 s: vault is restarted  0.010000  effective",
            "completed        3",
        ],
    );
    let hash = fake::run(
        &Fake { name: "bank" },
        &Spec::of(&Fake { name: "bank" }, Seed(10)),
        Options::default(),
    )
    .hash;
    assert_has(&said.out, &[&format!("hash {hash:016x}\n")]);
    let replay = format!("replay: cargo run --release -p squall -- {line}\n");
    assert!(said.out.ends_with(&replay), "{}", said.out);
    assert_has(&said.err, &["1.0 s of virtual time in"]);
    let whole = said
        .out
        .split_once("\ntrace\n")
        .expect("the trace has a heading")
        .1;
    assert_eq!(
        whole.lines().filter(|line| line.contains("boots")).count(),
        21
    );
    let brief = squall("replay bank --seed 10 --plant forgets").out;
    assert!(!brief.contains("boots"), "{brief}");
}

#[test]
fn replay_of_a_seed_that_survives_exits_with_zero() {
    let said = squall("replay shop --seed 18446744073709551615");
    assert_eq!(said.exit, Exit::Survived, "{}", said.err);
    assert_has(
        &said.out,
        &["SURVIVED, ended at 1.000000", "touched nothing"],
    );
}
