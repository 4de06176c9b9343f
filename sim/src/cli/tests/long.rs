//! `fuzz`, `merge` and `bugs` over fake runs.

use std::{fs, time::Duration};

use squall_engine::storm::Plan;
use squall_explore::{campaign::NOT_DRAWN, failure::Build};

use super::*;
use crate::cli::fuzz::time_to_shrink;

/// In a directory of the test's own, which is `{}` in the line.
fn in_place(scratch: &tempfile::TempDir, line: &str) -> Said {
    squall(&line.replace("{}", &scratch.path().display().to_string()))
}

#[test]
fn a_time_that_no_clock_shows_is_no_limit() {
    let said = squall("fuzz bank --for 5000000000000000h --runs 100");
    assert_eq!(said.exit, Exit::Survived, "{}", said.err);
}

#[test]
fn a_fuzzing_that_was_split_and_interrupted_is_merged_to_what_one_campaign_gives() {
    let scratch = tempfile::tempdir().unwrap();
    for shard in 0..3 {
        // Twice: the second sitting goes on where the first ended.
        for runs in [2_500, 4_000] {
            let line = format!(
                "fuzz bank --plant forgets --runs {runs} --shard {shard}/3 --out {{}}/{shard}"
            );
            let said = in_place(&scratch, &line);
            assert_eq!(said.exit, Exit::Failed, "{}{}", said.out, said.err);
            assert_has(&said.err, &["kept in "]);
        }
    }
    let merged = in_place(&scratch, "merge {}/0 {}/1 {}/2 --format json --out {}/all");
    let whole = squall("run bank --plant forgets --seeds 4000 --format json --no-shrink");
    assert_eq!(merged.exit, Exit::Failed);
    let [merged, whole]: [Value; 2] =
        [&merged, &whole].map(|said| serde_json::from_str(&said.out).unwrap());
    for part in [
        "runs",
        "verdicts",
        "faults",
        "counts",
        "determinism",
        "campaigns",
    ] {
        assert_eq!(merged[part], whole[part], "{part}");
    }
    let failures = |report: &Value| -> Vec<(Value, Value, Value)> {
        let all = report["violations"].as_array().unwrap();
        let told = |one: &Value| {
            (
                one["seed"].clone(),
                one["tag"].clone(),
                one["count"].clone(),
            )
        };
        all.iter().map(told).collect()
    };
    assert_eq!(failures(&merged), failures(&whole));
    assert_eq!(failures(&whole).len(), 3);
    let again = in_place(&scratch, "merge {}/all");
    assert_eq!(again.exit, Exit::Failed);
    assert_has(&again.out, &["4,000", "first with seed 10", "replay: "]);
    let report = fs::read_to_string(scratch.path().join("all/report.txt")).unwrap();
    assert_has(&report, &["4,000", "first with seed 10"]);
}

#[test]
fn a_fuzzing_that_finds_nothing_survives() {
    let scratch = tempfile::tempdir().unwrap();
    let said = in_place(&scratch, "fuzz bank shop --runs 600 --out {}/log");
    assert_eq!(said.exit, Exit::Survived, "{}{}", said.out, said.err);
    assert_has(
        &said.out,
        &["bank      hardened     600", "shop      hardened     600"],
    );
    let merged = in_place(&scratch, "merge {}/log");
    assert_eq!(merged.exit, Exit::Survived);
    let done = in_place(&scratch, "fuzz bank shop --runs 600 --out {}/log");
    assert_has(&done.err, &["goes on behind 1,200 storms"]);
    assert_eq!(done.exit, Exit::Survived);
}

#[test]
fn a_new_failure_is_told_once_and_written_down() {
    let scratch = tempfile::tempdir().unwrap();
    let line = "fuzz bank --plant forgets --runs 300 --out {}/log";
    let said = in_place(&scratch, line);
    assert_eq!(said.out.matches("VIOLATED bank").count(), 2, "{}", said.out);
    let log = fs::read_to_string(scratch.path().join("log/log.jsonl")).unwrap();
    assert_eq!(log.matches("\"line\":\"finding\"").count(), 3, "{log}");
    let files = fs::read_dir(scratch.path().join("log/failures")).unwrap();
    assert!(files.count() > 0);
    let again = in_place(&scratch, &line.replace("300", "600"));
    assert_eq!(
        again.out.matches("VIOLATED bank (").count(),
        0,
        "{}",
        again.out
    );
    assert_eq!(
        again.exit,
        Exit::Failed,
        "what an earlier sitting found still counts"
    );
}

#[test]
fn what_a_killed_fuzzing_found_and_did_not_tell_is_made_small_when_it_is_gone_on_with() {
    let scratch = tempfile::tempdir().unwrap();
    let line = "fuzz bank --plant forgets --runs 300 --out {}/log";
    let whole = in_place(&scratch, line);
    let file = scratch.path().join("log/log.jsonl");
    let log = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 1 + 1 + 3, "a header, a step, its findings");
    for (left, told) in [(2, 2), (3, 1), (5, 0)] {
        fs::write(&file, lines[..left].join("\n") + "\n").unwrap();
        fs::remove_dir_all(scratch.path().join("log/failures")).unwrap();
        fs::create_dir(scratch.path().join("log/failures")).unwrap();
        let again = in_place(&scratch, line);
        assert_eq!(again.exit, Exit::Failed);
        let violated = again.out.matches("VIOLATED bank (").count();
        assert_eq!(violated, told, "{}", again.out);
        let files = fs::read_dir(scratch.path().join("log/failures")).unwrap();
        assert_eq!(files.count(), 5 - left);
        if left == 2 {
            assert_eq!(again.out, whole.out);
        }
        let findings = |log: &str| log.matches("\"line\":\"finding\"").count();
        let gone_on = fs::read_to_string(&file).unwrap();
        assert_eq!((findings(&gone_on), gone_on.lines().count()), (3, 5));
    }
}

#[test]
fn what_another_build_has_found_and_this_one_does_not_is_told_so_and_stays_untold() {
    let scratch = tempfile::tempdir().unwrap();
    let line = "fuzz bank --plant forgets --runs 300 --out {}/log";
    in_place(&scratch, line);
    let file = scratch.path().join("log/log.jsonl");
    let log = fs::read_to_string(&file).unwrap();
    let (header, rest) = log.split_once('\n').unwrap();
    let mut step: Value = serde_json::from_str(rest.lines().next().unwrap()).unwrap();
    step["build"]["program"] = "0123456789abcdef".into();
    let survives = step["from"].clone();
    let failures = step["totals"]["failures"].as_array_mut().unwrap();
    failures.truncate(1);
    failures[0]["seed"] = survives;
    let log = format!("{header}\n{step}\n");
    fs::write(&file, &log).unwrap();
    let again = in_place(&scratch, line);
    assert_has(
        &again.err,
        &["which another build has found, does not happen with this one"],
    );
    assert!(!again.out.contains("NOT DETERMINISTIC"), "{}", again.out);
    assert_eq!(fs::read_to_string(&file).unwrap(), log, "nothing is told");
}

#[test]
fn what_is_found_last_is_made_small_for_what_is_left_of_the_time_and_for_a_second_at_least() {
    let for_secs = |left: Option<u64>| time_to_shrink(left.map(Duration::from_secs)).as_secs();
    assert_eq!(
        [Some(0), Some(4), Some(900), None].map(for_secs),
        [1, 4, 10, 10]
    );
}

#[test]
fn what_cannot_be_fuzzed_or_merged_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    assert_eq!(
        in_place(&scratch, "fuzz bank --runs 9 --out {}/log").exit,
        Exit::Survived
    );
    fs::write(scratch.path().join("file"), "no directory").unwrap();
    let merged = in_place(&scratch, "merge {}/log --out {}/all");
    assert_eq!(merged.exit, Exit::Survived, "{}", merged.err);
    fs::create_dir_all(scratch.path().join("bad")).unwrap();
    fs::write(scratch.path().join("bad/log.jsonl"), "{}\n").unwrap();
    for (line, told) in [
        ("fuzz bnak", "no scenario 'bnak'"),
        ("fuzz bank --for 5", "is not a duration"),
        ("fuzz bank --for -5s", "is not a duration"),
        ("fuzz bank --explore sweep", "invalid value 'sweep'"),
        ("fuzz bank --corpus {}/corpus", "--explore guided"),
        ("fuzz bank --runs 0", "'0' is not a whole number in 1..="),
        ("fuzz bank --shard 4/4", "is not a shard"),
        (
            "fuzz bank --runs 9 --shard 1/2 --out {}/log",
            "--shard 0/1 --from 0",
        ),
        (
            "fuzz bank --runs 9 --from 5 --out {}/log",
            "use another directory",
        ),
        ("fuzz bank --runs 9 --out {}/file", "cannot use"),
        ("fuzz bank --runs 9 --out {}/bad", "line 1"),
        ("merge", "DIR"),
        ("merge {}/none", "cannot use"),
        ("merge {}/bad", "line 1"),
        ("merge {}/log {}/log", "count it twice"),
        ("merge {}/log --out {}/log", "there already"),
        ("fuzz bank --runs 9 --out {}/all", "united from several"),
        ("bugs bnak", "no scenario 'bnak'"),
        (
            "bugs --strategies slowly",
            "random, swarm, sweep, guided, pct",
        ),
        ("bank --cut-off 0", "'0' is not a whole number in 1..="),
        ("bank --resume {}/bad/log.jsonl", "line 1"),
    ] {
        let said = in_place(&scratch, line);
        assert_eq!(said.exit, Exit::Usage, "{line}: {}{}", said.out, said.err);
        assert_has(&said.err, &[told]);
    }
}

#[test]
fn a_failure_of_a_scenario_that_this_program_lacks_has_a_replay_only_if_its_seed_draws_the_storm() {
    let scratch = tempfile::tempdir().unwrap();
    in_place(&scratch, "fuzz bank --plant forgets --runs 12 --out {}/log");
    fs::remove_dir_all(scratch.path().join("log/failures")).unwrap();
    let file = scratch.path().join("log/log.jsonl");
    let log = fs::read_to_string(&file).unwrap();
    let [header, step] = [0, 1].map(|at| log.lines().nth(at).unwrap());
    let seed = "replay elsewhere --seed 10 --shape hardened --plant forgets";
    let plan = || serde_json::to_value(Plan::new(Vec::new())).unwrap();
    for (strategy, plan, replay) in [
        ("swarm", Value::Null, format!("{seed} --trace")),
        ("random", plan(), format!("{seed} --explore random --trace")),
        ("guided", Value::Null, format!("{seed} --trace")),
        ("guided", plan(), NOT_DRAWN.to_owned()),
        ("a strategy of a later build", plan(), NOT_DRAWN.to_owned()),
    ] {
        let mut step: Value = serde_json::from_str(step).unwrap();
        step["strategy"] = strategy.into();
        step["totals"]["scenario"] = "elsewhere".into();
        step["totals"]["failures"][0]["plan"] = plan;
        fs::write(&file, format!("{header}\n{step}\n")).unwrap();
        let told = format!("replay: {replay}\n");
        let merged = in_place(&scratch, "merge {}/log");
        assert_has(&merged.out, &[&told]);
        // Logs of earlier builds call it the way.
        let earlier = step.to_string().replace("\"strategy\":", "\"way\":");
        fs::write(&file, format!("{header}\n{earlier}\n")).unwrap();
        assert_has(&in_place(&scratch, "merge {}/log").out, &[&told]);
    }
}

#[test]
fn the_bench_measures_every_bug_by_every_strategy_and_says_what_none_found() {
    let scratch = tempfile::tempdir().unwrap();
    let line =
        "bugs --strategies random,swarm --cut-off 200 --campaign-seeds 3 --resume {}/bugs.jsonl";
    let said = in_place(&scratch, line);
    assert_eq!(said.exit, Exit::Failed);
    assert_has(
        &said.out,
        &[
            "NOT FOUND: bank + invisible",
            "3/3",
            "> 200",
            "0/3",
            "no money is lost",
        ],
    );
    let file = scratch.path().join("bugs.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let measured = text.lines().count();
    assert_eq!(measured, 3 * 3 * 2);
    // A torn line is measured again, the others are not.
    fs::write(&file, &text[..text.len() - 9]).unwrap();
    let again = in_place(&scratch, &format!("{line} --format markdown"));
    assert_has(&again.err, &["1 of them now"]);
    assert_has(&again.out, &["| `bank` | `forgets` | 1 (11) "]);
    // The command, the option and the field under their earlier names.
    fs::write(&file, text.replace("\"strategy\":", "\"way\":")).unwrap();
    let earlier = line
        .replace("bugs --", "bank --")
        .replace("--strategies", "--ways");
    assert_has(&in_place(&scratch, &earlier).err, &["0 of them now"]);
    fs::write(&file, &text).unwrap();
    let some = in_place(&scratch, &format!("{line} shop --format json"));
    assert_eq!(some.exit, Exit::Survived, "{}", some.err);
    let powers: Value = serde_json::from_str(&some.out).unwrap();
    assert_eq!(powers[0]["bug"], "oversells");
    assert_eq!(powers[0]["found"], 3);
    let twice = format!("{text}{}\n", text.lines().next().unwrap());
    fs::write(&file, twice).unwrap();
    let refused = in_place(&scratch, line);
    assert_eq!(refused.exit, Exit::Usage);
    assert_has(
        &refused.err,
        &[&format!("line {}", measured + 1), "earlier line"],
    );
}

#[test]
fn the_bench_goes_on_only_with_what_the_very_same_build_has_measured() {
    let scratch = tempfile::tempdir().unwrap();
    let line =
        "bugs shop --strategies swarm --cut-off 50 --campaign-seeds 2 --resume {}/bugs.jsonl";
    in_place(&scratch, line);
    let again = in_place(&scratch, line);
    assert_has(&again.err, &["2 of 2 campaigns measured, 0 of them now"]);
    let file = scratch.path().join("bugs.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let build = serde_json::to_string(&Build::present()).unwrap();
    let of_another = build.replace("\"program\":\"", "\"commit\":\"c0ffee\",\"program\":\"");
    let of_before = text.replace("\"version\":4", "\"version\":3");
    let second = text.replacen(&build, "?", 1);
    let second = second.replace(&build, &of_another).replace('?', &build);
    for (content, told) in [
        (
            text.replace(&build, &of_another),
            ["another build (0.1.0, commit c0ffee", "name another file"],
        ),
        (
            second,
            ["another build (", "go on with the build that wrote"],
        ),
        (
            of_before,
            [
                "line 1: a measurement of version 3; this build reads version 4",
                "start again with another file",
            ],
        ),
    ] {
        assert_ne!(content, text, "{told:?}");
        fs::write(&file, &content).unwrap();
        let refused = in_place(&scratch, line);
        assert_eq!((refused.exit, &*refused.out), (Exit::Usage, ""));
        assert_has(&refused.err, &told);
        assert_eq!(fs::read_to_string(&file).unwrap(), content, "it is left");
    }
}

#[test]
fn a_merged_report_is_a_page_that_links_to_the_pages_of_its_failures() {
    let scratch = tempfile::tempdir().unwrap();
    for shard in 0..2 {
        in_place(
            &scratch,
            &format!("fuzz bank --plant forgets --runs 3000 --shard {shard}/2 --out {{}}/{shard}"),
        );
    }
    let merged = in_place(&scratch, "merge {}/0 {}/1 --html {}/report.html");
    assert_eq!(merged.exit, Exit::Failed, "{}", merged.err);
    let read = |name: &str| fs::read_to_string(scratch.path().join(name)).unwrap();
    let report = read("report.html");
    assert_has(&report, &["no money is lost", "3,000"]);
    for number in 1..=3 {
        let name = format!("report-{number}.html");
        assert_has(&report, &[&format!("href=\"{name}\"")]);
        assert_has(&read(&name), &["replay"]);
    }
    // Without its file nothing is there to show of a failure but its line.
    for shard in 0..2 {
        fs::remove_dir_all(scratch.path().join(format!("{shard}/failures"))).unwrap();
    }
    in_place(&scratch, "merge {}/0 {}/1 --html {}/bare.html");
    let bare = read("bare.html");
    assert_has(&bare, &["no money is lost"]);
    assert!(!bare.contains("href=\"bare-1.html\""));
}
