use std::{collections::BTreeSet, fs};

use proptest::prelude::*;

use squall_fixtures as fake;

use super::*;

use squall_core::seed::Seed;

use crate::campaign::{Campaign, Failure, Totals};

const HEADER: Header = Header {
    version: LOG_VERSION,
    first: Seed(7),
    shard: Some(Shard::WHOLE),
};

/// Seeds of a few blocks.
const MANY: u64 = 2 * BLOCK + 100;

/// All seeds of a shard, as it meets them when it is stopped `after` that many seeds of each block.
fn seeds_of(shard: Shard, first: Seed, runs: u64, after: u64) -> Vec<u64> {
    let mut all = Vec::new();
    while let Some(seeds) = shard.due(first, Some(runs), all.len() as u64) {
        let due = (0..).map_while(|n| seeds.nth(n)).map(|seed| seed.0);
        all.extend(due.take(after as usize));
    }
    all
}

proptest! {
    #[test]
    fn shards_never_overlap_and_together_are_the_whole(
        of in 1..9u64,
        first in prop_oneof![0..1_000u64, Just(u64::MAX - 9_000)],
        runs in 0..9_000u64,
        after in 1..1_400u64,
    ) {
        let mut met = BTreeSet::new();
        for index in 0..of {
            let shard: Shard = format!("{index}/{of}").parse().unwrap();
            for seed in seeds_of(shard, Seed(first), runs, after) {
                prop_assert!(met.insert(seed), "seed {seed} is run twice");
            }
        }
        prop_assert!(met.into_iter().eq(first..first + runs));
    }
}

#[test]
fn a_shard_without_an_end_goes_on_to_the_last_seed() {
    let shard: Shard = "1/3".parse().unwrap();
    let third = shard.due(Seed(0), None, 2 * BLOCK).unwrap();
    assert_eq!(third.to_string(), "7168..8192");
    assert_eq!(shard.due(Seed(0), None, u64::MAX - 1), None);
}

#[test]
fn what_is_no_shard_is_refused() {
    for text in ["", "1", "1/", "/2", "2/2", "0/0", "-1/2", "1/2/3", "a/b"] {
        let refused = text.parse::<Shard>().unwrap_err().to_string();
        assert!(refused.contains("is not a shard"), "{refused}");
    }
    assert_eq!("0/1".parse(), Ok(Shard::WHOLE));
}

/// What a campaign over these seeds gives, with a bug planted that shows in several ways.
fn campaign(seeds: squall_core::seed::Seeds) -> Totals {
    let mut campaign = Campaign::over(&fake::BANK, seeds);
    campaign.plant = Some("forgets".to_owned());
    campaign.run_by(&fake::run, &mut |_| {})
}

/// A shard's log in this directory, stopped and opened again all the time.
fn fuzz(directory: &std::path::Path, shard: Shard, runs: u64) {
    loop {
        let header = Header {
            shard: Some(shard),
            first: Seed(0),
            ..HEADER
        };
        let mut log = Log::open(directory, header).unwrap();
        let done = log.totals().values().map(|t| t.tally.runs).sum();
        let Some(seeds) = shard.due(Seed(0), Some(runs), done) else {
            return;
        };
        let from = seeds.nth(0).unwrap();
        // As if stopped in the middle of the block, every other time.
        let some = seeds.len().div_ceil(1 + done % 2);
        let seeds = squall_core::seed::Seeds::starting_at(from, some).unwrap();
        let step = Step {
            strategy: "swarm".to_owned(),
            build: None,
            from,
            elapsed_ms: 5,
            totals: campaign(seeds),
        };
        log.add(step).unwrap();
    }
}

#[test]
fn shards_that_were_stopped_and_went_on_give_together_what_one_campaign_gives() {
    let whole = campaign("9000".parse().unwrap());
    assert_eq!(whole.failures.len(), 3, "a poor test");
    for of in [1, 2, 5] {
        let scratch = tempfile::tempdir().unwrap();
        let logs: Vec<_> = (0..of)
            .map(|index| {
                let directory = scratch.path().join(index.to_string());
                fuzz(&directory, format!("{index}/{of}").parse().unwrap(), 9_000);
                (directory.clone(), Log::read(&directory).unwrap())
            })
            .collect();
        let (united, _) = unite(&logs).unwrap();
        let united: Vec<Totals> = united.into_values().collect();
        assert_eq!(united, std::slice::from_ref(&whole), "{of} shards");
    }
}

#[test]
fn a_log_that_is_counted_twice_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| {
        let directory = scratch.path().join(name);
        fuzz(&directory, Shard::WHOLE, 300);
        (directory.clone(), Log::read(&directory).unwrap())
    });
    let refused = unite(&[one, other]).unwrap_err().to_string();
    assert!(refused.contains("count it twice"), "{refused}");
}

#[test]
fn a_log_that_was_torn_goes_on_behind_its_last_whole_line() {
    let scratch = tempfile::tempdir().unwrap();
    fuzz(scratch.path(), Shard::WHOLE, MANY);
    let whole = Log::read(scratch.path()).unwrap().totals();
    let file = scratch.path().join(FILE);
    let text = fs::read_to_string(&file).unwrap();
    let last = text.trim_end().rfind('\n').unwrap() + 1;
    for cut in [last, last + 1, text.len() - 5, text.len() - 1] {
        fs::write(&file, &text[..cut]).unwrap();
        fuzz(scratch.path(), Shard::WHOLE, MANY);
        assert_eq!(
            Log::read(scratch.path()).unwrap().totals(),
            whole,
            "cut at {cut}"
        );
    }
}

#[test]
fn a_damaged_log_is_refused_with_its_line() {
    let scratch = tempfile::tempdir().unwrap();
    fuzz(scratch.path(), Shard::WHOLE, MANY);
    let file = scratch.path().join(FILE);
    let text = fs::read_to_string(&file).unwrap();
    let header = text.lines().next().unwrap();
    let later = header.replace("\"version\":1", "\"version\":2");
    for (content, told) in [
        (text.replacen("\"totals\"", "\"totels\"", 1), "line 2: "),
        (text.replacen('{', "[", 1), "line 1: "),
        (
            text.lines().skip(1).map(|l| format!("{l}\n")).collect(),
            "does not begin",
        ),
        (format!("{later}\n"), "version 2"),
    ] {
        fs::write(&file, &content).unwrap();
        let refused = Log::read(scratch.path()).unwrap_err().to_string();
        assert!(refused.contains(told), "'{told}' is missing in: {refused}");
    }
}

#[test]
fn a_log_of_other_seeds_is_not_gone_on_with() {
    let scratch = tempfile::tempdir().unwrap();
    drop(Log::open(scratch.path(), HEADER).unwrap());
    let other = Header {
        shard: "1/2".parse().ok(),
        ..HEADER
    };
    let refused = Log::open(scratch.path(), other).unwrap_err().to_string();
    assert!(refused.contains("--shard 0/1 --from 7"), "{refused}");
    assert!(Log::open(scratch.path(), HEADER).is_ok());
}

#[test]
fn a_failure_is_fresh_until_its_finding_is_written_whatever_steps_hold_it() {
    let scratch = tempfile::tempdir().unwrap();
    let step = |seeds: &str| Step {
        strategy: "swarm".to_owned(),
        build: None,
        from: Seed(0),
        elapsed_ms: 5,
        totals: campaign(seeds.parse().unwrap()),
    };
    let finding = |failure: &Failure| Finding {
        signature: failure.signature.clone(),
        plant: Some("forgets".to_owned()),
        seed: failure.seed,
        message: failure.message(),
        sentence: None,
        replay: "none".to_owned(),
    };
    let mut log = Log::open(scratch.path(), HEADER).unwrap();
    let little = log.add(step("12")).unwrap();
    assert_eq!(little.len(), 1);
    log.tell(finding(&little[0])).unwrap();
    assert_eq!(log.add(step("12..24")).unwrap().len(), 1);
    // As if killed here: what the second step found was not told.
    drop(log);
    let mut log = Log::open(scratch.path(), HEADER).unwrap();
    let untold = |log: &Log| -> Vec<Failure> {
        let sums = log.totals().into_values();
        sums.flat_map(|sum| log.untold(&sum)).collect()
    };
    let lot = untold(&log);
    assert_eq!(lot.iter().map(|lot| lot.seed.0).collect::<Vec<_>>(), [15]);
    log.tell(finding(&lot[0])).unwrap();
    assert_eq!(untold(&log), []);
    assert_eq!(log.add(step("20..24")).unwrap(), []);
    assert_eq!(log.add(step("24..40")).unwrap().len(), 1);
}
