//! The storage engine on the simulated disk: whatever happens, wherever it happens, it opens again on the acknowledged
//! state or on the one that was being committed, or says why it does not.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use redb::{Builder, Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};
use squall::{
    disk::{Disk, DiskCounters},
    seed::{Seed, Stream, mix},
};
use squall_fixtures::one_disk::{OneDisk, booted};

const ROWS: TableDefinition<&str, &[u8]> = TableDefinition::new("rows");
const INDEX: TableDefinition<u64, u64> = TableDefinition::new("index");
const FILE: &str = "service.redb";
const TEMPORARY: &str = "service.redb.new";

type Rows = BTreeMap<String, Vec<u8>>;

/// What the `version`-th commit writes, beside its number: one row of some length.
fn row_of(seed: u64, version: u64) -> (String, Vec<u8>) {
    let choice = mix(mix(seed) ^ version);
    let len = match choice % 64 {
        0 => 300_000,
        1..=4 => 9_000,
        _ => 20 + choice % 380,
    };
    let key = format!("row-{:02}", (choice >> 32) % 12);
    (key, vec![choice as u8; len as usize])
}

fn rows_at(seed: u64, version: u64) -> Rows {
    let mut rows: Rows = (1..=version).map(|version| row_of(seed, version)).collect();
    rows.insert("version".into(), version.to_le_bytes().into());
    rows
}

fn commit(database: &Database, seed: u64, version: u64) -> Result<(), redb::Error> {
    let tx = database.begin_write()?;
    {
        let mut table = tx.open_table(ROWS)?;
        let (key, value) = row_of(seed, version);
        table.insert(key.as_str(), value.as_slice())?;
        table.insert("version", version.to_le_bytes().as_slice())?;
        tx.open_table(INDEX)?.insert(version, version)?;
    }
    Ok(tx.commit()?)
}

fn open(file: impl StorageBackend) -> Result<Database, redb::Error> {
    Ok(Builder::new().create_with_backend(file)?)
}

fn rows(database: &Database) -> Result<Rows, redb::Error> {
    let tx = database.begin_read()?;
    let mut rows = Rows::new();
    for row in tx.open_table(ROWS)?.iter()? {
        let (key, value) = row?;
        rows.insert(key.value().to_owned(), value.value().to_owned());
    }
    for (version, row) in tx.open_table(INDEX)?.iter()?.enumerate() {
        assert_eq!(row?.1.value(), version as u64 + 1);
    }
    Ok(rows)
}

/// A service with a database, and what it was told of it.
struct Service {
    seed: u64,
    host: Arc<OneDisk>,
    disk: Arc<Disk>,
    choices: Stream,
    database: Option<Database>,
    /// The last commit that was acknowledged.
    acknowledged: u64,
    /// The last commit that was tried.
    tried: u64,
}

impl Service {
    fn without_database(seed: u64) -> Self {
        let (host, disk) = booted(seed);
        Service {
            seed,
            host,
            disk,
            choices: Seed(seed).stream("test"),
            database: None,
            acknowledged: 0,
            tried: 0,
        }
    }

    /// A database with a few commits.
    fn started(seed: u64) -> Self {
        let mut service = Service::without_database(seed);
        service.create().unwrap();
        for _ in 0..service.choices.between(1, 8) {
            service.commit().unwrap();
        }
        service
    }

    fn create(&mut self) -> Result<(), redb::Error> {
        self.disk.remove(TEMPORARY)?;
        open(self.disk.open(TEMPORARY)?)?.close()?;
        self.disk.rename(TEMPORARY, FILE)?;
        self.open()
    }

    fn open(&mut self) -> Result<(), redb::Error> {
        self.database = Some(open(self.disk.open(FILE)?)?);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), redb::Error> {
        self.tried = self.acknowledged + 1;
        commit(self.database.as_ref().unwrap(), self.seed, self.tried)?;
        self.acknowledged = self.tried;
        Ok(())
    }

    /// Arranges a death at some write or sync of the commits to come, often at the sync that ends one.
    fn die_while_committing(&mut self) {
        let site = if self.choices.chance(0.4) {
            self.host.die_at(u64::MAX);
            self.commit().unwrap();
            self.host.live_on()
        } else {
            self.choices.between(1, 16)
        };
        self.host.die_at(site);
    }

    /// Commits until something goes wrong.
    fn commit_until_it_fails(&mut self) {
        for _ in 0..100 {
            if self.commit().is_err() {
                return;
            }
        }
        panic!("100 commits, and none failed");
    }

    /// The process goes, in one of two orders; nothing that its destructors do may matter.
    fn end(&mut self, how: fn(&Disk)) {
        let database = self.database.take();
        if self.choices.chance(0.5) {
            self.disk.freeze();
            drop(database);
            how(&self.disk);
        } else {
            how(&self.disk);
            drop(database);
        }
    }

    /// Opens the database and finds out which commit is its last.
    fn settle(&mut self) {
        self.disk.boot();
        self.open()
            .expect("the database opens after anything that a crash can do");
        let found = rows(self.database.as_ref().unwrap()).expect("it can be read");
        let last = [self.acknowledged, self.tried]
            .into_iter()
            .find(|version| found == rows_at(self.seed, *version));
        self.acknowledged = last.unwrap_or_else(|| {
            panic!(
                "found {:?} after {} acknowledged and {} tried",
                found.get("version"),
                self.acknowledged,
                self.tried
            )
        });
        self.tried = self.acknowledged;
    }
}

#[derive(Default, Debug)]
struct Tally {
    in_flight_kept: u64,
    in_flight_lost: u64,
    died_reopening: u64,
    lost_sectors: u64,
    torn_sectors: u64,
    writes_after_death: u64,
}

impl Tally {
    fn add(&mut self, counters: DiskCounters) {
        self.lost_sectors += counters.lost_sectors;
        self.torn_sectors += counters.torn_sectors;
        self.writes_after_death += counters.writes_after_death;
    }
}

/// Kills the node at some write or sync of a commit, and in half of the runs once more while it reopens.
fn kill_inside_commits(runs: u64, how: fn(&Disk)) -> Tally {
    let mut tally = Tally::default();
    for seed in 0..runs {
        let mut service = Service::started(seed);
        for _ in 0..2 {
            service.die_while_committing();
            service.commit_until_it_fails();
            service.end(how);
            if service.choices.chance(0.5) {
                service.disk.boot();
                let site = service.choices.between(1, 8);
                service.host.die_at(site);
                if service.open().is_err() {
                    tally.died_reopening += 1;
                }
                service.end(how);
            }
            service.host.live_on();
            let acknowledged = service.acknowledged;
            service.settle();
            match service.acknowledged - acknowledged {
                0 => tally.in_flight_lost += 1,
                _ => tally.in_flight_kept += 1,
            }
            service.commit().unwrap();
        }
        service.end(Disk::power_loss);
        service.settle();
        tally.add(service.disk.counters());
    }
    tally
}

#[test]
fn a_power_loss_inside_a_commit_leaves_the_acknowledged_or_the_in_flight_state() {
    let tally = kill_inside_commits(2_000, Disk::power_loss);
    println!("{tally:?}");
    assert!(tally.in_flight_kept > 100 && tally.in_flight_lost > 1_000);
    assert!(tally.died_reopening > 500);
    assert!(tally.lost_sectors > 10_000 && tally.torn_sectors > 1_000);
}

#[test]
fn a_process_crash_inside_a_commit_leaves_the_acknowledged_or_the_in_flight_state() {
    let tally = kill_inside_commits(500, Disk::crash);
    println!("{tally:?}");
    assert!(tally.in_flight_kept > 20 && tally.in_flight_lost > 100);
    assert!(tally.died_reopening > 100);
}

#[test]
fn destructors_of_a_killed_process_try_to_write_and_reach_nothing() {
    let mut service = Service::started(1);
    let before = service.disk.counters();
    service.disk.crash();
    let image = service.disk.fork(FILE).unwrap();
    let mut bytes = vec![0; image.len().unwrap() as usize];
    image.read(0, &mut bytes).unwrap();
    drop(service.database.take());
    let after = service.disk.counters();
    assert!(after.writes_after_death > before.writes_after_death);
    assert_eq!(after.bytes, before.bytes);
    let mut now = vec![0; bytes.len()];
    service.disk.fork(FILE).unwrap().read(0, &mut now).unwrap();
    assert!(now == bytes);
}

#[test]
fn a_death_while_creating_leaves_no_database_or_one_that_opens() {
    let mut found = [0, 0];
    for how in [Disk::power_loss, Disk::crash] {
        for seed in 0..20 {
            for site in 1.. {
                let mut service = Service::without_database(seed);
                service.host.die_at(site);
                let survived = service.create().is_ok();
                service.end(how);
                service.host.live_on();
                service.disk.boot();
                let exists = service.disk.exists(FILE);
                found[usize::from(exists)] += 1;
                if exists {
                    service.open().unwrap();
                } else {
                    service.create().unwrap();
                }
                service.commit().unwrap();
                service.end(Disk::power_loss);
                service.settle();
                if survived {
                    assert!(exists && site > 10);
                    break;
                }
            }
        }
    }
    assert!(found[0] > 100 && found[1] > 100, "{found:?}");
}

/// A fault during commits; then the process ends, as it must after an I/O error, the fault is over, and the next
/// process has to find everything. A power loss later must not bring the fault's traces to light.
fn fault_then_restart(runs: u64, begin: fn(&mut Service), end: fn(&Disk)) -> DiskCounters {
    let mut sum = DiskCounters::default();
    for seed in 0..runs {
        let mut service = Service::started(seed);
        begin(&mut service);
        service.commit_until_it_fails();
        if service.choices.chance(0.5) {
            end(&service.disk);
            drop(service.database.take());
            service.end(Disk::crash);
        } else {
            service.end(Disk::crash);
            end(&service.disk);
        }
        service.settle();
        service.commit().unwrap();
        service.die_while_committing();
        service.commit_until_it_fails();
        service.host.live_on();
        service.end(Disk::power_loss);
        service.settle();
        let counters = service.disk.counters();
        sum.failed_syncs += counters.failed_syncs;
        sum.failed_writes += counters.failed_writes;
        sum.refused_full += counters.refused_full;
    }
    sum
}

#[test]
fn a_sync_error_leaves_the_acknowledged_or_the_in_flight_state() {
    let bit = fault_then_restart(
        1_000,
        |service| service.disk.fail_syncs(1),
        |disk| disk.fail_syncs(0),
    );
    assert!(bit.failed_syncs >= 1_000);
}

#[test]
fn a_write_error_leaves_the_acknowledged_or_the_in_flight_state() {
    let bit = fault_then_restart(
        1_000,
        |service| {
            let n = service.choices.between(1, 3) as u32;
            service.disk.fail_writes(n);
        },
        |disk| disk.fail_writes(0),
    );
    assert!(bit.failed_writes >= 1_000);
}

#[test]
fn a_full_disk_leaves_the_acknowledged_or_the_in_flight_state() {
    let bit = fault_then_restart(
        500,
        |service| service.disk.set_full(true),
        |disk| disk.set_full(false),
    );
    assert!(bit.refused_full >= 500);
}

#[test]
fn an_unreadable_sector_is_an_error_or_does_not_matter_and_never_a_panic() {
    let (mut refused, mut intact, mut failed_later) = (0, 0, 0);
    for seed in 0..1_000 {
        let mut service = Service::started(seed);
        service.end(if seed % 2 == 0 {
            Disk::crash
        } else {
            Disk::power_loss
        });
        service.disk.boot();
        let choice = service.choices.bits();
        service.disk.latent_sector_error(choice).unwrap();
        let expected = rows_at(seed, service.acknowledged);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            service.open()?;
            let found = rows(service.database.as_ref().unwrap())?;
            assert_eq!(found, expected);
            service.commit()
        }));
        let told = service.disk.counters().unreadable > 0;
        match outcome.expect("the engine reports an unreadable sector as an error") {
            Ok(()) => intact += 1,
            Err(error) => {
                assert!(told, "{error}");
                let text = error.to_string();
                assert!(
                    text.contains("I/O") || text.contains("Input/output"),
                    "{text}"
                );
                match service.database {
                    None => refused += 1,
                    Some(_) => failed_later += 1,
                }
            }
        }
        let ended = catch_unwind(AssertUnwindSafe(|| drop(service.database.take())));
        assert!(ended.is_ok(), "closing after an unreadable sector panicked");
    }
    println!("{refused} refused, {failed_later} failed later, {intact} intact");
    assert!(refused > 100 && intact > 100);
}

#[test]
fn an_unreadable_sector_met_by_a_running_service_is_an_error_and_never_a_panic() {
    let (mut failed, mut intact) = (0, 0);
    for seed in 0..500 {
        let mut service = Service::started(seed);
        drop(service.database.take());
        let file = service.disk.open(FILE).unwrap();
        // Without a cache of its own the engine reads from the disk each time.
        let database = Builder::new().set_cache_size(0).create_with_backend(file);
        service.database = Some(database.unwrap());
        let choice = service.choices.bits();
        service.disk.latent_sector_error(choice).unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..5 {
                service.commit()?;
                let found = rows(service.database.as_ref().unwrap())?;
                assert_eq!(found, rows_at(seed, service.acknowledged));
            }
            Ok::<(), redb::Error>(())
        }));
        match outcome.expect("the engine reports an unreadable sector as an error") {
            Ok(()) => intact += 1,
            Err(_) => {
                assert!(service.disk.counters().unreadable > 0);
                failed += 1;
            }
        }
        let ended = catch_unwind(AssertUnwindSafe(|| drop(service.database.take())));
        assert!(ended.is_ok(), "closing after an unreadable sector panicked");
    }
    println!("{failed} failed, {intact} intact");
    assert!(failed > 50 && intact > 50);
}

#[test]
fn a_fork_of_a_living_database_shows_its_acknowledged_state_and_disturbs_nothing() {
    for seed in 0..50 {
        let mut service = Service::started(seed);
        service.host.die_at(u64::MAX);
        let before = service.disk.counters();
        for fork in [
            service.disk.fork(FILE).unwrap(),
            service.disk.fork_durable(FILE).unwrap(),
        ] {
            let database = open(fork).unwrap();
            assert_eq!(
                rows(&database).unwrap(),
                rows_at(seed, service.acknowledged)
            );
            commit(&database, seed, service.acknowledged + 1).unwrap();
        }
        assert_eq!(service.host.live_on(), 0);
        assert_eq!(service.disk.counters(), before);
        let found = rows(service.database.as_ref().unwrap()).unwrap();
        assert_eq!(found, rows_at(seed, service.acknowledged));
        service.commit().unwrap();
    }
}

#[test]
fn a_second_process_is_refused_the_database_while_the_first_has_it() {
    let mut service = Service::started(1);
    let second = open(service.disk.open(FILE).unwrap());
    assert!(matches!(second, Err(redb::Error::DatabaseAlreadyOpen)));
    service.end(Disk::crash);
    service.settle();
}
