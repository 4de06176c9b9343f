//! Silent rot: flipped bits in a database at rest, which the disk does not report.
//!
//! The damaged files are opened in a process of their own, since an engine may go down with one. Measured of redb 4.5
//! with an integrity check at each open and two-phase commits: see the assertions. Without these settings it alters
//! rows silently, so storms use sectors that cannot be read instead.

mod disk_host;

use std::{
    collections::BTreeMap,
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    process::Command,
    sync::Arc,
};

use disk_host::booted;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};
use squall::{
    disk::Disk,
    seed::{Seed, mix},
};

const ROWS: TableDefinition<&str, &[u8]> = TableDefinition::new("rows");
const FILE: &str = "service.redb";
/// Set in the child: the seeds to try, as `first..end`.
const SEEDS: &str = "SQUALL_BIT_ROT_SEEDS";

type Rows = BTreeMap<String, Vec<u8>>;

fn open(file: impl StorageBackend) -> Result<Database, redb::Error> {
    let mut builder = Builder::new();
    builder.set_check_integrity_on_open(true);
    Ok(builder.create_with_backend(file)?)
}

fn commit(database: &Database, key: &str, value: &[u8]) -> Result<(), redb::Error> {
    let mut tx = database.begin_write()?;
    tx.set_two_phase_commit(true);
    tx.open_table(ROWS)?.insert(key, value)?;
    Ok(tx.commit()?)
}

fn rows(database: &Database) -> Result<Rows, redb::Error> {
    let mut rows = Rows::new();
    for row in database.begin_read()?.open_table(ROWS)?.iter()? {
        let (key, value) = row?;
        rows.insert(key.value().to_owned(), value.value().to_owned());
    }
    Ok(rows)
}

/// A database at rest, of a process that ended well or crashed, and what it holds.
fn at_rest(seed: u64) -> (Arc<Disk>, Rows) {
    let (_host, disk) = booted(seed);
    let mut choices = Seed(seed).stream("test");
    let database = open(disk.open(FILE).unwrap()).unwrap();
    let mut expected = Rows::new();
    for _ in 0..choices.between(1, 30) {
        let choice = choices.bits();
        let key = format!("row-{:02}", choice % 20);
        let value = vec![choice as u8; 1 + (choice >> 8) as usize % 600];
        commit(&database, &key, &value).unwrap();
        expected.insert(key, value);
    }
    if choices.chance(0.5) {
        disk.crash();
        drop(database);
    } else {
        drop(database);
        disk.crash();
    }
    disk.boot();
    (disk, expected)
}

/// Flips a few bits, opens, reads, writes, and opens again.
fn outcome_of(seed: u64) -> String {
    let (disk, mut expected) = at_rest(seed);
    let bits = 1 + (mix(seed) % 4) as u32;
    assert_eq!(disk.flip_bits(FILE, seed, bits), bits);
    let tried = catch_unwind(AssertUnwindSafe(|| {
        let database = open(disk.open(FILE)?)?;
        if rows(&database)? != expected {
            return Ok("altered");
        }
        commit(&database, "after", b"rot")?;
        drop(database);
        expected.insert("after".into(), b"rot".into());
        let again = open(disk.open(FILE)?)?;
        Ok(if rows(&again)? == expected {
            "intact"
        } else {
            "altered later"
        })
    }));
    match tried {
        Ok(Ok(outcome)) => outcome.to_owned(),
        Ok(Err::<_, redb::Error>(error)) => {
            format!("refused: {}", error.to_string().replace('\n', " "))
        }
        Err(_) => "panicked".to_owned(),
    }
}

/// Does nothing unless it is run in the child.
#[test]
fn child() {
    let Ok(seeds) = env::var(SEEDS) else { return };
    let (first, end) = seeds.split_once("..").unwrap();
    for seed in first.parse::<u64>().unwrap()..end.parse().unwrap() {
        println!("\n@{seed}");
        println!("={}", outcome_of(seed));
    }
}

#[test]
fn a_damaged_database_is_refused_or_intact() {
    const RUNS: u64 = 600;
    let mut tally: BTreeMap<String, u64> = BTreeMap::new();
    let mut first = 0;
    while first < RUNS {
        let output = Command::new(env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture", "--test-threads=1"])
            .env(SEEDS, format!("{first}..{RUNS}"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let (mut begun, mut ended) = (0, 0);
        for line in text.lines() {
            if let Some(seed) = line.strip_prefix('@') {
                begun += 1;
                first = seed.parse::<u64>().unwrap() + 1;
            } else if let Some(outcome) = line.strip_prefix('=') {
                ended += 1;
                *tally.entry(outcome.to_owned()).or_default() += 1;
            }
        }
        assert!(begun > 0, "the child did nothing: {text}");
        if ended < begun {
            *tally
                .entry(format!("aborted: {}", output.status))
                .or_default() += 1;
        }
    }
    for (outcome, n) in &tally {
        println!("{n:5} {outcome}");
    }
}
