//! What a commit changed in its rows, field by field.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Event, Row, What};

/// The latest value of every row seen so far.
#[derive(Debug, Default)]
pub struct Rows<'t> {
    latest: BTreeMap<(&'t str, &'t str, &'t str, &'t str), &'t [u8]>,
}

/// How a row changed.
#[derive(Debug, PartialEq)]
pub struct Change<'t> {
    pub table: &'t str,
    pub key: &'t str,
    pub turn: Turn,
    /// The fields that differ: the status first, the others by name.
    pub fields: Vec<Field>,
}

/// What became of the row as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Created,
    Changed,
    Deleted,
}

/// A scalar at a path (`lock.owner`, `steps.reserve.status`) before and after. Null counts as absent.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub path: String,
    /// Where it comes in its row, among all scalars.
    pub place: usize,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

impl<'t> Rows<'t> {
    /// The value of a row before it is [`apply`](Self::apply)ed.
    pub fn before(&self, node: &'t str, file: &'t str, row: &'t Row) -> Option<&'t [u8]> {
        self.latest
            .get(&(node, file, &*row.table, &*row.key))
            .copied()
    }

    /// Takes note of what an event commits and tells how each row changed; nothing where it commits nothing.
    pub fn follow(&mut self, event: &'t Event) -> Vec<Change<'t>> {
        let What::Commit { file, rows } = &event.what else {
            return Vec::new();
        };
        let changed = rows.iter();
        changed
            .map(|row| self.apply(&event.node, file, row))
            .collect()
    }

    /// Takes note of a committed row and tells how it changed.
    pub fn apply(&mut self, node: &'t str, file: &'t str, row: &'t Row) -> Change<'t> {
        let place = (node, file, &*row.table, &*row.key);
        let before = match &row.value {
            Some(value) => self.latest.insert(place, value),
            None => self.latest.remove(&place),
        };
        let (turn, fields) = match (before, row.value.as_deref()) {
            (_, None) => (Turn::Deleted, Vec::new()),
            (None, Some(after)) => (Turn::Created, differences(None, after)),
            (Some(before), Some(after)) => (Turn::Changed, differences(Some(before), after)),
        };
        Change {
            table: &row.table,
            key: &row.key,
            turn,
            fields,
        }
    }
}

impl Field {
    /// The last part of the path.
    pub fn name(&self) -> &str {
        self.path
            .rsplit_once('.')
            .map_or(&*self.path, |(_, name)| name)
    }

    /// The path of the object that it belongs to; empty for the row itself.
    pub fn parent(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(parent, _)| parent)
    }

    /// Whether it says where the thing that it belongs to is in its life.
    pub fn is_status(&self) -> bool {
        matches!(self.name(), "status" | "state")
    }
}

type Flat = BTreeMap<String, (usize, Value)>;

fn differences(before: Option<&[u8]>, after: &[u8]) -> Vec<Field> {
    let before = before.map(flatten).unwrap_or_default();
    let mut after = flatten(after);
    let mut fields = Vec::new();
    for (path, (was_at, before)) in before {
        let (place, after) = after.remove(&path).unzip();
        if after.as_ref() != Some(&before) {
            fields.push(Field {
                path,
                place: place.unwrap_or(was_at),
                before: Some(before),
                after,
            });
        }
    }
    fields.extend(after.into_iter().map(|(path, (place, after))| Field {
        path,
        place,
        before: None,
        after: Some(after),
    }));
    fields.sort_by(|a, b| (!a.is_status(), &a.path).cmp(&(!b.is_status(), &b.path)));
    fields
}

/// All scalars by path, each with its place. A value that is not a JSON object or array has the path `value`.
fn flatten(bytes: &[u8]) -> Flat {
    let mut flat = BTreeMap::new();
    let value =
        serde_json::from_slice(bytes).unwrap_or_else(|_| match std::str::from_utf8(bytes) {
            Ok(text) => Value::from(text),
            Err(_) => Value::from(format!("{} bytes", bytes.len())),
        });
    collect("", value, &mut flat);
    flat
}

fn collect(path: &str, value: Value, flat: &mut Flat) {
    let below = |name: &str| match path {
        "" => name.to_owned(),
        _ => format!("{path}.{name}"),
    };
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (name, member) in members {
                collect(&below(&name), member, flat);
            }
        }
        Value::Array(items) => {
            for (n, mut item) in items.into_iter().enumerate() {
                // A list of named things keeps its paths when something is put in between.
                let name = item
                    .as_object_mut()
                    .and_then(|members| match members.remove("name") {
                        Some(Value::String(name)) => Some(name),
                        Some(other) => {
                            members.insert("name".to_owned(), other);
                            None
                        }
                        None => None,
                    });
                collect(&below(&name.unwrap_or_else(|| n.to_string())), item, flat);
            }
        }
        scalar => {
            let path = if path.is_empty() { "value" } else { path };
            let place = flat.len();
            flat.insert(path.to_owned(), (place, scalar));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(key: &str, value: Option<Value>) -> Row {
        Row::new("orders", key, value.map(|v| v.to_string().into_bytes()))
    }

    #[test]
    fn rows_of_other_nodes_and_files_are_other_rows() {
        let row = row("ORD-1", Some(json!({"total": 1})));
        let mut memory = Rows::default();
        assert_eq!(memory.apply("a", "db", &row).turn, Turn::Created);
        assert_eq!(memory.apply("b", "db", &row).turn, Turn::Created);
        assert_eq!(memory.apply("a", "other", &row).turn, Turn::Created);
        assert_eq!(memory.apply("a", "db", &row).turn, Turn::Changed);
    }
}
