//! The reference of all kinds of fault, for the guide.

use std::fmt::Write;

use super::{Action, CustomFault, Draw, FaultKind, Number, Profile, Usual};
use crate::seed::{Seed, Stream};
use crate::site::Kind;

/// Drawn faults of which the example is chosen: not every one has something weaker.
const DRAWN: usize = 20;

const HEAD: &str = "# Faults

Every kind of fault that a storm can have, in the order in which seeds draw them. The example under each is its part of a
plan file, with the times in virtual milliseconds.
";

/// The reference of all kinds of fault, as Markdown.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    for kind in FaultKind::ALL {
        describe(*kind, &mut text).expect("a string takes whatever is written");
    }
    text
}

fn describe(kind: FaultKind, text: &mut String) -> std::fmt::Result {
    let (definition, example) = (kind.definition(), example(kind));
    let json = serde_json::to_string(&example).expect("an action has only string keys");
    write!(text, "\n## `{kind}`\n\n{}\n", prose(definition.about))?;
    write!(text, "\n```json\n{json}\n```\n\n")?;
    if !definition.fields.is_empty() {
        writeln!(text, "| field | |\n|---|---|")?;
        for (field, about) in definition.fields {
            writeln!(text, "| `{field}` | {} |", prose(about))?;
        }
        writeln!(text)?;
    }
    let strikes = match example.needs_burst() {
        true => "a burst that is being sent (a `send` site), and nothing else",
        false => "any instant and any site",
    };
    writeln!(text, "* Strikes at {strikes}.")?;
    writeln!(text, "* Effective once {}.", definition.effective_once)?;
    let shrinks = shrinks_to(kind, &example);
    match &shrinks[..] {
        [] => {}
        [only] => writeln!(text, "* Shrinks to {only}.")?,
        [others @ .., last] => {
            writeln!(text, "* Shrinks to {} or {last}.", others.join(", "))?;
        }
    }
    Ok(())
}

/// The lines of a doc comment as one.
fn prose(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    lines.join(" ")
}

fn shrinks_to(kind: FaultKind, example: &Action) -> Vec<String> {
    let mut shrinks: Vec<String> = Vec::new();
    for weaker in example.weaker(&profile().links) {
        let name = format!("`{}`", weaker.kind());
        if weaker.kind() != kind && !shrinks.contains(&name) {
            shrinks.push(name);
        }
    }
    for place in 0..example.clone().numbers().len() {
        let mut changed = example.clone();
        let number = &mut changed.numbers()[place];
        number.set(number.get() + 1);
        let way = match number {
            Number::Rate(_) => "larger",
            _ => "smaller",
        };
        let differs = |field: &&str| member(&changed, field) != member(example, field);
        let fields = kind.definition().fields.iter().map(|(field, _)| *field);
        let of: Vec<&str> = fields.filter(differs).collect();
        shrinks.push(format!("a {way} `{}`", of.join("`, `")));
    }
    shrinks
}

fn member(action: &Action, field: &str) -> Option<serde_json::Value> {
    let value = serde_json::to_value(action).ok()?;
    value.get(field).cloned()
}

/// A fault of this kind, of the drawn ones one that has something weaker, with round numbers.
fn example(kind: FaultKind) -> Action {
    let (profile, mut rng): (Profile, Stream) = (profile(), Seed(1).stream(kind.name()));
    let draws = (0..DRAWN).map(|_| Draw::new(&profile, &mut rng).fault(kind).action);
    let weaker = |action: &Action| action.weaker(&profile.links).len();
    let drawn: Vec<Action> = draws.collect();
    let most = drawn.into_iter().max_by_key(weaker);
    let mut example = most.expect("at least one is drawn");
    for mut number in example.numbers() {
        let unit = 10u64.pow(number.get().checked_ilog10().unwrap_or(0));
        number.set((number.get() / unit * unit).max(1));
    }
    example
}

/// A shop that has everything that can be struck.
pub(super) fn profile() -> Profile {
    Profile {
        custom: vec![CustomFault {
            name: "declines",
            node: "bank",
            amount: (1, 9),
        }],
        events: vec![("order", "order placed")],
        held: vec![("payment", "lease taken")],
        overlaps: vec!["payment"],
        upgrades: vec!["order"],
        programs: vec!["order"],
        usual: [(Kind::Sync, 8), (Kind::Write, 40)]
            .map(|(kind, times)| Usual {
                node: "order",
                kind,
                label: "",
                times,
            })
            .into(),
        lying: vec!["order"],
        ..Profile::new(
            &["order", "payment"],
            &[("order", "payment"), ("payment", "bank")],
        )
    }
}
