//! What the processes commit, as the commits of the nodes that stand for them.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::{Read, Result},
    path::Path,
    sync::Mutex,
};

use serde::Deserialize;
use serde_json::Value;
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

/// As values: a store may write a row's JSON in another way than it was given.
type Rows = BTreeMap<(String, String), Value>;

fn value(row: &str) -> Value {
    serde_json::from_str(row).unwrap_or_else(|_| row.into())
}

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
        lock(&self.0).read();
        // One by one: a commit may be where the storm kills its node, and then those after it wait.
        let mut any = false;
        loop {
            let next = lock(&self.0).next();
            let Some((node, rows)) = next else {
                break;
            };
            any = true;
            node.committed("told", rows);
        }
        any || !lock(&self.0).waiting.is_empty()
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

    /// The next commit of a node that lives.
    fn next(&mut self) -> Option<(Node, Vec<Row>)> {
        loop {
            let line = self.waiting.front()?;
            let node = self.nodes.get(&line.service)?.clone();
            if !node.is_alive() {
                return None;
            }
            let line = self.waiting.pop_front()?;
            let rows = self.changed(line);
            if !rows.is_empty() {
                return Some((node, rows));
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
            let found: BTreeMap<_, _> = after
                .into_iter()
                .filter_map(|(place, row)| Some((place, row?)))
                .collect();
            let gone = known.keys().filter(|place| !found.contains_key(*place));
            let gone = gone.map(|place| (place.clone(), None));
            let new = found
                .iter()
                .filter(|(place, row)| known.get(*place) != Some(&value(row)));
            let new = new.map(|(place, row)| (place.clone(), Some(row.clone())));
            after = gone.chain(new).collect();
        }
        let mut rows = Vec::new();
        for ((table, key), row) in after {
            let place = (table.clone(), key.clone());
            match &row {
                Some(row) => known.insert(place, value(row)),
                None => known.remove(&place),
            };
            rows.push(Row::new(table, key, row.map(String::into_bytes)));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::Arc, time::Duration};

    use squall::{
        Sim,
        fault::Crash,
        run::{Spec, Verdict, run},
        seed::Seed,
        site::Kind,
        storm::{Fault, Plan, When},
    };

    use super::*;
    use crate::little::Little;

    /// What the invariants see of these lines, all of them there at once, in the storm of `plan`: keys and rows.
    fn seen(test: &str, lines: &[&str], plan: Plan) -> Vec<(String, Option<String>)> {
        let name = format!("squall-told-{test}-{}", std::process::id());
        let file = std::env::temp_dir().join(name);
        let told = Arc::new(Told::new(&file).unwrap());
        std::fs::write(&file, lines.join("\n") + "\n").unwrap();
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let sees = seen.clone();
        let world = Little(move |sim: &Sim| {
            let (meets, follows, sees) = (told.clone(), told.clone(), sees.clone());
            sim.node("bank", move |node| {
                meets.meet(&node);
                pending::<Result<()>>()
            });
            sim.node("real-time", move |node| {
                let told = follows.clone();
                async move {
                    loop {
                        node.sleep(Duration::from_millis(1)).await;
                        told.follow();
                    }
                    #[allow(unreachable_code)]
                    Ok::<_, std::io::Error>(())
                }
            });
            sim.always("seen", move |commit, _| {
                let text = |row: &Vec<u8>| String::from_utf8(row.clone()).unwrap();
                let rows = commit.rows.iter();
                lock(&sees).extend(rows.map(|row| (row.key.clone(), row.value.as_ref().map(text))));
            });
            crate::little::lasts(sim, 5);
        });
        let outcome = run(&world, &Spec::of(&world, Seed(1)).under(plan), false);
        assert_eq!(outcome.verdict, Verdict::Survived);
        std::fs::remove_file(&file).unwrap();
        std::mem::take(&mut *lock(&seen))
    }

    #[test]
    fn what_follows_a_commit_at_which_its_node_dies_is_told_when_it_lives_again() {
        let lines = [
            r#"{"service":"bank","what":"commit","rows":[["t","a","1"]]}"#,
            r#"{"service":"bank","what":"commit","rows":[["t","b","2"]]}"#,
            r#"{"service":"bank","what":"commit","rows":[["t","a",null]]}"#,
        ];
        let crash = Crash::new("bank", 1_000);
        let plan = Plan::new(vec![Fault::new(When::nth("bank", Kind::Commit, 1), crash)]);
        let rows = [("a", Some("1")), ("b", Some("2")), ("a", None)];
        let rows = rows.map(|(key, row)| (key.to_owned(), row.map(str::to_owned)));
        assert_eq!(seen("crash", &lines, plan), rows);
    }

    #[test]
    fn rows_that_are_found_in_another_spelling_are_not_told_again() {
        let lines = [
            r#"{"service":"bank","what":"commit","rows":[["t","a","{\"x\":1,\"y\":[2]}"],["t","b","3"]]}"#,
            r#"{"service":"bank","what":"found","rows":[["t","a","{\"y\": [2], \"x\": 1}"],["t","b","4"]]}"#,
        ];
        let keys: Vec<String> = seen("found", &lines, Plan::new(Vec::new()))
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        assert_eq!(keys, ["a", "b", "b"]);
    }
}
