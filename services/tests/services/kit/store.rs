use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use squall_services::{
    kit::{Code, Problem, Store, StoreError, Table, Writer, store::dump},
    planted_bug::{Bug, Bugs},
    ports::Platform,
};

use crate::support::machine::{Machine, Network};

const CARTS: Table<u64> = Table::new("carts");
const CARTS_ARCHIVE: Table<u64> = Table::new("carts-archive");

async fn open() -> (Store, Platform, Arc<Machine>) {
    let (platform, machine) = Network::default().machine("shop");
    let store = Store::open(&platform, "shop.redb").await.unwrap();
    (store, platform, machine)
}

/// A transaction that succeeds.
async fn write(
    store: &Store,
    work: impl FnOnce(&mut Writer<'_>) -> Result<(), StoreError> + Clone + Send + 'static,
) {
    store.write(work).await.unwrap();
}

fn get(store: &Store, key: &str) -> Result<Option<u64>, StoreError> {
    store.read(|tx| tx.get(&CARTS, key))
}

fn last_commit(machine: &Machine) -> Vec<(String, Option<String>)> {
    let commits = machine.commits.lock().unwrap();
    let rows = commits.last().cloned().unwrap_or_default();
    rows.into_iter()
        .map(|row| {
            let after = row.after.map(|value| String::from_utf8(value).unwrap());
            (format!("{}/{}", row.table, row.key), after)
        })
        .collect()
}

#[tokio::test]
async fn a_commit_is_reported_once_per_row_before_the_writer_learns_of_it() {
    let (store, _, machine) = open().await;
    write(&store, |tx| {
        tx.put(&CARTS, "b", &1)?;
        tx.put(&CARTS, "a", &2)?;
        tx.put(&CARTS, "b", &3)?;
        assert_eq!(tx.get(&CARTS, "b")?, Some(3), "it sees its own changes");
        tx.delete(&CARTS, "never there")
    })
    .await;
    let expected = [
        ("carts/a".to_owned(), Some("2".to_owned())),
        ("carts/b".to_owned(), Some("3".to_owned())),
    ];
    assert_eq!(last_commit(&machine), expected);
    write(&store, |tx| tx.delete(&CARTS, "a")).await;
    assert_eq!(last_commit(&machine), [("carts/a".to_owned(), None)]);
}

#[tokio::test]
async fn an_error_rolls_back_and_a_transaction_without_changes_commits_nothing() {
    let (store, _, machine) = open().await;
    let refused = store
        .write::<(), StoreError>(|tx| {
            tx.put(&CARTS, "a", &1)?;
            Err(StoreError::Corrupt("no".into()))
        })
        .await;
    assert!(refused.is_err());
    let before = machine.bytes("shop.redb");
    let seen = store
        .write::<_, StoreError>(|tx| tx.get(&CARTS, "a"))
        .await
        .unwrap();
    assert_eq!(seen, None);
    assert!(machine.commits.lock().unwrap().is_empty());
    assert!(before == machine.bytes("shop.redb"), "not a byte written");
}

#[tokio::test]
async fn a_scan_stays_within_its_table_and_prefix() {
    let (store, ..) = open().await;
    write(&store, |tx| {
        for (n, key) in ["u1/b", "u1/a", "u2/a", "u1"].into_iter().enumerate() {
            tx.put(&CARTS, key, &(n as u64))?;
            tx.put(&CARTS_ARCHIVE, key, &99)?;
        }
        Ok(())
    })
    .await;
    let scan = |prefix: &'static str| {
        let rows = store.read::<_, StoreError>(|tx| tx.scan(&CARTS, prefix));
        rows.unwrap()
    };
    let expected = [("u1/a".to_owned(), 1), ("u1/b".to_owned(), 0)];
    assert_eq!(scan("u1/"), expected);
    assert_eq!(scan("").len(), 4);
    assert_eq!(store.dump().unwrap().len(), 8);
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart_and_in_a_fork_of_the_file() {
    let (store, platform, machine) = open().await;
    write(&store, |tx| tx.put(&CARTS, "a", &7)).await;
    let crashed = machine.bytes("shop.redb");
    drop(store);
    machine.put_file("fork", crashed.clone());
    let rows = dump(Box::new(machine.file("fork").unwrap())).unwrap();
    assert_eq!(rows, [("carts".to_owned(), "a".to_owned(), b"7".to_vec())]);
    machine.put_file("shop.redb", crashed);
    let store = Store::open(&platform, "shop.redb").await.unwrap();
    let seen = get(&store, "a");
    assert_eq!(seen.unwrap(), Some(7));
}

#[tokio::test]
async fn an_unfinished_database_is_thrown_away_and_a_damaged_one_refused() {
    let (platform, machine) = Network::default().machine("shop");
    machine.put_file("shop.redb.new", vec![1; 5000]);
    Store::open(&platform, "shop.redb").await.unwrap();
    assert!(machine.file("shop.redb.new").is_none());
    for damaged in [Vec::new(), vec![7; 8192]] {
        machine.put_file("shop.redb", damaged);
        let error = Store::open(&platform, "shop.redb").await.err().unwrap();
        let text = error.to_string();
        assert!(matches!(error, StoreError::Corrupt(_)), "{text}");
        assert!(
            text.contains("shop.redb") && text.contains("backup"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_refused_commit_is_an_unknown_outcome_that_ends_the_process_and_answers_nobody() {
    let (store, _, machine) = open().await;
    machine.disk_fails.store(true, Ordering::SeqCst);
    let write = store.write::<_, StoreError>(|tx| tx.put(&CARTS, "a", &1));
    let answer = tokio::time::timeout(Duration::from_secs(3600), write).await;
    assert!(answer.is_err(), "nobody may be told that it failed");
    assert!(machine.commits.lock().unwrap().is_empty());
    let failures = machine.failures.lock().unwrap();
    assert!(failures[0].contains("medium error"), "{failures:?}");
}

#[tokio::test]
async fn a_panic_in_a_transaction_rolls_back_and_reaches_the_writer() {
    let (store, _, machine) = open().await;
    let broken = store.write::<(), StoreError>(|tx| {
        tx.put(&CARTS, "a", &1)?;
        panic!("a defect")
    });
    let broken = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(broken));
    assert!(broken.await.is_err());
    write(&store, |tx| tx.put(&CARTS, "b", &2)).await;
    assert_eq!(
        last_commit(&machine),
        [("carts/b".to_owned(), Some("2".to_owned()))]
    );
    assert_eq!(store.dump().unwrap().len(), 1);
}

/// A shop with two carts, of which the second cannot be read.
async fn with_an_unreadable_cart(bugs: Bugs) -> (Store, Arc<Machine>) {
    let (platform, machine) = Network::default().machine("shop");
    let store = Store::open(&platform, "shop.redb")
        .await
        .unwrap()
        .with(bugs);
    write(&store, |tx| {
        tx.put(&CARTS, "a", &1)?;
        tx.put(&CARTS, "b", &2)
    })
    .await;
    machine.unreadable.lock().unwrap().push("b");
    (store, machine)
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_neither_there_nor_absent_until_it_can() {
    let (store, machine) = with_an_unreadable_cart(Bugs::NONE).await;
    let refused = |error| {
        assert!(matches!(error, StoreError::Unreadable(_)), "{error}");
        assert_eq!(Problem::from(error).code, Code::ServiceUnavailable);
    };
    refused(get(&store, "b").unwrap_err());
    refused(
        store
            .read::<_, StoreError>(|tx| tx.scan(&CARTS, ""))
            .unwrap_err(),
    );
    let half = store.write::<_, StoreError>(|tx| {
        tx.put(&CARTS, "c", &3)?;
        tx.get(&CARTS, "b")
    });
    refused(half.await.unwrap_err());
    assert_eq!(machine.commits(), 1, "it was rolled back");
    let failures = machine.failures.lock().unwrap().len();
    assert_eq!(failures, 0, "the process goes on");
    for (key, there) in [("a", Some(1)), ("c", None)] {
        let seen = get(&store, key);
        assert_eq!(seen.unwrap(), there);
    }
    machine.unreadable.lock().unwrap().clear();
    let seen = get(&store, "b");
    assert_eq!(seen.unwrap(), Some(2));
}

#[tokio::test]
async fn planted_a_row_that_cannot_be_read_is_absent() {
    let bugs = Bugs::NONE.with(Bug::UnreadableIsAbsent);
    let (store, _) = with_an_unreadable_cart(bugs).await;
    let seen = store.read::<_, StoreError>(|tx| Ok((tx.get(&CARTS, "b")?, tx.scan(&CARTS, "")?)));
    assert_eq!(seen.unwrap(), (None, vec![("a".to_owned(), 1)]));
}

#[tokio::test]
async fn it_keeps_what_every_store_keeps() {
    let network = Network::with_disks_that_take(Duration::from_millis(1));
    crate::conformance::store(&network.machine("shop").0).await;
}
