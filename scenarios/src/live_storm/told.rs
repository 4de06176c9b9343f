//! What the processes commit, as the commits of the nodes that stand for them.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::{Read, Result},
    path::Path,
    sync::Mutex,
};

use serde::Deserialize;
use squall::{Node, trace::Row};

use crate::lock;

/// A line of the file in which they tell it.
#[derive(Deserialize)]
struct Line {
    service: String,
    what: String,
    /// Table, key, and the row if there is one.
    rows: Vec<(String, String, Option<String>)>,
}

type Rows = BTreeMap<(String, String), String>;

/// The file, and how much of it the invariants have seen.
pub(super) struct Told(Mutex<Followed>);

struct Followed {
    file: File,
    rest: Vec<u8>,
    waiting: VecDeque<Line>,
    nodes: BTreeMap<String, Node>,
    rows: BTreeMap<String, Rows>,
}

impl Told {
    pub fn new(file: &Path) -> Result<Told> {
        File::create(file)?;
        Ok(Told(Mutex::new(Followed {
            file: File::open(file)?,
            rest: Vec::new(),
            waiting: VecDeque::new(),
            nodes: BTreeMap::new(),
            rows: BTreeMap::new(),
        })))
    }

    /// A node lives, and stands for the service of its name.
    pub fn meet(&self, node: &Node) {
        let mut followed = lock(&self.0);
        followed.nodes.insert(node.name().to_owned(), node.clone());
    }

    /// Tells the invariants what was committed since the last time. What a node's process has committed before it died is
    /// told when the node lives again, and what followed from it waits. Returns whether there was anything.
    pub fn follow(&self) -> bool {
        let mut followed = lock(&self.0);
        followed.read();
        let mut commits = Vec::new();
        while let Some(line) = followed.waiting.pop_front() {
            let node = followed.nodes.get(&line.service);
            let Some(node) = node.filter(|node| node.is_alive()).cloned() else {
                followed.waiting.push_front(line);
                break;
            };
            let rows = followed.changed(line);
            if !rows.is_empty() {
                commits.push((node, rows));
            }
        }
        let any = !commits.is_empty() || !followed.waiting.is_empty();
        drop(followed);
        for (node, rows) in commits {
            node.committed("told", rows);
        }
        any
    }
}

impl Followed {
    fn read(&mut self) {
        if self.file.read_to_end(&mut self.rest).is_err() {
            return;
        }
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            // One that was cut short by a kill is followed by what was found when the process was there again.
            if let Ok(line) = serde_json::from_slice(&line) {
                self.waiting.push_back(line);
            }
        }
    }

    /// The rows that a line changes in what is known.
    fn changed(&mut self, line: Line) -> Vec<Row> {
        let known = self.rows.entry(line.service).or_default();
        let mut after: Vec<((String, String), Option<String>)> = line
            .rows
            .into_iter()
            .map(|(table, key, row)| ((table, key), row))
            .collect();
        if line.what == "found" {
            let found: Rows = after
                .into_iter()
                .filter_map(|(place, row)| Some((place, row?)))
                .collect();
            let gone = known.keys().filter(|place| !found.contains_key(*place));
            let gone = gone.map(|place| (place.clone(), None));
            let new = found
                .iter()
                .filter(|(place, row)| known.get(*place) != Some(*row));
            let new = new.map(|(place, row)| (place.clone(), Some(row.clone())));
            after = gone.chain(new).collect();
        }
        let mut rows = Vec::new();
        for ((table, key), row) in after {
            let place = (table.clone(), key.clone());
            match &row {
                Some(row) => known.insert(place, row.clone()),
                None => known.remove(&place),
            };
            rows.push(Row::new(table, key, row.map(String::into_bytes)));
        }
        rows
    }
}
