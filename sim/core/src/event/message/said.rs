//! What bursts of a connection say, in a word or two: what names their sites where no operation does.

use std::collections::BTreeMap;

use super::{Message, postgres, words};

/// What the bursts of a connection say. It remembers what statements are prepared.
#[derive(Clone, Debug, Default)]
pub struct Said(BTreeMap<String, String>);

impl Said {
    /// `COMMIT`, `UPDATE items`, `EVALSHA`, `POST /orders/*`; of an answer its first word: `201`, `INSERT`, `40001`. None of
    /// what begins no message.
    pub fn of(&mut self, burst: &[u8]) -> Option<String> {
        for (name, sql) in postgres::prepared(burst) {
            let (method, target) = words(sql);
            self.0.insert(name.to_owned(), gist(&method, &target));
        }
        match Message::parse(burst)? {
            Message::Request { method, target, .. } => Some(match self.0.get(&*target) {
                Some(statement) if method == "EXECUTE" => statement.clone(),
                _ => gist(&method, &target),
            }),
            Message::Answer { status, .. } => status.split_whitespace().next().map(str::to_owned),
        }
    }
}

fn gist(method: &str, target: &str) -> String {
    if target.starts_with('/') {
        return format!("{method} {}", route(target));
    }
    match table(method, target) {
        Some(table) => format!("{method} {table}"),
        None => method.to_owned(),
    }
}

/// A path whose segments that name one of many are left open.
fn route(target: &str) -> String {
    let path = target.split('?').next().unwrap_or(target);
    let segments = path.split('/').map(|segment| {
        let is_name = segment.contains(|c: char| c.is_ascii_digit());
        if is_name { "*" } else { segment }
    });
    segments.collect::<Vec<_>>().join("/")
}

/// The first table that a statement names.
fn table<'a>(method: &str, rest: &'a str) -> Option<&'a str> {
    let mut words = rest.split([' ', '(']);
    match method {
        "UPDATE" => {}
        "SELECT" | "INSERT" | "DELETE" | "WITH" | "MERGE" => {
            let leads =
                |word: &str| ["FROM", "INTO", "UPDATE"].map(|it| it.eq_ignore_ascii_case(word));
            words.find(|word| leads(word).contains(&true))?;
        }
        _ => return None,
    }
    let is_part = |c: char| c.is_alphanumeric() || "_.\"".contains(c);
    words
        .next()
        .map(|word| &word[..word.find(|c| !is_part(c)).unwrap_or(word.len())])
}

#[cfg(test)]
mod tests {
    use super::{postgres::message, *};

    fn told(burst: &[u8]) -> String {
        Said::default().of(burst).unwrap_or_default()
    }

    #[test]
    fn a_statement_is_told_by_what_it_does_to_which_table() {
        for (sql, said) in [
            ("COMMIT", "COMMIT"),
            ("BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN"),
            ("update items set free = free - $1", "UPDATE items"),
            ("INSERT INTO charges(id) VALUES ($1)", "INSERT charges"),
            (
                "SELECT a, (SELECT 1) FROM shop.orders;",
                "SELECT shop.orders",
            ),
            ("SELECT pg_advisory_xact_lock($1)", "SELECT"),
            (
                "WITH w AS (INSERT INTO outbox VALUES (1)) SELECT",
                "WITH outbox",
            ),
            ("LISTEN outbox", "LISTEN"),
        ] {
            assert_eq!(told(&message(b'Q', format!("{sql}\0").as_bytes())), said);
        }
    }

    #[test]
    fn a_prepared_statement_is_told_whenever_it_is_executed() {
        let mut said = Said::default();
        let prepares = message(b'P', b"s1\0DELETE FROM outbox WHERE id = $1\0\0\0");
        assert_eq!(said.of(&prepares).as_deref(), Some("DELETE outbox"));
        let executes = message(b'B', b"\0s1\0\0\0\0\0\0\0");
        assert_eq!(said.of(&executes).as_deref(), Some("DELETE outbox"));
        assert_eq!(told(&executes), "EXECUTE");
    }

    #[test]
    fn requests_and_commands_are_told_without_their_arguments() {
        let request = b"DELETE /orders/7f-1?now HTTP/1.1\r\nhost: a\r\n\r\n";
        assert_eq!(told(request), "DELETE /orders/*");
        assert_eq!(told(b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"), "GET");
    }

    #[test]
    fn an_answer_is_told_by_its_first_word() {
        let ready = message(b'Z', b"I");
        let done = [message(b'C', b"INSERT 0 1\0"), ready].concat();
        assert_eq!(told(&done), "INSERT");
        assert_eq!(told(b"HTTP/1.1 409 Conflict\r\n\r\n"), "409");
        assert_eq!(told(b"{}"), "");
    }
}
