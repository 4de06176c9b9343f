use std::{collections::BTreeMap, panic::AssertUnwindSafe};

use futures_util::FutureExt;
use serde_json::{Value, json};
use squall_services::{
    kit::{Store, StoreError, Table, Writer},
    ports::Platform,
};
use tokio::sync::mpsc;

const ROWS: Table<Value> = Table::new("rows");
const COUNTS: Table<u64> = Table::new("counts");
const COUNTS_ARCHIVE: Table<u64> = Table::new("counts-archive");

const FILE: &str = "conformance.redb";

/// Keeps rows in the database of this platform, which is empty.
pub async fn store(platform: &Platform) {
    let store = Store::open(platform, FILE).await.unwrap();
    a_transaction_sees_its_own_changes_and_nobody_else_before_its_commit(&store).await;
    what_is_refused_or_panics_is_rolled_back(&store).await;
    a_scan_is_in_the_order_of_bytes_within_table_and_prefix(&store).await;
    json_comes_back_as_it_was(&store).await;
    commits_are_told_in_their_order_each_row_once(&store).await;
    counts_add_up_whoever_counts(platform, &store).await;
    of_two_who_rely_on_each_other_one_goes(platform, &store).await;
    let before = store.dump().unwrap();
    drop(store);
    let store = Store::open(platform, FILE).await.unwrap();
    assert!(
        before == store.dump().unwrap(),
        "opened again, it is the same"
    );
}

fn count(store: &Store, key: &str) -> Option<u64> {
    let found = store.read::<_, StoreError>(|rows| rows.get(&COUNTS, key));
    found.unwrap()
}

/// A transaction that succeeds.
async fn write(
    store: &Store,
    work: impl FnOnce(&mut Writer<'_>) -> Result<(), StoreError> + Clone + Send + 'static,
) {
    store.write(work).await.unwrap();
}

async fn a_transaction_sees_its_own_changes_and_nobody_else_before_its_commit(store: &Store) {
    let reader = store.clone();
    write(store, move |tx| {
        tx.put(&COUNTS, "own/b", &1)?;
        tx.put(&COUNTS, "own/a", &2)?;
        tx.put(&COUNTS, "own/b", &3)?;
        tx.put(&COUNTS, "own/c", &4)?;
        tx.delete(&COUNTS, "own/c")?;
        tx.delete(&COUNTS, "own/never")?;
        assert_eq!(tx.get(&COUNTS, "own/b")?, Some(3));
        assert_eq!(tx.get(&COUNTS, "own/c")?, None);
        let seen = [("own/a".to_owned(), 2), ("own/b".to_owned(), 3)];
        assert_eq!(tx.scan(&COUNTS, "own/")?, seen);
        assert_eq!(count(&reader, "own/b"), None);
        Ok(())
    })
    .await;
    assert_eq!(count(store, "own/b"), Some(3));
    write(store, |tx| tx.delete(&COUNTS, "own/b")).await;
    assert_eq!(count(store, "own/b"), None);
}

async fn what_is_refused_or_panics_is_rolled_back(store: &Store) {
    let refused = store.write::<(), StoreError>(|tx| {
        tx.put(&COUNTS, "refused", &1)?;
        Err(StoreError::Corrupt("no".to_owned()))
    });
    assert!(matches!(refused.await, Err(StoreError::Corrupt(_))));
    assert_eq!(count(store, "refused"), None);
    let panics = store.write::<(), StoreError>(|tx| {
        tx.put(&COUNTS, "refused", &1)?;
        panic!("a bug");
    });
    assert!(AssertUnwindSafe(panics).catch_unwind().await.is_err());
    assert_eq!(count(store, "refused"), None);
}

async fn a_scan_is_in_the_order_of_bytes_within_table_and_prefix(store: &Store) {
    let keys = [
        "p/Z", "p/a", "p/B", "p/é", "p/10", "p/9", "p", "q/a", "p/a/b", "p/😀", "p_a", "p%a",
    ];
    write(store, move |tx| {
        for (n, key) in (0..).zip(keys) {
            tx.put(&COUNTS, key, &n)?;
            tx.put(&COUNTS_ARCHIVE, key, &99)?;
        }
        Ok(())
    })
    .await;
    let mut expected = keys.to_vec();
    expected.retain(|key| key.starts_with("p/"));
    expected.sort_unstable();
    let scan = |limit, least| {
        let some = store.read::<_, StoreError>(|rows| {
            rows.scan_some(&COUNTS, "p/", limit, |row| *row >= least)
        });
        let keys = some.unwrap().into_iter().map(|(key, _)| key);
        keys.collect::<Vec<_>>()
    };
    assert_eq!(scan(usize::MAX, 0), expected);
    assert_eq!(scan(2, 0), expected[..2]);
    assert_eq!(scan(1, 9), ["p/😀"]);
    write(store, |tx| {
        (0..1_201).try_for_each(|n| tx.put(&COUNTS, &format!("many/{n:05}"), &n))
    })
    .await;
    let all = store.read::<_, StoreError>(|rows| rows.scan(&COUNTS, "many/"));
    assert!(all.unwrap().into_iter().map(|(_, n)| n).eq(0..1_201));
}

async fn json_comes_back_as_it_was(store: &Store) {
    let row = json!({
        "z": u64::MAX, "a": i64::MIN, "f": 0.1, "whole": 1.0, "text": "é\"\\\n😀",
        "empty": "", "none": null, "list": [1, [], {}], "nested": {"b": true},
    });
    let expected = row.clone();
    write(store, move |tx| tx.put(&ROWS, "json", &row)).await;
    let found = store.read::<_, StoreError>(|rows| rows.get(&ROWS, "json"));
    assert_eq!(found.unwrap(), Some(expected));
}

async fn commits_are_told_in_their_order_each_row_once(store: &Store) {
    let mut feed = store.feed();
    for n in 0..3 {
        write(store, move |tx| {
            tx.put(&COUNTS, "told", &100)?;
            tx.put(&COUNTS, "told", &n)
        })
        .await;
    }
    write(store, |tx| tx.get(&COUNTS, "told").map(drop)).await;
    for n in 0..3 {
        let commit = feed.try_recv().unwrap();
        let [change] = &commit[..] else {
            panic!("{commit:?}");
        };
        assert_eq!((change.table, change.key.as_str()), ("counts", "told"));
        assert_eq!(change.after, Some(n.to_string().into_bytes()));
    }
    assert!(feed.try_recv().is_err(), "one that changes nothing is none");
}

/// Does a thing several times at once, each told its number.
async fn at_once<F>(platform: &Platform, times: u64, each: impl Fn(u64) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (done, mut all) = mpsc::unbounded_channel();
    for n in 0..times {
        let (work, done) = (each(n), done.clone());
        platform.spawn("conformance", async move {
            work.await;
            done.send(n).unwrap();
        });
    }
    for _ in 0..times {
        all.recv().await.unwrap();
    }
}

async fn counts_add_up_whoever_counts(platform: &Platform, store: &Store) {
    at_once(platform, 8, |_| {
        let store = store.clone();
        async move {
            for _ in 0..10 {
                let add = |tx: &mut Writer<'_>| {
                    let before = tx.get(&COUNTS, "sum")?.unwrap_or_default();
                    tx.put(&COUNTS, "sum", &(before + 1))
                };
                // Too many at once may be told to come back: nothing was done.
                while let Err(error) = store.write::<_, StoreError>(add).await {
                    assert!(matches!(error, StoreError::Unreachable(_)), "{error}");
                }
            }
        }
    })
    .await;
    assert_eq!(count(store, "sum"), Some(80));
}

async fn of_two_who_rely_on_each_other_one_goes(platform: &Platform, store: &Store) {
    for round in 0..10 {
        write(store, |tx| {
            tx.put(&COUNTS, "duty/0", &1)?;
            tx.put(&COUNTS, "duty/1", &1)
        })
        .await;
        at_once(platform, 2, |n| {
            let store = store.clone();
            async move {
                write(&store, move |tx| {
                    if tx.scan(&COUNTS, "duty/")?.len() == 2 {
                        tx.delete(&COUNTS, &format!("duty/{n}"))?;
                    }
                    Ok(())
                })
                .await;
            }
        })
        .await;
        let left = store.read::<_, StoreError>(|rows| rows.scan(&COUNTS, "duty/"));
        let left: BTreeMap<String, u64> = left.unwrap().into_iter().collect();
        assert_eq!(left.len(), 1, "round {round}: {left:?}");
    }
}
