//! What a commit changed in its rows, field by field.

use std::{borrow::Cow, collections::BTreeMap, fmt::Write};

use serde_json::Value;

use super::{Event, Row, What};
use crate::words::cut;

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

/// More fields than this are not listed.
const FIELDS_MAX: usize = 6;
/// Longer values are cut.
const VALUE_CHARS_MAX: usize = 40;

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

/// What the commit at this place among the events changed, a line a row.
pub fn changes(events: &[Event], place: usize) -> Vec<String> {
    let mut rows = Rows::default();
    for event in &events[..place] {
        rows.follow(event);
    }
    let changes = rows.follow(&events[place]).into_iter();
    changes
        .map(|change| change.brief(|_| true, str::to_owned))
        .collect()
}

impl Change<'_> {
    /// `orders/ORD-1 status: Pending → Confirmed`, `+orders/ORD-1 status: Pending`, `-orders/ORD-1`.
    ///
    /// Of what is new, only the status is told where there is one. `keep` chooses among the fields, `show` may rewrite
    /// a value before it is cut to a readable length.
    pub fn brief(
        &self,
        keep: impl Fn(&Field) -> bool,
        mut show: impl FnMut(&str) -> String,
    ) -> String {
        let sign = match self.turn {
            Turn::Created => "+",
            Turn::Changed => "",
            Turn::Deleted => "-",
        };
        let mut text = format!("{sign}{}/{}", self.table, self.key);
        let mut value = |value: &Value| cut(&show(&scalar(value)), VALUE_CHARS_MAX);
        let told = self
            .fields
            .iter()
            .filter(|field| !self.goes_without_saying(field) && keep(field));
        for (n, field) in told.enumerate() {
            if n == FIELDS_MAX {
                text.push_str(", …");
                break;
            }
            text.push_str(if n == 0 { " " } else { ", " });
            let path = field.short_path();
            let fits = "a String takes whatever is written";
            match (&field.before, &field.after) {
                (Some(before), Some(after)) => {
                    write!(text, "{path}: {} → {}", value(before), value(after)).expect(fits);
                }
                (None, Some(after)) => {
                    let plus = if self.turn == Turn::Created { "" } else { "+" };
                    write!(text, "{plus}{path}: {}", value(after)).expect(fits);
                }
                _ => write!(text, "-{path}").expect(fits),
            }
        }
        text
    }

    /// A new field within something new that has a status.
    fn goes_without_saying(&self, field: &Field) -> bool {
        if field.before.is_some() || field.is_status() {
            return false;
        }
        let mut inner = field.path.as_str();
        loop {
            let outer = inner.rsplit_once('.').map_or("", |(outer, _)| outer);
            let has_new_status = self.fields.iter().any(|other| {
                other.before.is_none() && other.is_status() && other.parent() == outer
            });
            if has_new_status {
                return true;
            }
            if outer.is_empty() {
                return false;
            }
            inner = outer;
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

    /// `steps.reserve` for `steps.reserve.status`.
    fn short_path(&self) -> &str {
        if self.is_status() && !self.parent().is_empty() {
            self.parent()
        } else {
            &self.path
        }
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

fn scalar(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => text.as_str().into(),
        other => other.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(key: &str, value: Option<Value>) -> Row {
        Row::new("orders", key, value.map(|v| v.to_string().into_bytes()))
    }

    fn briefs(values: &[Option<Value>]) -> Vec<String> {
        let rows: Vec<Row> = values.iter().map(|v| row("ORD-1", v.clone())).collect();
        let mut memory = Rows::default();
        rows.iter()
            .map(|row| {
                memory
                    .apply("order", "db", row)
                    .brief(|_| true, str::to_owned)
            })
            .collect()
    }

    #[test]
    fn a_row_tells_what_changed_since_its_last_commit() {
        assert_eq!(
            briefs(&[
                Some(json!({"status": "Pending", "total": 5, "data": {"sku": "A"}})),
                Some(json!({"status": "Confirmed", "total": 5, "data": {"sku": "A"}})),
                Some(
                    json!({"status": "Confirmed", "total": 7, "data": {"sku": null}, "note": "x"})
                ),
                Some(json!({"status": "Confirmed", "total": 7, "note": "x"})),
                None,
                Some(json!({"total": 1, "sku": "A"})),
            ]),
            [
                "+orders/ORD-1 status: Pending",
                "orders/ORD-1 status: Pending → Confirmed",
                "orders/ORD-1 -data.sku, +note: x, total: 5 → 7",
                "orders/ORD-1",
                "-orders/ORD-1",
                "+orders/ORD-1 sku: A, total: 1",
            ]
        );
    }

    #[test]
    fn named_items_of_a_list_go_by_their_names() {
        let step =
            |name: &str, status: &str| json!({"name": name, "status": status, "attempts": 1});
        assert_eq!(
            briefs(&[
                Some(json!({"status": "Running", "steps": [step("reserve", "Intended")]})),
                Some(
                    json!({"status": "Running", "steps": [step("reserve", "Done"), step("pay", "Intended")]})
                ),
            ]),
            [
                "+orders/ORD-1 status: Running, steps.reserve: Intended",
                "orders/ORD-1 +steps.pay: Intended, steps.reserve: Intended → Done",
            ]
        );
    }

    #[test]
    fn long_values_and_long_lists_are_cut() {
        let many: Value = (0..9)
            .map(|n| (format!("f{n}"), json!("é".repeat(50))))
            .collect();
        let brief = briefs(&[Some(many)]).remove(0);
        assert!(brief.ends_with("…, …"), "{brief}");
        assert_eq!(brief.matches('é').count(), FIELDS_MAX * VALUE_CHARS_MAX);
    }

    #[test]
    fn values_that_are_no_objects_are_shown_as_they_are() {
        let bytes = |value: &[u8]| Row::new("t", "k", Some(value.to_vec()));
        let rows = [bytes(b"12"), bytes(b"not json"), bytes(b"\xff\xfe")];
        let mut memory = Rows::default();
        let shown = rows
            .each_ref()
            .map(|row| memory.apply("n", "f", row).brief(|_| true, str::to_owned));
        assert_eq!(
            shown,
            [
                "+t/k value: 12",
                "t/k value: 12 → not json",
                "t/k value: not json → 2 bytes"
            ]
        );
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
