//! Requests that are wrong in one way or in several.

use proptest::{option, prelude::*, sample::Index};
use serde_json::{Value, json};

use super::{learn::Learnt, routes::Route, town::Request};

/// What is wrong with a request.
#[derive(Clone, Debug)]
pub struct Nasty {
    /// Whose and which route, of all.
    pub which: Index,
    method: Option<&'static str>,
    id: String,
    tail: String,
    query: String,
    kind: Option<&'static str>,
    key: Option<Vec<u8>>,
    body: Harm,
}

/// What is done to a good body.
#[derive(Clone, Debug)]
enum Harm {
    None,
    /// One of its members has another value.
    Member(Index, Value),
    /// All of them have.
    All(Value),
    /// One is missing.
    Without(Index),
    /// One that nobody asked for.
    More(String, Value),
    /// Something else.
    Json(Value),
    /// No JSON, perhaps no text.
    Bytes(Vec<u8>),
    /// It breaks off.
    Cut(Index),
    /// It is so long.
    Long(usize),
    /// It has so many brackets.
    Deep(usize),
}

/// Requests of which most are wrong in one way or two.
pub fn nasty() -> impl Strategy<Value = Nasty> {
    let method = proptest::sample::select(vec![
        "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW", "get",
    ]);
    let kind = proptest::sample::select(vec![
        "",
        "text/plain",
        "application/xml",
        "application/json; charset=utf-8",
        "application/problem+json",
        "multipart/form-data",
        ";;;",
    ]);
    let request = (
        any::<Index>(),
        option::weighted(0.1, method),
        id(),
        prop_oneof![30 => Just(""), 1 => Just("/"), 1 => Just("/more"), 1 => Just("/%2e%2e/x"), 1 => Just("//")],
        query(),
        option::weighted(0.1, kind),
        option::weighted(0.8, key()),
        harm(),
    );
    request.prop_map(|(which, method, id, tail, query, kind, key, body)| Nasty {
        which,
        method,
        id,
        tail: tail.to_owned(),
        query,
        kind,
        key,
        body,
    })
}

/// What stands for an id in a path.
fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just("x".to_owned()),
        2 => "[a-zA-Z0-9_.:-]{1,70}",
        1 => proptest::sample::select(vec![
            "%00", "%0a", "%0d%0ax:%20y", "%7f", "%ff", "%c3%28", "%", "%zz", "%2f", "%2F%2e%2e%2Fx", ".", "..",
            "%20", "+", "*", "-1", "0", "18446744073709551616", "1e999", "%F0%9F%98%80", "%E2%80%AE", "{id}",
            "~", "!$&'()*+,;=", "@", "a:b:c:", ":", "%3Fq", "%23f",
        ]).prop_map(str::to_owned),
        1 => (1usize..6_000).prop_map(|length| "x".repeat(length)),
        1 => proptest::collection::vec(any::<u8>(), 1..20).prop_map(|bytes| {
            bytes.iter().map(|byte| format!("%{byte:02x}")).collect()
        }),
    ]
}

fn query() -> impl Strategy<Value = String> {
    let name = proptest::sample::select(vec![
        "limit", "after", "user", "status", "userId", "category", "order_id", "order", "colour",
        "", "%ff", "a%00b",
    ]);
    let value = prop_oneof![
        2 => proptest::sample::select(vec![
            "", "1", "0", "-1", "1001", "18446744073709551616", "1e3", "x", "Running", "%00", "%ff", "%", "%zz", "+",
            "%F0%9F%98%80", "a/b", "=", "?", "null",
        ]).prop_map(str::to_owned),
        1 => id(),
    ];
    let pair = (name, value, any::<bool>()).prop_map(|(name, value, whole)| match whole {
        true => format!("{name}={value}"),
        false => name.to_owned() + &value,
    });
    let pairs =
        proptest::collection::vec(pair, 1..4).prop_map(|pairs| format!("?{}", pairs.join("&")));
    prop_oneof![3 => Just(String::new()), 2 => pairs, 1 => Just("?".to_owned()), 1 => Just("?&&=&".to_owned())]
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "[a-z0-9-]{1,12}".prop_map(String::into_bytes),
        1 => Just(Vec::new()),
        1 => (150usize..300).prop_map(|length| vec![b'k'; length]),
        // Neither line ends nor nulls: no header can bear those.
        1 => proptest::collection::vec(prop_oneof![0x20u8..0x7f, 0x80u8..=0xff], 1..20),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(vec![
            json!(0),
            json!(-1),
            json!(1),
            json!(2),
            json!(1000),
            json!(1001),
            json!(1_000_000),
            json!(1_000_001),
            json!(u32::MAX),
            json!(i64::MAX),
            json!(i64::MIN),
            json!(u64::MAX),
            json!(1.5),
            json!(1e308),
            json!(-0.0),
            json!(""),
            json!(" "),
            json!("\0"),
            json!("\u{202e}"),
            json!("😀"),
            json!("a/b"),
            json!("../x"),
            json!("x\r\ny: z"),
            json!([]),
            json!({}),
            json!([[]]),
            json!({ "": null }),
        ]),
        ".{0,80}".prop_map(Value::from),
        (1usize..5_000).prop_map(|length| "x".repeat(length).into()),
    ]
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        4 => Just(Harm::None),
        8 => (any::<Index>(), value()).prop_map(|(which, value)| Harm::Member(which, value)),
        1 => value().prop_map(Harm::All),
        1 => any::<Index>().prop_map(Harm::Without),
        1 => (".{0,20}", value()).prop_map(|(name, value)| Harm::More(name, value)),
        2 => value().prop_map(Harm::Json),
        2 => proptest::collection::vec(any::<u8>(), 0..60).prop_map(Harm::Bytes),
        1 => any::<Index>().prop_map(Harm::Cut),
        1 => proptest::sample::select(vec![1 << 16, (1 << 16) + 1, 200_000, 1_100_000]).prop_map(Harm::Long),
        1 => (1usize..20_000).prop_map(Harm::Deep),
    ]
}

impl Nasty {
    /// The request to a route.
    pub fn request(&self, route: &Route, learnt: &Learnt) -> Request {
        let mut headers = Vec::new();
        headers.extend(self.key.clone().map(|key| ("idempotency-key", key)));
        let has_body = learnt.body != Value::Null || !matches!(self.body, Harm::None);
        match self.kind {
            Some("") => {}
            Some(kind) => headers.push(("content-type", kind.as_bytes().to_vec())),
            None if has_body => headers.push(("content-type", b"application/json".to_vec())),
            None => {}
        }
        let path = route.filled(|_| self.id.clone());
        Request {
            method: self.method.unwrap_or(route.method).to_owned(),
            target: format!("{path}{}{}", self.tail, self.query),
            headers,
            body: match has_body {
                true => self.body.done_to(&learnt.body),
                false => Vec::new(),
            },
        }
    }
}

impl Harm {
    fn done_to(&self, good: &Value) -> Vec<u8> {
        let mut body = good.clone();
        match (self, &mut body) {
            (Harm::Member(which, value), Value::Object(members)) if !members.is_empty() => {
                let at = which.index(members.len());
                if let Some(member) = members.values_mut().nth(at) {
                    *member = value.clone();
                }
            }
            (Harm::All(value), Value::Object(members)) => {
                members
                    .values_mut()
                    .for_each(|member| *member = value.clone());
            }
            (Harm::Without(which), Value::Object(members)) if !members.is_empty() => {
                let name = members.keys().nth(which.index(members.len())).cloned();
                members.remove(&name.unwrap_or_default());
            }
            (Harm::More(name, value), Value::Object(members)) => {
                members.insert(name.clone(), value.clone());
            }
            (Harm::Member(_, value) | Harm::All(value) | Harm::Json(value), body) => {
                *body = value.clone()
            }
            _ => {}
        }
        let mut bytes = body.to_string().into_bytes();
        match self {
            Harm::Bytes(bytes) => return bytes.clone(),
            Harm::Cut(which) => bytes.truncate(which.index(bytes.len() + 1)),
            Harm::Long(length) => bytes.resize(*length, b' '),
            Harm::Deep(depth) => return [vec![b'['; *depth], vec![b']'; *depth]].concat(),
            _ => {}
        }
        bytes
    }
}
