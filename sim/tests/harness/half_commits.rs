//! What a disk holds after a process died in a commit: that transaction, all of it or nothing.

use redb::StorageBackend;
use squall::{
    Node, Sim,
    run::{Outcome, Verdict},
    site::Kind,
    trace::Row,
};

use crate::little::{Little, crash, for_ever, lasts, nth};

const FILE: &str = "cells";

/// A file of three cells, one byte each; 0 is no row.
fn read(file: Box<dyn StorageBackend>) -> Result<Vec<(String, String, Vec<u8>)>, String> {
    let mut cells = [0; 3];
    if file.len().map_err(|e| e.to_string())? > 0 {
        file.read(0, &mut cells).map_err(|e| e.to_string())?;
    }
    let full = cells.iter().enumerate().filter(|(_, cell)| **cell > 0);
    let row = |(n, cell): (usize, &u8)| ("cells".to_owned(), n.to_string(), vec![*cell]);
    Ok(full.map(row).collect())
}

/// What a store writes for a transaction that sets the cells 0 and 1: offsets and bytes, one write after the other.
type Writes = &'static [(u64, &'static [u8])];

const WHOLE: Writes = &[(0, &[7, 7])];
const ONE_BY_ONE: Writes = &[(0, &[7]), (1, &[7])];
const TOO_MUCH: Writes = &[(0, &[7, 7, 7])];
const GARBLED: Writes = &[(0, &[7, 9])];

/// A store commits so, and dies at its n-th site of this kind. The file is made by the first write and the first sync.
fn dies(writes: Writes, kind: Kind, n: u32) -> Outcome {
    Little(move |sim: &Sim| {
        sim.read_stores_with(read);
        sim.node("store", move |node: Node| async move {
            let file = node.disk().open(FILE).map_err(|e| e.to_string())?;
            if file.len().map_err(|e| e.to_string())? > 0 {
                return for_ever().await;
            }
            // The storm begins while it sleeps.
            node.sleep(std::time::Duration::from_millis(100)).await;
            let own = node.clone();
            node.execute(Box::new(move || {
                let _ = file.set_len(3);
                let row = |n: u64| Row::new("cells", n.to_string(), Some(vec![7]));
                own.committing(FILE, vec![row(0), row(1)]);
                for (at, bytes) in writes {
                    let _ = file.write(*at, bytes);
                }
                let _ = file.sync_data();
                own.commit_done();
            }))
            .await;
            for_ever().await
        });
        lasts(sim, 2);
    })
    .run(vec![nth("store", kind, n, crash("store", 100))])
}

fn broken(outcome: &Outcome) -> Option<(&str, &str, &str)> {
    assert!(outcome.faults[0].fired.is_some());
    let violation = outcome.violations.first()?;
    assert_eq!(outcome.verdict, Verdict::Violated);
    let entity = &*violation.entities[1];
    Some((&violation.invariant, &violation.tag, entity))
}

#[test]
fn a_transaction_under_way_may_be_there_or_not() {
    // Before the write, and after it: the page cache survives the process.
    for (kind, n) in [(Kind::Write, 2), (Kind::Sync, 1)] {
        let outcome = dies(WHOLE, kind, n);
        assert_eq!(broken(&outcome), None);
        assert_eq!(outcome.verdict, Verdict::Survived);
    }
}

#[test]
fn half_a_transaction_is_found_out() {
    let nothing = dies(ONE_BY_ONE, Kind::Write, 2);
    assert_eq!(broken(&nothing), None);
    let half = dies(ONE_BY_ONE, Kind::Write, 3);
    assert_eq!(
        broken(&half),
        Some(("a commit is all or nothing", "half", "cells/1"))
    );
    let whole = dies(ONE_BY_ONE, Kind::Sync, 1);
    assert_eq!(broken(&whole), None);
}

#[test]
fn what_was_no_part_of_the_transaction_is_found_out() {
    let more = dies(TOO_MUCH, Kind::Sync, 1);
    assert_eq!(
        broken(&more),
        Some(("acknowledged is durable", "commit lost", "cells/2"))
    );
    let other = dies(GARBLED, Kind::Sync, 1);
    assert_eq!(
        broken(&other),
        Some(("a commit is all or nothing", "garbled", "cells/1"))
    );
}
