//! What a storage engine's commit costs on the simulated disk.

use std::sync::Arc;

use divan::{Bencher, counter::BytesCount};
use redb::{Builder, Database, StorageBackend, TableDefinition};
use squall::disk::Disk;
use squall_fixtures::one_disk;

const ROWS: TableDefinition<&str, &[u8]> = TableDefinition::new("rows");
const ROW: [u8; 200] = [7; 200];

fn main() {
    divan::main();
}

fn create(disk: &Arc<Disk>) -> Database {
    let file = disk.open("bench.redb").expect("the node is up");
    Builder::new()
        .create_with_backend(file)
        .expect("nothing fails")
}

fn commit(database: &Database, first: u64, rows: u64) {
    let tx = database.begin_write().expect("nothing fails");
    {
        let mut table = tx.open_table(ROWS).expect("nothing fails");
        for row in first..first + rows {
            let key = format!("row-{:04}", row % 200);
            table
                .insert(key.as_str(), ROW.as_slice())
                .expect("nothing fails");
        }
    }
    tx.commit().expect("nothing fails");
}

#[divan::bench(args = [1, 4])]
fn one_commit_of_rows_of_200_bytes(bencher: Bencher, rows: u64) {
    let (_host, disk) = one_disk::booted(1);
    let database = create(&disk);
    let mut first = 0;
    for _ in 0..200 {
        commit(&database, first, 1);
        first += 1;
    }
    bencher
        .counter(BytesCount::new(rows * 200))
        .bench_local(|| {
            commit(&database, first, rows);
            first += rows;
        });
}

#[divan::bench]
fn the_disk_s_share_of_a_commit(bencher: Bencher) {
    let (_host, disk) = one_disk::booted(1);
    let file = disk.open("raw").expect("the node is up");
    file.set_len(1 << 20).expect("nothing fails");
    let page = [5u8; 4096];
    let mut at = 0;
    bencher.bench_local(|| {
        for _ in 0..6 {
            file.write(at % (1 << 20), &page).expect("nothing fails");
            at += 4096;
        }
        file.write(0, &page[..320]).expect("nothing fails");
        file.sync_data().expect("nothing fails");
    });
}

#[divan::bench]
fn creating_a_database(bencher: Bencher) {
    bencher
        .with_inputs(|| one_disk::booted(1))
        .bench_local_values(|(host, disk)| {
            let database = create(&disk);
            (host, disk, database)
        });
}

#[divan::bench]
fn reopening_a_database_after_a_crash(bencher: Bencher) {
    bencher
        .with_inputs(|| {
            let (host, disk) = one_disk::booted(1);
            let database = create(&disk);
            for row in 0..20 {
                commit(&database, row, 1);
            }
            disk.crash();
            drop(database);
            disk.boot();
            (host, disk)
        })
        .bench_local_values(|(host, disk)| {
            let database = create(&disk);
            (host, disk, database)
        });
}
