//! What a route takes, learnt from its refusals: which members it misses, and what it expects of them.

use serde_json::{Map, Value, json};

use super::{
    routes::Route,
    town::{Request, Town},
};

/// More tries than any body has members and wrong guesses at them.
const TRIES: usize = 60;

/// What is known of a route.
#[derive(Clone, Debug)]
pub struct Learnt {
    /// A body.
    pub body: Value,
    /// Whether the route takes it: what it may refuse still has nothing to do with the body's shape.
    pub is_taken: bool,
    /// What was said about it last.
    pub last: String,
}

/// Tries bodies until one is taken.
pub async fn body_of(town: &Town, service: &str, route: &Route) -> Learnt {
    let (mut body, mut last) = (Value::Null, String::new());
    for _ in 0..TRIES {
        let request = Request::plain(route);
        let request = match &body {
            Value::Null => request,
            body => request.with_body(body),
        };
        let answer = town.send(service, &request).await;
        let answer = answer.unwrap_or_else(|lost| panic!("{service}: {request}: {lost}"));
        last = answer.detail();
        let better = match answer.status {
            415 => Some(json!({})),
            400 if last.contains("Idempotency-Key") => Some(json!({})),
            400 => improved(&body, &last),
            _ => {
                return Learnt {
                    body,
                    is_taken: true,
                    last,
                };
            }
        };
        match better {
            Some(better) if better != body => body = better,
            _ => break,
        }
    }
    Learnt {
        // A query that is missing, or an id that is not to be like this, is none of the body's business.
        is_taken: !last.starts_with("the body"),
        body,
        last,
    }
}

/// The body with what was complained about mended.
fn improved(body: &Value, said: &str) -> Option<Value> {
    let mut better = body.clone();
    if said.contains("expected a sequence") && !said.contains("(near `") {
        return Some(json!([]));
    }
    let members = better.as_object_mut()?;
    if let Some(missing) = quoted_after(said, "missing field `") {
        return put(members, said, missing, json!("x")).then_some(better);
    }
    let near = quoted_after(said, "(near `")?;
    let fitting = fitting(said)?;
    set_everywhere(&mut better, near, &fitting).then_some(better)
}

/// A value of the kind that was expected.
fn fitting(said: &str) -> Option<Value> {
    if let Some((_, variants)) = said.split_once("expected one of ") {
        return Some(json!(variants.split('`').nth(1)?));
    }
    let (_, expected) = said.split_once("expected ")?;
    let kinds = [
        ("u", json!(1)),
        ("i", json!(1)),
        ("a boolean", json!(true)),
        ("a string", json!("x")),
        ("an id", json!("x")),
        ("a sequence", json!([])),
        ("a map", json!({})),
        ("struct", json!({})),
        ("`", json!(expected.split('`').nth(1).unwrap_or_default())),
    ];
    let fits = |(begins, _): &(&str, Value)| expected.starts_with(begins);
    kinds.into_iter().find(fits).map(|(_, value)| value)
}

/// Adds a member: to the object that was complained about, the innermost that lacks it.
fn put(members: &mut Map<String, Value>, said: &str, name: &str, value: Value) -> bool {
    if let Some(near) = quoted_after(said, "(near `")
        && let Some(inner) = inner_object(members, near)
        && !inner.contains_key(name)
    {
        inner.insert(name.to_owned(), value);
        return true;
    }
    if members.contains_key(name) {
        return false;
    }
    members.insert(name.to_owned(), value);
    true
}

/// The object that is the member `near`, or whose member that is, of an object within these.
fn inner_object<'m>(
    members: &'m mut Map<String, Value>,
    near: &str,
) -> Option<&'m mut Map<String, Value>> {
    members.iter_mut().find_map(|(name, value)| {
        let own = value.as_object_mut()?;
        (name == near || own.contains_key(near)).then_some(own)
    })
}

fn set_everywhere(value: &mut Value, name: &str, to: &Value) -> bool {
    let Some(members) = value.as_object_mut() else {
        return false;
    };
    let mut set = false;
    for (own, value) in members {
        if own == name && value != to {
            *value = to.clone();
            set = true;
        } else {
            set |= set_everywhere(value, name, to);
        }
    }
    set
}

fn quoted_after<'s>(text: &'s str, before: &str) -> Option<&'s str> {
    let (_, after) = text.split_once(before)?;
    after.split('`').next()
}
