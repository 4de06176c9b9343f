//! Every fault of a disk that a storm can bring, as a program sees it through its files; and what each end of its
//! process leaves of them.

mod machine;

use std::{sync::Arc, time::Duration};

use libc::{EIO, ENOSPC, O_APPEND, O_CREAT, O_DSYNC, O_RDONLY, O_RDWR, O_TMPFILE, O_WRONLY};
use machine::{Booted, Numbered, booted};
use redb::StorageBackend;
use squall_engine::disk::{BLOCK, Disk};
use squall_files::{Errno, Lock, LockKind, Operation, Process};

/// A file of 1s in this many pages, synced, and its name too.
fn synced(machine: &Booted, path: &str, pages: usize) -> squall_files::OpenFile {
    let file = machine.open(path);
    file.pwrite(&vec![1; pages * BLOCK], 0).unwrap();
    file.sync(false).unwrap();
    file
}

fn under_many_seeds(mut scene: impl FnMut(&mut Booted)) {
    for seed in 0..200 {
        scene(&mut booted(seed));
    }
}

fn crash(disk: &Disk) {
    disk.crash();
}

fn power_loss(disk: &Disk) {
    disk.power_loss();
}

#[test]
fn a_write_that_fails_is_eio_and_changes_nothing() {
    let machine = booted(1);
    let file = synced(&machine, "f", 1);
    machine.disk.fail_writes(2);
    assert_eq!(file.pwrite(&[2; 100], 0), Err(Errno(EIO)));
    assert_eq!(file.truncate(0), Err(Errno(EIO)));
    assert_eq!(machine.content("f"), vec![1; BLOCK]);
    assert_eq!(file.pwrite(&[2; 100], 0), Ok(100));
    assert_eq!(machine.world.told(), ["write failed", "write failed"]);
}

#[test]
fn a_sync_that_fails_is_eio_once_and_some_pages_are_never_written() {
    let mut vanished = 0;
    under_many_seeds(|machine| {
        let file = synced(machine, "f", 4);
        machine.disk.fail_syncs(1);
        file.pwrite(&[2; 4 * BLOCK], 0).unwrap();
        assert_eq!(file.sync(true), Err(Errno(EIO)));
        assert_eq!(file.sync(true), Ok(()));
        assert_eq!(machine.content("f"), vec![2; 4 * BLOCK], "still cached");
        machine.end(crash);
        vanished += usize::from(machine.content("f") != vec![2; 4 * BLOCK]);
    });
    assert!(vanished > 100, "{vanished}");
}

#[test]
fn a_synchronous_write_and_the_sync_of_a_directory_fail_too() {
    let machine = booted(1);
    let file = machine
        .process
        .open(None, b"f", O_CREAT | O_WRONLY | O_DSYNC, 0o644)
        .unwrap();
    machine.disk.fail_syncs(2);
    assert_eq!(file.write(&[1; 10]), Err(Errno(EIO)));
    let root = machine.process.open(None, b"/", O_RDONLY, 0).unwrap();
    assert_eq!(root.sync(false), Err(Errno(EIO)));
    assert_eq!(root.sync(false), Ok(()));
}

#[test]
fn a_full_disk_takes_what_fits_then_enospc_and_can_still_be_overwritten() {
    let machine = booted(1);
    let file = synced(&machine, "f", 2);
    machine.disk.set_full(true);
    assert_eq!(file.pwrite(&[2; 3 * BLOCK], BLOCK as i64), Ok(BLOCK));
    assert_eq!(
        file.pwrite(&[2; BLOCK], 2 * BLOCK as i64),
        Err(Errno(ENOSPC))
    );
    assert_eq!(file.allocate(0, 0, 10 * BLOCK as i64), Err(Errno(ENOSPC)));
    assert_eq!(machine.process.mkdir(None, b"d", 0o755), Err(Errno(ENOSPC)));
    assert_eq!(machine.process.statfs(b"/").unwrap().free, 0);
    machine.open("new");
    machine.disk.set_full(false);
    assert_eq!(file.pwrite(&[2; BLOCK], 2 * BLOCK as i64), Ok(BLOCK));
    assert!(machine.process.statfs(b"/").unwrap().free > 0);
}

#[test]
fn a_slow_disk_makes_syncs_and_synchronous_writes_slow_and_nothing_else() {
    let machine = booted(1);
    let file = machine.open("f");
    let synchronous = machine
        .process
        .open(None, b"f", O_RDWR | O_DSYNC, 0)
        .unwrap();
    let root = machine.process.open(None, b"/", O_RDONLY, 0).unwrap();
    machine.disk.set_slow(1, Duration::from_secs(1));
    for slow in [
        file.latency(Operation::Sync),
        root.latency(Operation::Sync),
        synchronous.latency(Operation::Write),
    ] {
        assert!(slow > Duration::from_secs(1));
    }
    assert_eq!(file.latency(Operation::Write), Duration::ZERO);
}

#[test]
fn an_unreadable_sector_is_eio_where_it_is_and_a_short_read_before_it() {
    let machine = booted(1);
    let file = synced(&machine, "tmp/../f", 4);
    let (path, offset) = machine.disk.latent_sector_error(3).unwrap();
    assert_eq!(path, "f");
    let page = offset as usize / BLOCK;
    let mut bytes = vec![0; 4 * BLOCK];
    assert_eq!(
        file.pread(&mut bytes, (page * BLOCK) as i64),
        Err(Errno(EIO))
    );
    if page > 0 {
        assert_eq!(file.pread(&mut bytes, 0), Ok(page * BLOCK));
    }
    file.pwrite(&[2; BLOCK], (page * BLOCK) as i64).unwrap();
    assert_eq!(file.pread(&mut bytes, 0), Ok(4 * BLOCK));
}

#[test]
fn a_node_can_die_before_every_page_of_a_write_and_every_change_of_a_name() {
    type Call = fn(&Process);
    let calls: [(u64, Call); 8] = [
        (3, |process| {
            let file = process.open(None, b"f", O_RDWR, 0).unwrap();
            let _ = file.write(&[2; 3 * BLOCK]);
        }),
        (1, |process| {
            drop(process.open(None, b"new", O_CREAT | O_RDWR, 0o644))
        }),
        (1, |process| {
            let _ = process.mkdir(None, b"new", 0o755);
        }),
        (1, |process| {
            let _ = process.rename(None, b"f", None, b"new", 0);
        }),
        (1, |process| {
            let _ = process.unlink(None, b"f");
        }),
        (1, |process| {
            let _ = process.link(None, b"f", false, None, b"new");
        }),
        (1, |process| {
            let _ = process.symlink(b"f", None, b"new");
        }),
        (1, |process| {
            let file = process.open(None, b"f", O_RDWR, 0).unwrap();
            let _ = file.sync(true);
        }),
    ];
    for (sites, call) in calls {
        for died_at in 1..=sites + 1 {
            let mut machine = booted(1);
            synced(&machine, "f", 3);
            machine.world.die_at(died_at);
            call(&machine.process);
            let reached = machine.world.live_on();
            assert_eq!(reached, sites.min(died_at));
            machine.end(crash);
            if sites == 3 {
                let pages = died_at as usize - 1;
                let expected = [vec![2; pages * BLOCK], vec![1; (3 - pages) * BLOCK]].concat();
                assert_eq!(machine.content("f"), expected);
            } else if died_at == 1 {
                assert!(!machine.has("new") && machine.has("f"));
            }
        }
    }
}

#[test]
fn power_lost_inside_a_write_of_many_pages_leaves_each_byte_old_or_new() {
    let (mut old, mut new) = (0, 0);
    under_many_seeds(|machine| {
        let file = synced(machine, "f", 8);
        machine.world.die_at(6);
        assert!(file.pwrite(&[2; 8 * BLOCK], 0).is_err());
        machine.world.live_on();
        machine.end(power_loss);
        let left = machine.content("f");
        assert_eq!(left.len(), 8 * BLOCK);
        assert!(left.iter().all(|byte| [1, 2].contains(byte)));
        assert_eq!(left[5 * BLOCK..], [1; 3 * BLOCK], "never written");
        old += usize::from(left[..5 * BLOCK].contains(&1));
        new += usize::from(left.contains(&2));
    });
    assert!(old > 50 && new > 50, "{old} {new}");
}

#[test]
fn power_lost_before_a_sync_takes_a_new_file_and_after_it_none_of_it() {
    for (died_at, kept) in [(1, false), (2, true)] {
        under_many_seeds(|machine| {
            let file = machine.open("f");
            file.write(&[1; 3 * BLOCK]).unwrap();
            machine.world.die_at(died_at);
            assert_eq!(file.sync(true).is_ok(), kept);
            machine.world.live_on();
            machine.end(power_loss);
            assert_eq!(machine.has("f"), kept);
            if kept {
                assert_eq!(machine.content("f"), vec![1; 3 * BLOCK]);
            }
        });
    }
}

#[test]
fn names_directories_and_renames_are_durable_after_the_sync_of_a_directory_and_not_before() {
    let mut machine = booted(1);
    let process = &machine.process;
    process.mkdir(None, b"a", 0o755).unwrap();
    synced(&machine, "a/f", 1);
    let process = &machine.process;
    process.rename(None, b"a", None, b"b", 0).unwrap();
    process.mkdir(None, b"b/c", 0o755).unwrap();
    process.rename(None, b"b/f", None, b"b/c/g", 0).unwrap();
    process.link(None, b"b/c/g", false, None, b"h").unwrap();
    machine.end(power_loss);
    assert!(machine.has("a/f") && !machine.has("b") && !machine.has("h"));
    assert_eq!(machine.process.stat(None, b"a/f", true).unwrap().nlink, 1);

    let process = &machine.process;
    process.rename(None, b"a", None, b"b", 0).unwrap();
    process.link(None, b"b/f", false, None, b"h").unwrap();
    process.symlink(b"b/f", None, b"l").unwrap();
    let root = process.open(None, b"/", O_RDONLY, 0).unwrap();
    root.sync(false).unwrap();
    process.rmdir(None, b"b").unwrap_err();
    process.unlink(None, b"b/f").unwrap();
    machine.end(power_loss);
    assert_eq!(machine.content("l"), vec![1; BLOCK]);
    assert_eq!(machine.process.stat(None, b"h", true).unwrap().nlink, 2);
    assert_eq!(machine.process.getcwd().unwrap(), b"/");
}

#[test]
fn the_journal_commits_names_after_five_seconds_and_a_data_sync_of_an_old_file_does_not() {
    let mut machine = booted(1);
    let old = synced(&machine, "old", 1);
    machine.open("new");
    old.pwrite(&[2; 10], 0).unwrap();
    old.sync(true).unwrap();
    machine.end(power_loss);
    assert!(
        !machine.has("new"),
        "fdatasync of what kept its length leaves the journal alone"
    );
    assert_eq!(machine.content("old")[..10], [2; 10]);

    let old = machine.open("old");
    machine.open("by-fsync");
    old.sync(false).unwrap();
    machine.open("by-length");
    old.pwrite(&[2; 10], BLOCK as i64).unwrap();
    old.sync(true).unwrap();
    machine.open("by-time");
    machine.world.pass(Duration::from_secs(9));
    machine.end(power_loss);
    for name in ["by-fsync", "by-length", "by-time"] {
        assert!(machine.has(name), "{name}");
    }
}

#[test]
fn a_data_sync_after_a_rename_leaves_the_old_name_and_a_full_one_does_not() {
    for (data_only, kept) in [(true, "f"), (false, "g")] {
        let mut machine = booted(1);
        let file = synced(&machine, "f", 1);
        machine.process.rename(None, b"f", None, b"g", 0).unwrap();
        file.sync(data_only).unwrap();
        machine.end(power_loss);
        assert_eq!(machine.content(kept), vec![1; BLOCK]);
    }
}

#[test]
fn times_and_modes_are_durable_with_the_journal() {
    let mut machine = booted(1);
    synced(&machine, "f", 1);
    let before = machine.process.stat(None, b"f", true).unwrap();
    machine.world.pass(Duration::from_secs(1));
    machine.process.chmod(None, b"f", 0o600).unwrap();
    let after = machine.process.stat(None, b"f", true).unwrap();
    assert_ne!(before, after);
    machine.end(power_loss);
    assert_eq!(machine.process.stat(None, b"f", true).unwrap(), before);
    machine.process.chmod(None, b"f", 0o600).unwrap();
    machine.open("f").sync(false).unwrap();
    machine.end(power_loss);
    assert_eq!(
        machine.process.stat(None, b"f", true).unwrap().mode & 0o777,
        0o600
    );
}

#[test]
fn what_a_process_has_ends_with_it_and_the_cache_does_not() {
    let mut machine = booted(1);
    let file = machine.open("f");
    file.write(&[1; 100]).unwrap();
    file.flock(libc::LOCK_EX).unwrap();
    let whole = Lock {
        kind: LockKind::Exclusive,
        whence: 0,
        start: 0,
        len: 0,
        pid: 0,
    };
    file.set_lock(&whole, Some(7)).unwrap();
    let old = std::mem::replace(
        &mut machine.process,
        Process::new(&machine.fs, Arc::new(Numbered(8))),
    );
    machine.end(crash);
    assert_eq!(machine.content("f"), vec![1; 100]);
    for error in [
        file.pwrite(&[2], 0).unwrap_err(),
        file.pread(&mut [0], 0).unwrap_err(),
        file.sync(false).unwrap_err(),
        file.flock(libc::LOCK_SH).unwrap_err(),
        old.mkdir(None, b"d", 0o755).unwrap_err(),
        old.stat(None, b"f", true).unwrap_err(),
        old.getcwd().unwrap_err(),
    ] {
        assert_eq!(error, Errno(EIO));
    }
    let again = machine.open("f");
    again.flock(libc::LOCK_EX).unwrap();
    again.set_lock(&whole, Some(9)).unwrap();
    // Nothing that is left of the old process takes them away.
    drop((old, file));
    assert!(machine.open("f").flock(libc::LOCK_EX).is_err());
    assert!(machine.open("f").set_lock(&whole, Some(7)).is_err());
}

#[test]
fn range_locks_of_a_process_end_when_it_closes_any_descriptor_of_the_file() {
    let machine = booted(1);
    let (first, second) = (machine.open("f"), machine.open("f"));
    let lock = Lock {
        kind: LockKind::Exclusive,
        whence: 0,
        start: 5,
        len: 1,
        pid: 0,
    };
    first.set_lock(&lock, Some(7)).unwrap();
    second.set_lock(&lock, Some(7)).unwrap();
    assert_eq!(second.set_lock(&lock, Some(8)), Err(Errno(libc::EAGAIN)));
    assert_eq!(second.get_lock(&lock, Some(8)).unwrap().pid, 7);
    let before = machine.fs.lock_releases();
    machine.process.close(machine.open("f"));
    assert!(machine.fs.lock_releases() > before);
    second.set_lock(&lock, Some(8)).unwrap();
    drop(machine.process.fork(Arc::new(Numbered(8))));
    first.set_lock(&lock, Some(7)).unwrap();
}

#[test]
fn a_removed_file_keeps_its_space_until_its_last_descriptor_is_closed() {
    let machine = booted(1);
    let pages = || machine.disk.usage().pages;
    let file = synced(&machine, "f", 10);
    let duplicate = file.clone();
    machine.process.unlink(None, b"f").unwrap();
    machine.fs.sync().unwrap();
    assert_eq!(pages(), 10);
    assert_eq!(file.stat().unwrap().nlink, 0);
    drop(file);
    assert_eq!(duplicate.pread(&mut [0; 10], 0), Ok(10));
    drop(duplicate);
    assert_eq!(pages(), 0);
}

#[test]
fn a_file_without_a_name_gets_one_or_is_gone() {
    let mut machine = booted(1);
    let file = machine
        .process
        .open(None, b"/tmp", O_TMPFILE | O_RDWR, 0o600)
        .unwrap();
    file.write(&[1; 10]).unwrap();
    machine.process.link_file(&file, None, b"f").unwrap();
    file.sync(false).unwrap();
    drop(
        machine
            .process
            .open(None, b"/tmp", O_TMPFILE | O_RDWR, 0o600)
            .unwrap(),
    );
    machine.end(power_loss);
    assert_eq!(machine.content("f"), vec![1; 10]);
    assert_eq!(machine.disk.usage().inodes, 1);
}

#[test]
fn the_image_of_a_machine_is_there_before_its_first_boot_and_survives_everything() {
    let mut machine = booted(1);
    machine
        .fs
        .put("srv/app/config.toml", b"port = 80", 0o600)
        .unwrap();
    machine.end(power_loss);
    assert_eq!(machine.content("/srv/app/config.toml"), b"port = 80");
    assert_eq!(
        machine
            .process
            .stat(None, b"/srv/app/config.toml", true)
            .unwrap()
            .mode
            & 0o777,
        0o600
    );
    assert_eq!(
        machine.fs.put("srv/app", b"", 0o600),
        Err(Errno(libc::EISDIR))
    );
    assert_eq!(
        machine.fs.put("srv/app/config.toml/x", b"", 0o600),
        Err(Errno(libc::ENOTDIR))
    );
}

#[test]
fn the_harness_reads_files_by_their_paths() {
    let machine = booted(1);
    machine.process.mkdir(None, b"data", 0o755).unwrap();
    let file = machine.open("data/orders.redb");
    file.write(&[1; 100]).unwrap();
    machine
        .process
        .link(None, b"data/orders.redb", false, None, b"data/second")
        .unwrap();
    assert_eq!(machine.disk.files(), ["data/orders.redb"]);
    let fork = machine.disk.fork("data/orders.redb").unwrap();
    let mut bytes = [0; 100];
    fork.read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [1; 100]);
    assert!(machine.disk.fork_durable("data/orders.redb").is_err());
    assert!(machine.disk.fork("data").is_err());
}

#[test]
fn a_database_of_redb_written_through_files_is_read_by_the_harness_after_every_loss_of_power() {
    under_many_seeds(|machine| {
        machine.process.mkdir(None, b"data", 0o755).unwrap();
        // redb's own calls, which a kernel hands on: here in one place.
        let create = |machine: &Booted| {
            let file = machine.open("data/orders.redb");
            redb::Builder::new()
                .create_with_backend(Backend(file))
                .unwrap()
        };
        let table = redb::TableDefinition::<u64, u64>::new("rows");
        let database = create(machine);
        for n in 0..5 {
            let writing = database.begin_write().unwrap();
            writing.open_table(table).unwrap().insert(n, n).unwrap();
            writing.commit().unwrap();
        }
        let root = machine.process.open(None, b"/", O_RDONLY, 0).unwrap();
        root.sync(false).unwrap();
        let dying = database.begin_write().unwrap();
        dying.open_table(table).unwrap().insert(5, 5).unwrap();
        machine.world.die_at(2);
        assert!(dying.commit().is_err());
        machine.world.live_on();
        drop(database);
        machine.end(power_loss);
        let fork = machine.disk.fork("data/orders.redb").unwrap();
        let rows = |database: redb::Database| {
            use redb::{ReadableDatabase, ReadableTableMetadata};
            database
                .begin_read()
                .unwrap()
                .open_table(table)
                .unwrap()
                .len()
                .unwrap()
        };
        let told = rows(redb::Builder::new().create_with_backend(fork).unwrap());
        assert!((5..=6).contains(&told));
        assert_eq!(rows(create(machine)), told);
    });
}

/// redb over an open file, call by call as redb's own file backend has it.
#[derive(Debug)]
struct Backend(squall_files::OpenFile);

impl StorageBackend for Backend {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.0.stat()?.size)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        match self.0.pread(out, offset as i64)? == out.len() {
            true => Ok(()),
            false => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        Ok(self.0.truncate(len as i64)?)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        Ok(self.0.sync(true)?)
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        match self.0.pwrite(data, offset as i64)? == data.len() {
            true => Ok(()),
            false => Err(std::io::ErrorKind::WriteZero.into()),
        }
    }
}

#[test]
fn an_appended_file_is_at_its_old_length_or_its_new_one_after_a_power_loss() {
    let (mut short, mut long) = (0, 0);
    under_many_seeds(|machine| {
        synced(machine, "f", 1);
        let file = machine
            .process
            .open(None, b"f", O_WRONLY | O_APPEND, 0)
            .unwrap();
        file.write(&[2; 1000]).unwrap();
        machine.end(power_loss);
        match machine.content("f").len() - BLOCK {
            0 => short += 1,
            1000 => long += 1,
            odd => panic!("{odd} bytes"),
        }
    });
    assert!(short > 10 && long > 10, "{short} {long}");
}
