//! What belongs together: which burst an arrival is of, which request an answer is to, and on whose behalf the bytes
//! travel.
//!
//! Whatever task runs may move the network along, and tasks that serve connections serve everybody. So the scope of a
//! burst is read from the headers of the request that it begins, continues or answers, and that of an arrival is its
//! burst's; the span that either happened in says nothing. Bytes that are not HTTP belong to the node that sends the
//! first ones of a connection, and so do all that follow and all that come back.

use std::collections::{BTreeMap, VecDeque};

use squall_core::site::SAYS;

use super::{Event, Scope, What, message::Message};

/// The links between the events of a trace. All indices are places in the list of events that it was made from.
#[derive(Clone, Debug)]
pub struct Links {
    /// For each event: on whose behalf, as far as it can be told.
    pub scopes: Vec<Scope>,
    /// For each arrival: the burst that arrived, or its first part.
    pub sent: Vec<Option<usize>>,
    /// For each burst: its arrival, if there was one.
    pub arrived: Vec<Option<usize>>,
    /// For each burst that begins an answer: the burst that began the request.
    pub request: Vec<Option<usize>>,
}

/// Sender, receiver, connection.
type Way<'t> = (&'t str, &'t str, u64);

struct OnItsWay {
    burst: usize,
    bytes_left: usize,
}

impl Links {
    /// Links the events of a whole trace.
    pub fn of(events: &[Event]) -> Self {
        let mut links = Links {
            scopes: events.iter().map(own_scope).collect(),
            sent: vec![None; events.len()],
            arrived: vec![None; events.len()],
            request: vec![None; events.len()],
        };
        let mut under_way = BTreeMap::<Way<'_>, VecDeque<OnItsWay>>::new();
        let mut unanswered = BTreeMap::<(Way<'_>, u32), VecDeque<usize>>::new();
        let mut latest = BTreeMap::<Way<'_>, usize>::new();
        for (index, event) in events.iter().enumerate() {
            match &event.what {
                What::Burst {
                    to,
                    connection,
                    bytes,
                    label,
                    fate,
                    ..
                } => {
                    let way = (event.node.as_str(), &**to, *connection);
                    let back = (&**to, event.node.as_str(), *connection);
                    match Message::parse(bytes) {
                        Some(request @ Message::Request { .. }) => {
                            let mut scope = request.scope();
                            if scope.op.is_empty() {
                                scope.op = match label.starts_with(SAYS) {
                                    true => format!("c{connection}"),
                                    false => label.to_string(),
                                };
                            }
                            links.scopes[index] = scope;
                            let way = (way, request.stream());
                            unanswered.entry(way).or_default().push_back(index);
                        }
                        Some(Message::Answer { stream, .. }) => {
                            let waiting = unanswered.get_mut(&(back, stream));
                            let request = waiting.and_then(VecDeque::pop_front);
                            links.request[index] = request;
                            if let Some(request) = request {
                                links.scopes[index] = links.scopes[request].clone();
                            }
                        }
                        None => {
                            let begun = latest.get(&way).or_else(|| latest.get(&back));
                            links.scopes[index] = match begun {
                                Some(&begun) => links.scopes[begun].clone(),
                                None => event.scope.clone(),
                            };
                        }
                    }
                    latest.insert(way, index);
                    if !fate.is_dropped() {
                        under_way.entry(way).or_default().push_back(OnItsWay {
                            burst: index,
                            bytes_left: bytes.len(),
                        });
                    }
                }
                What::Arrival {
                    from,
                    connection,
                    bytes,
                } => {
                    let way = (&**from, event.node.as_str(), *connection);
                    let burst = under_way
                        .get_mut(&way)
                        .and_then(|queue| arrive(queue, *bytes));
                    if let Some(burst) = burst {
                        links.sent[index] = Some(burst);
                        links.arrived[burst].get_or_insert(index);
                        links.scopes[index] = links.scopes[burst].clone();
                    }
                }
                _ => {}
            }
        }
        links
    }
}

fn own_scope(event: &Event) -> Scope {
    match event.what {
        What::Burst { .. } | What::Arrival { .. } | What::Connection { .. } => Scope::NONE,
        _ => event.scope.clone(),
    }
}

/// Two connections between the same nodes, opened from either end, may have the same ordinal: a burst of just this size
/// is preferred to the oldest.
fn arrive(queue: &mut VecDeque<OnItsWay>, bytes: usize) -> Option<usize> {
    let place = queue
        .iter()
        .position(|one| one.bytes_left == bytes)
        .unwrap_or(0);
    let one = queue.get_mut(place)?;
    let burst = one.burst;
    one.bytes_left = one.bytes_left.saturating_sub(bytes);
    if one.bytes_left == 0 {
        queue.remove(place);
    }
    Some(burst)
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn an_answer_and_all_arrivals_belong_to_the_request() {
        let mut script = Script::default();
        let asked = request("POST", "/orders", "t1", "alice-1", "");
        script.burst("alice", "order", 0, &asked, Fate::Sent);
        script.burst("alice", "order", 0, "more of the body", Fate::Sent);
        script.arrival("order", "alice", 0, asked.len());
        script.arrival("order", "alice", 0, 16);
        script.burst(
            "order",
            "alice",
            0,
            "HTTP/1.1 201 Created\r\n\r\n",
            Fate::Sent,
        );
        script.arrival("alice", "order", 0, 24);
        let links = Links::of(&script.events);
        assert!(
            links
                .scopes
                .iter()
                .all(|s| s.op == "alice-1" && s.trace_id == "t1")
        );
        assert_eq!(links.sent, [None, None, Some(0), Some(1), None, Some(4)]);
        assert_eq!(links.arrived, [Some(2), Some(3), None, None, Some(5), None]);
        assert_eq!(links.request[4], Some(0));
    }

    #[test]
    fn the_span_in_which_the_network_moved_on_is_nobodys_business() {
        let mut script = Script::default();
        script.burst(
            "a",
            "b",
            0,
            &request("GET", "/", "t1", "one", ""),
            Fate::Sent,
        );
        script.arrival("b", "a", 5, 10);
        script.connection("b", "a", 5, ConnectionEvent::Closed);
        for event in &mut script.events {
            event.scope.saga_id = "another".to_owned();
        }
        let links = Links::of(&script.events);
        assert!(links.scopes.iter().all(|scope| scope.saga_id.is_empty()));
    }

    #[test]
    fn what_is_lost_never_arrives_and_parts_arrive_together() {
        let mut script = Script::default();
        script.burst("a", "b", 0, "0123456789", Fate::Lost);
        script.burst("a", "b", 1, "0123456789", Fate::Sent);
        script.arrival("b", "a", 1, 4);
        script.arrival("b", "a", 1, 6);
        script.arrival("b", "a", 0, 10);
        let links = Links::of(&script.events);
        assert_eq!(links.sent, [None, None, Some(1), Some(1), None]);
        assert_eq!(links.arrived, [None, Some(2), None, None, None]);
    }

    #[test]
    fn bytes_that_are_no_http_and_what_comes_back_belong_to_whoever_sent_the_first() {
        let mut script = Script::default();
        let within = |trace: &str| Scope {
            trace_id: trace.to_owned(),
            ..Scope::NONE
        };
        let (there, back) = (("inventory-1", "db", 0), ("db", "inventory-1", 0));
        script.burst_in(within("t1"), there, "12345678", Fate::Sent);
        script.arrival("db", "inventory-1", 0, 8);
        script.burst_in(within("t2"), back, "1", Fate::Sent);
        script.arrival("inventory-1", "db", 0, 1);
        script.burst_in(within("t2"), there, "87654321", Fate::Sent);
        let links = Links::of(&script.events);
        assert!(links.scopes.iter().all(|scope| scope.trace_id == "t1"));
    }

    #[test]
    fn answers_of_http_2_are_to_the_request_of_their_stream() {
        let head = |stream: char, fields: &str| {
            let len = char::from(fields.len() as u8);
            format!("\0\0{len}\u{1}\u{4}\0\0\0{stream}{fields}")
        };
        let ask = "\u{2}\u{4}POST\u{4}\u{2}/a";
        let answer = "\u{8}\u{3}200";
        let mut script = Script::default();
        script.burst("a", "b", 0, &head('\u{1}', ask), Fate::Sent);
        script.burst("a", "b", 0, &head('\u{3}', ask), Fate::Sent);
        script.burst("b", "a", 0, &head('\u{3}', answer), Fate::Sent);
        script.burst("b", "a", 0, &head('\u{1}', answer), Fate::Sent);
        let links = Links::of(&script.events);
        assert_eq!(links.request[2..], [Some(1), Some(0)]);
    }

    #[test]
    fn calls_both_ways_on_connections_of_the_same_ordinal_are_told_apart() {
        let mut script = Script::default();
        let (there, back) = (
            request("POST", "/there", "t1", "one", ""),
            request("POST", "/and-back", "t2", "two", ""),
        );
        script.burst("a", "b", 0, &there, Fate::Sent);
        script.burst("b", "a", 0, &back, Fate::Sent);
        script.burst("a", "b", 0, "HTTP/1.1 200 OK\r\n\r\n", Fate::Sent);
        script.burst("b", "a", 0, "HTTP/1.1 204 No Content\r\n\r\n", Fate::Sent);
        script.arrival("b", "a", 0, 19);
        script.arrival("b", "a", 0, there.len());
        let links = Links::of(&script.events);
        assert_eq!(links.request[2..4], [Some(1), Some(0)]);
        assert_eq!(links.sent[4..], [Some(2), Some(0)]);
        assert_eq!(links.scopes[4].op, "two");
    }
}
