//! `sweep`.

use super::*;

#[test]
fn a_sweep_tells_of_each_kind_how_many_sites_survived() {
    let said = squall("sweep bank --seed 1 --pairs 5 --jobs 2");
    assert_eq!(said.exit, Exit::Survived, "{}{}", said.out, said.err);
    assert_has(
        &said.out,
        &[
            "bank (hardened): 3 sites met, 1 of them pruned",
            "crash before             2      2          0  2 of 2 sites survived",
            "sync error               1",
            "WARNING: crash before never touched anything",
            "pairs: 0 of 0",
        ],
    );
    assert!(!said.out.contains("write error"), "it applies nowhere");
    let again = squall("sweep bank --seed 1 --pairs 5 --jobs 1");
    assert_eq!(said.out, again.out);
}

#[test]
fn a_sweep_that_finds_something_writes_it_down_and_ends_with_the_command_that_replays_it() {
    let folder = std::env::temp_dir().join(format!("squall-sweep-{}", std::process::id()));
    let out = folder.display();
    let line = format!("sweep bank --plant forgets --seed 10 --out {out}");
    let said = squall(&line);
    assert_eq!(said.exit, Exit::Failed);
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().flatten().collect();
    assert_eq!(files.len(), 1);
    let replay = format!("replay {} --trace", files[0].path().display());
    assert_has(&said.out, &["VIOLATED bank (hardened + forgets)", &replay]);
    let json = squall(&format!("{line} --format json"));
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("one object");
    assert_eq!(json["violations"][0]["tag"], "little");
    assert_eq!(json["matrix"]["rows"], serde_json::json!([]));
    std::fs::remove_dir_all(folder).unwrap();

    for line in [
        "sweep",
        "sweep no-such",
        "sweep bank --seed 1 --seeds 3",
        "sweep bank shop",
    ] {
        assert_eq!(squall(line).exit, Exit::Usage, "{line}");
    }
}
