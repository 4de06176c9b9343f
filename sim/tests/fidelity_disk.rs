//! The simulated disk behaves as ext4 on Linux 6.18 was measured to. Each test begins with the name of the measured
//! behaviour that it matches; [`squall::disk`] says which are left out.

use std::{io, sync::Arc, time::Duration};

use redb::StorageBackend;
use squall::disk::{BLOCK, Disk, FILE_LEN_MAX, File, ForkedFile};
use squall_fixtures::one_disk::{OneDisk, booted};

const EIO: i32 = 5;
const EFBIG: i32 = 27;
const ENOSPC: i32 = 28;

fn content(file: &impl StorageBackend) -> Vec<u8> {
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read(0, &mut bytes).unwrap();
    bytes
}

fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap()
}

/// A file that holds 1s in this many pages, synced.
fn synced(disk: &Arc<Disk>, name: &str, pages: usize) -> File {
    let file = disk.open(name).unwrap();
    file.write(0, &vec![1; pages * BLOCK]).unwrap();
    file.sync_data().unwrap();
    file
}

fn stored(disk: &Disk, name: &str) -> Vec<u8> {
    content(&disk.fork_durable(name).unwrap())
}

/// Runs `scene` under many seeds, so that each kind of loss occurs.
fn under_many_seeds(mut scene: impl FnMut(&OneDisk, &Arc<Disk>)) {
    for seed in 0..200 {
        let (host, disk) = booted(seed);
        scene(&host, &disk);
    }
}

#[test]
fn write_kill9_a_megabyte_written_and_not_synced_survives_the_process() {
    let (_host, disk) = booted(1);
    let data: Vec<u8> = (0..1 << 20).map(|i: u32| (i % 251) as u8).collect();
    disk.open("f").unwrap().write(0, &data).unwrap();
    disk.crash();
    disk.boot();
    assert_eq!(content(&disk.open("f").unwrap()), data);
}

#[test]
fn kill9_during_write_leaves_a_page_aligned_part() {
    for died_at in 1..=10 {
        let (host, disk) = booted(1);
        let file = disk.open("f").unwrap();
        host.die_at(died_at);
        assert!(file.write(0, &[7; 10 * BLOCK]).is_err());
        disk.crash();
        disk.boot();
        let left = content(&disk.open("f").unwrap());
        assert_eq!(left, vec![7; (died_at as usize - 1) * BLOCK]);
    }
}

#[test]
fn rename_atomic_a_reader_finds_the_old_file_or_the_new_one_wherever_the_node_dies() {
    let (mut olds, mut news) = (0, 0);
    under_many_seeds(|host, disk| {
        let sites = 2;
        for died_at in 1..=sites + 1 {
            synced(disk, "f", 1);
            let new = disk.open("f.tmp").unwrap();
            new.write(0, &[2; 3 * BLOCK]).unwrap();
            new.sync_data().unwrap();
            host.die_at(died_at);
            let renamed = disk.rename("f.tmp", "f");
            host.live_on();
            assert_eq!(renamed.is_ok(), died_at > sites);
            disk.power_loss();
            disk.boot();
            let found = content(&disk.open("f").unwrap());
            if found == vec![1; BLOCK] {
                olds += 1;
                assert!(renamed.is_err(), "a durable rename was undone");
            } else {
                news += 1;
                assert_eq!(found, vec![2; 3 * BLOCK]);
            }
            disk.remove("f").unwrap();
            disk.remove("f.tmp").unwrap();
            disk.sync_directory().unwrap();
        }
    });
    assert!(olds > 0 && news > 0);
}

#[test]
fn ftruncate_extend_reads_zeros_also_where_something_was_before() {
    let (_host, disk) = booted(1);
    let file = synced(&disk, "f", 3);
    file.set_len(100).unwrap();
    file.set_len(3 * BLOCK as u64).unwrap();
    let mut expected = vec![1; 100];
    expected.resize(3 * BLOCK, 0);
    assert_eq!(content(&file), expected);
    file.sync_data().unwrap();
    assert_eq!(stored(&disk, "f"), expected);
}

#[test]
fn sync_latency_has_the_measured_median_and_99th_percentile_and_a_rare_tail() {
    let (_host, disk) = booted(1);
    let mut micros: Vec<u128> = (0..100_000).map(|_| disk.latency().as_micros()).collect();
    micros.sort_unstable();
    assert!((128..=136).contains(&micros[50_000]), "{}", micros[50_000]);
    assert!((240..=266).contains(&micros[99_000]), "{}", micros[99_000]);
    assert!(micros[99_990] > 1_000, "{}", micros[99_990]);
    assert!(micros[99_999] < 10_000, "{}", micros[99_999]);
}

#[test]
fn sync_latency_of_a_commit_depends_on_its_ordinal_alone_and_a_slow_disk_scales_it() {
    let (_host, disk) = booted(1);
    let (_host, slow) = booted(1);
    slow.set_slow(10, Duration::from_millis(3));
    for _ in 0..100 {
        let own = disk.latency();
        assert_eq!(slow.latency(), own * 10 + Duration::from_millis(3));
    }
    slow.set_slow(1, Duration::ZERO);
    assert_eq!(slow.latency(), disk.latency());
    assert_eq!(disk.counters().slow_ms, 0);
    slow.heal();
    assert!(slow.counters().slow_ms >= 300 + 100);
}

#[test]
fn file_size_limit_writes_a_part_and_then_fails() {
    let (_host, disk) = booted(1);
    let file = disk.open("f").unwrap();
    let start = FILE_LEN_MAX - BLOCK as u64;
    assert_eq!(errno(file.write(start, &[7; 2 * BLOCK])), EFBIG);
    assert_eq!(file.len().unwrap(), FILE_LEN_MAX);
    assert_eq!(errno(file.set_len(FILE_LEN_MAX + 1)), EFBIG);
}

#[test]
fn disk_full_writes_a_part_and_then_fails_while_overwriting_works() {
    let (host, disk) = booted(1);
    let file = synced(&disk, "f", 4);
    disk.set_full(true);
    assert_eq!(errno(file.write(2 * BLOCK as u64, &[2; 4 * BLOCK])), ENOSPC);
    assert_eq!(file.len().unwrap(), 4 * BLOCK as u64);
    file.write(0, &[3; BLOCK]).unwrap();
    file.sync_data().unwrap();
    let expected = [vec![3; BLOCK], vec![1; BLOCK], vec![2; 2 * BLOCK]].concat();
    assert_eq!(stored(&disk, "f"), expected);
    assert_eq!(disk.counters().refused_full, 1);
    assert_eq!(host.told(), ["disk full"]);
    disk.set_full(false);
    file.write(4 * BLOCK as u64, &[2; BLOCK]).unwrap();
}

#[test]
fn disk_full_lets_a_file_grow_by_a_hole_that_cannot_be_filled() {
    let (_host, disk) = booted(1);
    let file = synced(&disk, "f", 1);
    disk.set_full(true);
    file.set_len(2 * BLOCK as u64).unwrap();
    assert_eq!(errno(file.write(BLOCK as u64, &[2; 1])), ENOSPC);
}

#[test]
fn fsync_error_comes_once_then_syncs_succeed_and_the_data_vanishes_on_eviction() {
    let mut vanished = 0;
    under_many_seeds(|_, disk| {
        let file = synced(disk, "f", 2);
        disk.fail_syncs(1);
        file.write(0, &[2; 4 * BLOCK]).unwrap();
        assert_eq!(errno(file.sync_data()), EIO);
        file.sync_data().unwrap();
        assert_eq!(content(&file), vec![2; 4 * BLOCK], "still cached");

        let promised = content(&disk.fork("f").unwrap());
        disk.crash();
        disk.boot();
        let left = content(&disk.open("f").unwrap());
        assert_eq!(left, promised);
        assert_eq!(left, stored(disk, "f"), "the cache shows the platter");
        for page in left.chunks(BLOCK) {
            assert!(
                [[0; BLOCK], [1; BLOCK], [2; BLOCK]]
                    .iter()
                    .any(|p| p == page)
            );
        }
        vanished += usize::from(left != vec![2; 4 * BLOCK]);
        assert_eq!(disk.counters().failed_syncs, 1);
    });
    assert!(vanished > 100, "{vanished}");
}

#[test]
fn fsync_error_does_not_give_up_a_page_that_is_written_again() {
    under_many_seeds(|_, disk| {
        let file = synced(disk, "f", 2);
        disk.fail_syncs(1);
        file.write(0, &[2; 2 * BLOCK]).unwrap();
        file.sync_data().unwrap_err();
        file.write(0, &[3; 1]).unwrap();
        assert_eq!(content(&disk.fork("f").unwrap())[0], 3, "cached");
        file.sync_data().unwrap();
        disk.power_loss();
        disk.boot();
        let page = content(&disk.open("f").unwrap())[..BLOCK].to_vec();
        assert_eq!(page[0], 3);
        assert_eq!(page[1..], [2; BLOCK - 1]);
    });
}

#[test]
fn powercut_unsynced_takes_new_files_away() {
    under_many_seeds(|_, disk| {
        let file = disk.open("f").unwrap();
        file.write(0, &[1; BLOCK]).unwrap();
        assert!(disk.fork_durable("f").is_err());
        disk.power_loss();
        disk.boot();
        assert!(!disk.exists("f"));
    });
}

#[test]
fn powercut_unsynced_leaves_each_byte_of_an_overwrite_old_or_new() {
    let (mut all_old, mut all_new, mut mixed_pages, mut mixed_sectors) = (0, 0, 0, 0);
    let (mut lost, mut torn) = (0, 0);
    under_many_seeds(|_, disk| {
        let file = synced(disk, "f", 4);
        file.write(0, &[2; 4 * BLOCK]).unwrap();
        disk.power_loss();
        disk.boot();
        let left = content(&disk.open("f").unwrap());
        assert_eq!(left.len(), 4 * BLOCK);
        assert!(left.iter().all(|b| *b == 1 || *b == 2));
        let mixed = |bytes: &[u8]| bytes.contains(&1) && bytes.contains(&2);
        all_old += usize::from(!left.contains(&2));
        all_new += usize::from(!left.contains(&1));
        mixed_pages += left.chunks(BLOCK).filter(|page| mixed(page)).count();
        let torn_here = left.chunks(512).filter(|sector| mixed(sector)).count();
        mixed_sectors += torn_here;
        assert_eq!(disk.counters().torn_sectors, torn_here as u64);
        lost += disk.counters().lost_sectors;
        torn += disk.counters().torn_sectors;
    });
    assert!(all_old > 10 && all_new > 10, "{all_old} {all_new}");
    assert!(mixed_pages > 100 && mixed_sectors > 100);
    assert!(lost > 100 && torn > 100);
}

#[test]
fn powercut_unsynced_leaves_an_appended_file_at_its_old_length_or_its_new_one() {
    let (mut short, mut long) = (0, 0);
    under_many_seeds(|_, disk| {
        let file = synced(disk, "f", 1);
        file.write(BLOCK as u64, &[2; 1000]).unwrap();
        disk.power_loss();
        disk.boot();
        let left = content(&disk.open("f").unwrap());
        assert_eq!(left[..BLOCK], [1; BLOCK]);
        match left.len() - BLOCK {
            0 => short += 1,
            1000 => long += 1,
            odd => panic!("{odd} bytes"),
        }
        assert!(left[BLOCK..].iter().all(|b| *b == 0 || *b == 2));
    });
    assert!(short > 10 && long > 10, "{short} {long}");
}

#[test]
fn powercut_after_journal_commit_leaves_a_new_file_empty() {
    let (host, disk) = booted(1);
    let file = disk.open("by-time").unwrap();
    file.write(0, &[1; BLOCK]).unwrap();
    host.pass(Duration::from_secs(9));
    synced(&disk, "other", 1);
    let late = disk.open("by-another-sync").unwrap();
    late.write(0, &[1; BLOCK]).unwrap();
    synced(&disk, "other", 1);
    assert_eq!(disk.fork_durable("by-time").unwrap().len().unwrap(), 0);
    assert_eq!(
        disk.fork_durable("by-another-sync").unwrap().len().unwrap(),
        0
    );
    disk.power_loss();
    disk.boot();
    assert!(disk.exists("by-time") && disk.exists("by-another-sync"));
}

#[test]
fn powercut_after_journal_commit_keeps_the_content_of_a_rename_over_but_not_to_a_fresh_name() {
    let (_host, disk) = booted(1);
    synced(&disk, "old", 1);
    for (from, to) in [("a", "old"), ("b", "fresh")] {
        disk.open(from).unwrap().write(0, &[2; BLOCK]).unwrap();
        disk.rename(from, to).unwrap();
    }
    assert_eq!(stored(&disk, "old"), vec![2; BLOCK]);
    assert_eq!(stored(&disk, "fresh"), Vec::<u8>::new());
}

#[test]
fn powercut_late_finds_everything_written() {
    under_many_seeds(|host, disk| {
        let file = synced(disk, "f", 1);
        let new = disk.open("new").unwrap();
        new.write(0, &[3; 100]).unwrap();
        file.write(0, &[2; 2 * BLOCK]).unwrap();
        host.pass(Duration::from_secs(41));
        disk.power_loss();
        disk.boot();
        assert_eq!(content(&disk.open("f").unwrap()), vec![2; 2 * BLOCK]);
        assert_eq!(content(&disk.open("new").unwrap()), vec![3; 100]);
        assert_eq!(disk.counters().lost_sectors, 0);
    });
}

#[test]
fn powercut_rename_unsynced_brings_the_old_name_back_and_a_directory_sync_prevents_it() {
    let (_host, disk) = booted(1);
    synced(&disk, "a", 1);
    disk.rename_unsynced("a", "b").unwrap();
    assert!(disk.exists("b") && !disk.exists("a"));
    disk.power_loss();
    disk.boot();
    assert!(disk.exists("a") && !disk.exists("b"));
    disk.rename_unsynced("a", "b").unwrap();
    disk.sync_directory().unwrap();
    disk.power_loss();
    disk.boot();
    assert!(disk.exists("b") && !disk.exists("a"));
}

#[test]
fn a_removed_file_comes_back_after_a_power_loss_unless_its_removal_was_synced() {
    let (_host, disk) = booted(1);
    synced(&disk, "f", 1);
    disk.remove("f").unwrap();
    disk.remove("f").unwrap();
    disk.power_loss();
    disk.boot();
    assert!(disk.exists("f"));
    disk.remove("f").unwrap();
    disk.sync_directory().unwrap();
    disk.power_loss();
    disk.boot();
    assert!(!disk.exists("f"));
}

#[test]
fn nothing_reaches_the_disk_from_a_process_that_is_no_more() {
    let deaths: [fn(&Disk); 4] = [
        |disk| disk.crash(),
        |disk| disk.power_loss(),
        |disk| disk.freeze(),
        |disk| {
            disk.crash();
            disk.boot();
        },
    ];
    for die in deaths {
        let (_host, disk) = booted(1);
        let file = synced(&disk, "f", 1);
        die(&disk);
        let before = disk.counters();
        file.write(0, &[9; BLOCK]).unwrap_err();
        file.set_len(0).unwrap_err();
        file.sync_data().unwrap_err();
        file.read(0, &mut [0; 1]).unwrap_err();
        file.len().unwrap_err();
        file.close().unwrap();
        drop(file);
        let after = disk.counters();
        assert_eq!(after.writes_after_death, 3);
        assert_eq!((after.writes, after.bytes), (before.writes, before.bytes));
        assert_eq!(content(&disk.fork("f").unwrap()), vec![1; BLOCK]);
        assert_eq!(stored(&disk, "f"), vec![1; BLOCK]);
    }
}

#[test]
fn a_node_that_is_down_opens_renames_and_removes_nothing() {
    let (_host, disk) = booted(1);
    synced(&disk, "f", 1);
    disk.crash();
    disk.open("g").unwrap_err();
    disk.rename("f", "g").unwrap_err();
    disk.remove("f").unwrap_err();
    assert!(disk.exists("f") && !disk.exists("g"));
}

#[test]
fn a_freeze_keeps_the_cache_of_its_instant_for_a_crash_and_lets_a_power_loss_take_it() {
    under_many_seeds(|host, disk| {
        let file = synced(disk, "f", 2);
        file.write(0, &[2; BLOCK]).unwrap();
        host.die_at(1);
        file.write(BLOCK as u64, &[3; BLOCK]).unwrap_err();
        host.live_on();
        let expected = [[2; BLOCK], [1; BLOCK]].concat();
        assert_eq!(content(&disk.fork("f").unwrap()), expected);
        disk.crash();
        disk.boot();
        assert_eq!(content(&disk.open("f").unwrap()), expected);
        disk.freeze();
        disk.power_loss();
        disk.boot();
        let left = content(&disk.open("f").unwrap());
        assert!(left[..BLOCK].iter().all(|b| *b == 1 || *b == 2));
        assert_eq!(left[BLOCK..], [1; BLOCK]);
    });
}

#[test]
fn a_failed_write_changes_nothing_and_is_counted() {
    let (_host, disk) = booted(1);
    let file = synced(&disk, "f", 1);
    disk.fail_writes(2);
    assert_eq!(errno(file.write(0, &[2; BLOCK])), EIO);
    assert_eq!(errno(file.write(0, &[2; BLOCK])), EIO);
    assert_eq!(content(&file), vec![1; BLOCK]);
    file.write(0, &[2; BLOCK]).unwrap();
    assert_eq!(disk.counters().failed_writes, 2);
}

#[test]
fn an_unreadable_sector_fails_reads_until_its_page_is_written_anew() {
    let (_host, disk) = booted(1);
    assert_eq!(disk.latent_sector_error(5), None);
    let file = synced(&disk, "f", 3);
    let (name, offset) = disk.latent_sector_error(5).unwrap();
    assert_eq!(name, "f");
    let page = offset / BLOCK as u64 * BLOCK as u64;
    assert_eq!(errno(file.read(offset + 511, &mut [0; 1])), EIO);
    assert_eq!(errno(file.read(0, &mut [0; 3 * BLOCK])), EIO);
    assert_eq!(errno(file.write(page + 4000, &[2; 1])), EIO);
    assert_eq!(disk.counters().unreadable, 3);
    let elsewhere = (page + BLOCK as u64) % (3 * BLOCK as u64);
    file.read(elsewhere, &mut [0; BLOCK]).unwrap();
    assert_eq!(content(&disk.fork("f").unwrap()), vec![1; 3 * BLOCK]);

    disk.heal();
    file.read(page, &mut [0; BLOCK]).unwrap();
    assert_eq!(disk.latent_sector_error(5).unwrap().1, offset);
    file.write(page, &[2; BLOCK]).unwrap();
    file.read(page, &mut [0; BLOCK]).unwrap();
    file.sync_data().unwrap();
    disk.power_loss();
    disk.boot();
    content(&disk.open("f").unwrap());
}

#[test]
fn an_unreadable_sector_is_back_when_a_power_loss_takes_its_rewrite() {
    let mut back = 0;
    under_many_seeds(|_, disk| {
        let file = synced(disk, "f", 1);
        let (_, offset) = disk.latent_sector_error(5).unwrap();
        file.write(0, &[2; BLOCK]).unwrap();
        disk.power_loss();
        disk.boot();
        let mut sector = [0; 512];
        match disk.open("f").unwrap().read(offset, &mut sector) {
            Ok(()) => assert!(sector.contains(&2)),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(EIO));
                back += 1;
            }
        }
    });
    assert!((20..180).contains(&back), "{back}");
}

#[test]
fn a_fork_is_private_and_costs_no_site() {
    let (host, disk) = booted(1);
    let file = synced(&disk, "f", 2);
    file.write(0, &[2; BLOCK]).unwrap();
    host.die_at(u64::MAX);
    let fork: ForkedFile = disk.fork("f").unwrap();
    let durable = disk.fork_durable("f").unwrap();
    fork.write(0, &[8; BLOCK + 1]).unwrap();
    fork.set_len(BLOCK as u64 + 1).unwrap();
    fork.sync_data().unwrap();
    assert_eq!(content(&fork), vec![8; BLOCK + 1]);
    assert_eq!(content(&file), [[2; BLOCK], [1; BLOCK]].concat());
    assert_eq!(content(&durable), vec![1; 2 * BLOCK]);
    assert_eq!(host.live_on(), 0);
    assert_eq!(
        fork.read(0, &mut [0; 2 * BLOCK]).unwrap_err().kind(),
        io::ErrorKind::UnexpectedEof
    );
}

#[test]
fn a_file_is_locked_by_one_process_and_its_end_frees_it() {
    use std::ops::Bound::{Included, Unbounded};
    let (_host, disk) = booted(1);
    let (a, b) = (disk.open("f").unwrap(), disk.open("f").unwrap());
    assert!(a.try_lock_range(Unbounded, Unbounded).unwrap());
    assert!(!b.try_lock_range(Included(0), Unbounded).unwrap());
    assert!(!b.try_lock_shared_range(Unbounded, Unbounded).unwrap());
    a.unlock_range(Unbounded, Unbounded).unwrap();
    assert!(b.try_lock_shared_range(Unbounded, Unbounded).unwrap());
    assert!(a.try_lock_shared_range(Unbounded, Unbounded).unwrap());
    assert!(!a.try_lock_range(Unbounded, Unbounded).unwrap());
    drop(b);
    assert!(a.try_lock_range(Unbounded, Unbounded).unwrap());
    assert!(a.try_lock_range(Included(5), Unbounded).is_err());
    disk.crash();
    disk.boot();
    let c = disk.open("f").unwrap();
    assert!(c.try_lock_range(Unbounded, Unbounded).unwrap());
}

#[test]
fn the_same_seed_loses_the_same_sectors_and_another_seed_others() {
    let after = |seed| {
        let (_host, disk) = booted(seed);
        let file = synced(&disk, "f", 8);
        file.write(0, &[2; 8 * BLOCK]).unwrap();
        disk.power_loss();
        disk.boot();
        content(&disk.open("f").unwrap())
    };
    let all: Vec<Vec<u8>> = (0..20).map(after).collect();
    assert_eq!(all, (0..20).map(after).collect::<Vec<_>>());
    let mut distinct = all.clone();
    distinct.sort();
    distinct.dedup();
    assert!(distinct.len() > 10);
}
