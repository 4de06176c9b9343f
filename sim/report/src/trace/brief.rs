//! A committed row in a few words: `products/SKU-1 on_hand 3→2, +lock Reserved by SAGA-1`.

use serde_json::Value;

use super::{
    Event,
    rows::{Change, Field, Rows, Turn},
};
use crate::words::cut;

/// More fields than this are not listed.
const FIELDS_MAX: usize = 6;
/// Longer values are cut.
const VALUE_CHARS_MAX: usize = 32;

/// How the row changed, statuses first, as far as `keep` wants to know; `None` if that is nothing. `show` may rewrite keys and values.
///
/// Of a thing that is new (the row, or an object in it) its status is told and whose it is; where it has no status, all
/// that is not zero, empty or false. Of a thing that is gone, only that.
pub fn brief(
    change: &Change<'_>,
    keep: impl Fn(&Field) -> bool,
    mut show: impl FnMut(&str) -> String,
) -> Option<String> {
    let row = show(&format!("{}/{}", change.table, change.key));
    if change.turn == Turn::Deleted {
        return Some(format!("-{row}"));
    }
    let mut kept: Vec<&Field> = change.fields.iter().filter(|field| keep(field)).collect();
    kept.sort_by_key(|field| {
        let status_of_thing = field.is_status() && !field.parent().is_empty();
        (
            !field.is_status(),
            status_of_thing,
            field.before.is_none(),
            field.place,
        )
    });
    let is_new = change.turn == Turn::Created;
    let mut told: Vec<String> = kept
        .iter()
        .filter_map(|field| tell(field, &kept, is_new, &mut show))
        .collect();
    if told.is_empty() {
        return is_new.then(|| format!("+{row}"));
    }
    if told.len() > FIELDS_MAX {
        told.truncate(FIELDS_MAX);
        told.push("…".to_owned());
    }
    Some(format!("{row} {}", told.join(", ")))
}

/// What the commit at this place among the events changed, a line a row.
pub fn changes(events: &[Event], place: usize) -> Vec<String> {
    let mut rows = Rows::default();
    for event in &events[..place] {
        rows.follow(event);
    }
    let changes = rows.follow(&events[place]).into_iter();
    changes
        .filter_map(|change| brief(&change, |_| true, str::to_owned))
        .collect()
}

fn tell(
    field: &Field,
    all: &[&Field],
    row_is_new: bool,
    show: &mut impl FnMut(&str) -> String,
) -> Option<String> {
    let thing = field.parent().rsplit('.').next().unwrap_or_default();
    let name = match (field.is_status(), thing) {
        (true, "") => String::new(),
        (true, thing) => format!("{thing} "),
        _ => format!("{} ", field.path),
    };
    let has_status = |is: fn(&Field) -> bool| {
        let mut statuses = all.iter().filter(|other| other.is_status() && is(other));
        statuses.any(|status| status.parent().is_empty() || is_within(field, status.parent()))
    };
    match (&field.before, &field.after) {
        (Some(before), Some(after)) => Some(format!(
            "{name}{}→{}",
            text(before, show),
            text(after, show)
        )),
        (None, Some(after)) if field.is_status() => {
            let sign = if row_is_new || thing.is_empty() {
                ""
            } else {
                "+"
            };
            let owner = all.iter().find(|other| {
                other.before.is_none()
                    && other.name() == "owner"
                    && other.parent() == field.parent()
            });
            let owner = owner.and_then(|owner| owner.after.as_ref());
            let by = owner.map_or_else(String::new, |owner| format!(" by {}", text(owner, show)));
            Some(format!("{sign}{name}{}{by}", text(after, show)))
        }
        (None, Some(_)) if has_status(|status| status.before.is_none()) => None,
        (None, Some(after)) if row_is_new => {
            (!is_nothing(after)).then(|| format!("{name}{}", text(after, show)))
        }
        (None, Some(after)) => Some(format!("+{name}{}", text(after, show))),
        (_, None) if field.is_status() && !thing.is_empty() => Some(format!("-{thing}")),
        (_, None) if has_status(|status| status.after.is_none()) => None,
        (_, None) => Some(format!("-{}", field.path)),
    }
}

fn is_within(field: &Field, thing: &str) -> bool {
    field
        .path
        .strip_prefix(thing)
        .is_some_and(|rest| rest.starts_with('.'))
}

fn text(value: &Value, show: &mut impl FnMut(&str) -> String) -> String {
    let text = match value {
        Value::String(text) => show(text),
        other => other.to_string(),
    };
    cut(&text, VALUE_CHARS_MAX)
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Bool(yes) => !yes,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::{Row, testing::row},
        *,
    };

    fn briefs(values: &[Option<Value>]) -> Vec<String> {
        let rows: Vec<_> = values
            .iter()
            .map(|v| row("things", "T-1", v.clone()))
            .collect();
        let mut memory = Rows::default();
        rows.iter()
            .filter_map(|row| {
                let change = memory.apply("node", "db", row);
                brief(&change, |field| field.name() != "version", str::to_owned)
            })
            .collect()
    }

    #[test]
    fn statuses_lead_and_what_is_new_or_gone_is_told_as_one() {
        let lock = json!({"owner": "SAGA-1", "state": "Taken", "since": 7});
        let step = |name: &str, status: &str| json!({"name": name, "status": status, "tries": 2});
        assert_eq!(
            briefs(&[
                Some(json!({"on_hand": 3, "reserved": 0, "version": 1})),
                Some(json!({"on_hand": 2, "reserved": 1, "lock": lock, "version": 2})),
                Some(json!({"on_hand": 2, "reserved": 1, "note": "x", "lock": lock, "version": 3})),
                Some(json!({"on_hand": 2, "reserved": 0, "version": 4})),
                Some(json!({"on_hand": 2, "reserved": 0, "version": 5})),
                None,
                Some(json!({"status": "Running", "by": "me", "steps": [step("take", "Intended")]})),
                Some(
                    json!({"status": "Running", "by": "me", "steps": [step("take", "Done"), step("pay", "Intended")]})
                ),
                Some(
                    json!({"status": "Ended", "by": "you", "steps": [step("take", "Done"), step("pay", "Done")]})
                ),
            ]),
            [
                "things/T-1 on_hand 3",
                "things/T-1 +lock Taken by SAGA-1, on_hand 3→2, reserved 0→1",
                "things/T-1 +note x",
                "things/T-1 -lock, reserved 1→0, -note",
                "-things/T-1",
                "things/T-1 Running, take Intended",
                "things/T-1 take Intended→Done, +pay Intended",
                "things/T-1 Running→Ended, pay Intended→Done, by me→you",
            ]
        );
    }

    #[test]
    fn a_new_row_of_which_nothing_is_worth_telling_is_named() {
        assert_eq!(briefs(&[Some(json!({"version": 1}))]), ["+things/T-1"]);
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
        let values: [&[u8]; 3] = [b"12", b"not json", b"\xff\xfe"];
        let rows = values.map(|value| Row::new("t", "k", Some(value.to_vec())));
        let mut memory = Rows::default();
        let shown = rows.each_ref().map(|row| {
            let change = memory.apply("n", "f", row);
            brief(&change, |_| true, str::to_owned).unwrap()
        });
        assert_eq!(
            shown,
            [
                "t/k value 12",
                "t/k value 12→not json",
                "t/k value not json→2 bytes"
            ]
        );
    }
}
