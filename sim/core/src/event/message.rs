//! What a burst of HTTP, or of the protocols of PostgreSQL and Redis, says, as far as a reader of traces cares.

mod http2;
mod postgres;
mod redis;
mod said;

use std::{borrow::Cow, fmt};

use memchr::memmem;

use super::Scope;
pub use said::Said;

/// The head of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A request begins.
    Request {
        /// Of HTTP/2: which of the connection's streams it begins. 0 of HTTP/1.1.
        stream: u32,
        /// `GET`, `POST`; the first word of a statement (`UPDATE`), or the name of a command.
        method: Cow<'a, str>,
        /// Path and query; the rest of the statement, or the command's arguments.
        target: Cow<'a, str>,
        /// All header lines of HTTP/1.1.
        headers: &'a str,
    },
    /// An answer begins.
    Answer {
        /// On which stream; as of a request.
        stream: u32,
        /// Code and reason: `201 Created`; the code alone of HTTP/2; what a database says that was done (`INSERT 0 1`),
        /// or the code and message of its error.
        status: Cow<'a, str>,
        /// As much of it as the burst holds.
        body: &'a [u8],
    },
}

impl<'a> Message<'a> {
    /// The message that begins with this burst; `None` if none does (a continued body, another protocol).
    pub fn parse(burst: &'a [u8]) -> Option<Self> {
        Self::parse_text(burst)
            .or_else(|| http2::parse(burst))
            .or_else(|| postgres::parse(burst))
            .or_else(|| redis::parse(burst))
    }

    fn parse_text(burst: &'a [u8]) -> Option<Self> {
        let end = memmem::find(burst, b"\r\n\r\n");
        let head = std::str::from_utf8(&burst[..end.unwrap_or(burst.len())]).ok()?;
        let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        if let Some(answer) = first.strip_prefix("HTTP/1.") {
            return Some(Message::Answer {
                stream: 0,
                status: answer.split_once(' ')?.1.trim_end().into(),
                body: end.map_or(&[], |end| &burst[end + 4..]),
            });
        }
        let mut words = first.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let is_request = version.starts_with("HTTP/1.")
            && !method.is_empty()
            && method.bytes().all(|b| b.is_ascii_uppercase());
        is_request.then_some(Message::Request {
            stream: 0,
            method: method.into(),
            target: target.into(),
            headers,
        })
    }

    /// Of HTTP/2: on which of the connection's streams it is.
    pub fn stream(&self) -> u32 {
        match self {
            Message::Request { stream, .. } | Message::Answer { stream, .. } => *stream,
        }
    }

    /// What the headers of a request say about its origin (W3C Trace Context and Baggage, `X-Request-ID`).
    pub fn scope(&self) -> Scope {
        let mut scope = Scope::NONE;
        let Message::Request { headers, .. } = self else {
            return scope;
        };
        for line in headers.split("\r\n") {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            if name.eq_ignore_ascii_case("traceparent") {
                scope.trace_id = value.split('-').nth(1).unwrap_or_default().to_owned();
            } else if name.eq_ignore_ascii_case("x-request-id") {
                scope.request_id = value.to_owned();
            } else if name.eq_ignore_ascii_case("baggage") {
                for member in value.split(',') {
                    let member = member.split(';').next().unwrap_or_default();
                    match member.trim().split_once('=') {
                        Some(("op", op)) => scope.op = op.to_owned(),
                        Some(("saga", saga)) => scope.saga_id = saga.to_owned(),
                        _ => {}
                    }
                }
            }
        }
        scope
    }
}

/// The first word of a statement, and the rest, on one line.
fn words(statement: &str) -> (Cow<'_, str>, Cow<'_, str>) {
    let mut words = statement
        .trim_end_matches([';', ' ', '\n'])
        .split_whitespace();
    let first = words.next().unwrap_or_default().to_ascii_uppercase();
    let rest: Vec<&str> = words.collect();
    (first.into(), rest.join(" ").into())
}

impl fmt::Display for Message<'_> {
    /// `POST /orders`, or `409 Conflict OUT_OF_STOCK` with the code of a problem
    /// ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)) that has one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::Request { method, target, .. } if target.is_empty() => f.write_str(method),
            Message::Request { method, target, .. } => write!(f, "{method} {target}"),
            Message::Answer { status, body, .. } => {
                f.write_str(status)?;
                let problem: Option<serde_json::Value> = ["4", "5"]
                    .iter()
                    .any(|class| status.starts_with(class))
                    .then(|| serde_json::from_slice(body).ok())
                    .flatten();
                match problem.as_ref().and_then(|p| p["code"].as_str()) {
                    Some(code) => write!(f, " {code}"),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_tells_whom_it_serves() {
        let burst = "POST /orders?x=1 HTTP/1.1\r\nHost: order\r\n\
            TraceParent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
            X-Request-Id: REQ-0000000A\r\nbaggage: k=v, op=alice-1/reserve;p=1,saga=SAGA-0000000B\r\n\r\n{}";
        let message = Message::parse(burst.as_bytes()).unwrap();
        assert_eq!(message.to_string(), "POST /orders?x=1");
        assert_eq!(
            message.scope(),
            Scope {
                trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
                request_id: "REQ-0000000A".into(),
                op: "alice-1/reserve".into(),
                saga_id: "SAGA-0000000B".into(),
            }
        );
    }

    #[test]
    fn an_answer_shows_its_status_and_a_problems_code() {
        let show = |burst: &str| Message::parse(burst.as_bytes()).map(|m| m.to_string());
        let problem = "HTTP/1.1 409 Conflict\r\na: b\r\n\r\n{\"code\":\"OUT_OF_STOCK\"}";
        assert_eq!(show(problem).unwrap(), "409 Conflict OUT_OF_STOCK");
        let success = "HTTP/1.1 200 OK\r\n\r\n{\"code\":\"X\"}";
        assert_eq!(show(success).unwrap(), "200 OK");
        assert_eq!(
            show("HTTP/1.1 204 No Content\r\n").unwrap(),
            "204 No Content"
        );
    }

    #[test]
    fn what_begins_no_message_is_none() {
        for burst in [
            &b"{\"a\":1}"[..],
            b"",
            b"a b c",
            b"GET / FTP",
            b"\xff\xfe",
            b"HTTP/1.1",
        ] {
            assert_eq!(Message::parse(burst), None, "{burst:?}");
        }
    }
}
