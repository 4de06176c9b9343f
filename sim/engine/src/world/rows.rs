//! Rows of nodes that announce no commits, as unmodified programs do: they are read from a copy of the node's files whenever
//! one of these has been synced, and what has changed since the last time is a commit.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use squall_core::event::{FOUND_AFTER_OUTAGE, Scope, What};

use super::{Known, NodeState, World, lock, panic_text};
use crate::{
    check::{Class, Violation},
    disk::Files,
};

/// Reads all rows of a node's databases: (table, key, value).
pub(crate) type RowReader =
    Arc<dyn Fn(&Files<'_>) -> Result<Vec<(String, String, Vec<u8>)>, String> + Send + Sync>;

/// When rows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// A file of the node has been synced, or all is to be judged. It may hold no database yet.
    Meanwhile,
    /// The node is about to boot.
    Boot,
    /// The run is over: what can't be read now is lost.
    End,
}

impl World {
    /// Reads the rows of a node, if the scenario says how, and has the invariants judge what has changed.
    pub fn read_rows(self: &Arc<Self>, node: &Arc<NodeState>, occasion: Occasion) {
        let reader = lock(&self.row_readers).get(&*node.name).cloned();
        let (Some(reader), false) = (reader, lock(&self.checker).unchecked) else {
            return;
        };
        let files = Files::of(&node.disk);
        let read = match catch_unwind(AssertUnwindSafe(|| reader(&files))) {
            Ok(read) => read,
            Err(panic) => {
                let why = panic_text(&*panic);
                let why = format!("reading the rows of {}: {why}", node.name);
                lock(&self.checker).harness = Some(why);
                return;
            }
        };
        let found = match read {
            Ok(found) => found,
            Err(why) if occasion == Occasion::End => {
                lock(&self.checker).broken(Violation {
                    invariant: "databases can be read in the end".to_owned(),
                    tag: "unreadable".to_owned(),
                    class: Class::Damage,
                    at: self.now(),
                    entities: vec![node.name.to_string()],
                    expected: "rows".to_owned(),
                    found: why,
                });
                return self.report_violations();
            }
            Err(_) => return,
        };
        let rows = lock(&self.checker).truth.difference(&node.name, &found);
        if rows.is_empty() {
            return;
        }
        let (file, known) = match occasion {
            Occasion::Boot => (FOUND_AFTER_OUTAGE, Known::Found),
            Occasion::Meanwhile | Occasion::End => (SYNCED, Known::Acknowledged),
        };
        let what = What::Commit {
            file: file.into(),
            rows: Cow::Borrowed(&rows),
        };
        self.record(&node.name, what);
        let now = self.now();
        let broken = lock(&self.checker).commit(now, &node.name, file, rows, &Scope::NONE, known);
        if broken {
            self.report_violations();
        }
    }

    /// Reads the rows of all nodes of which the scenario says how.
    pub fn read_all_rows(self: &Arc<Self>, occasion: Occasion) {
        for node in self.nodes() {
            self.read_rows(&node, occasion);
        }
    }
}

/// What stands for the file of a commit that was seen at a sync.
const SYNCED: &str = "files";
