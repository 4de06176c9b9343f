//! What a burst of PostgreSQL's protocol says
//! (<https://www.postgresql.org/docs/current/protocol-message-formats.html>). A statement that was prepared by an earlier
//! burst is known by its name alone.

use std::borrow::Cow;

use super::{Message, words};

const STARTUP: u32 = 3 << 16;
const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;

/// The message that the burst begins, if it holds whole messages of this protocol and nothing else.
pub fn parse(burst: &[u8]) -> Option<Message<'_>> {
    if let Some(first) = first_words(burst) {
        return Some(first);
    }
    let mut kinds = Vec::new();
    let mut rest = burst;
    while !rest.is_empty() {
        let (&[kind, a, b, c, d], after) = rest.split_first_chunk()?;
        let len = (u32::from_be_bytes([a, b, c, d]) as usize).checked_sub(4)?;
        let body = after.get(..len)?;
        let is_known = b"123ABCDEFGHIKNPQRSTVWXZcdfnpstv".contains(&kind);
        if !is_known {
            return None;
        }
        kinds.push((kind, body));
        rest = &after[len..];
    }
    // Only a server says that it is ready for a query.
    let answers = kinds.iter().any(|(kind, body)| match kind {
        b'Z' => body.len() == 1,
        b'E' => body.starts_with(b"S") && body.ends_with(b"\0\0"),
        _ => false,
    });
    match answers {
        true => answer(&kinds),
        false => request(&kinds),
    }
}

/// The statements that a burst prepares, by name.
pub fn prepared(mut burst: &[u8]) -> Vec<(&str, &str)> {
    let mut all = Vec::new();
    while let Some((&[kind, a, b, c, d], after)) = burst.split_first_chunk() {
        let len = (u32::from_be_bytes([a, b, c, d]) as usize).saturating_sub(4);
        let Some((body, rest)) = after.split_at_checked(len) else {
            break;
        };
        if kind == b'P' {
            let mut words = body.split(|byte| *byte == 0).map(std::str::from_utf8);
            if let (Some(Ok(name)), Some(Ok(sql))) = (words.next(), words.next()) {
                all.push((name, sql));
            }
        }
        burst = rest;
    }
    all
}

/// What a client says before anything else: it has no kind.
fn first_words(burst: &[u8]) -> Option<Message<'_>> {
    let (&[a, b, c, d, e, f, g, h], rest) = burst.split_first_chunk()?;
    if u32::from_be_bytes([a, b, c, d]) as usize != burst.len() {
        return None;
    }
    let (method, target) = match u32::from_be_bytes([e, f, g, h]) {
        TLS => ("STARTTLS", String::new()),
        CANCEL => ("CANCEL", String::new()),
        STARTUP => {
            let words: Vec<_> = rest
                .split(|byte| *byte == 0)
                .map(String::from_utf8_lossy)
                .collect();
            let of = |wanted: &str| {
                let at = words.iter().step_by(2).position(|word| word == wanted);
                at.and_then(|at| words.get(2 * at + 1))
                    .cloned()
                    .unwrap_or_default()
            };
            ("CONNECT", format!("{}@{}", of("user"), of("database")))
        }
        _ => return None,
    };
    Some(Message::Request {
        stream: 0,
        method: method.into(),
        target: target.into(),
        headers: "",
    })
}

fn request<'a>(kinds: &[(u8, &'a [u8])]) -> Option<Message<'a>> {
    let text = |body: &'a [u8], nth: usize| {
        let text = body.split(|byte| *byte == 0).nth(nth)?;
        std::str::from_utf8(text).ok()
    };
    // The statement, or the name of one that is known already.
    let statement = kinds.iter().find_map(|(kind, body)| match kind {
        b'Q' => text(body, 0),
        b'P' => text(body, 1),
        _ => None,
    });
    let (method, target) = match statement {
        Some(sql) => words(sql),
        None => {
            let bound = kinds.iter().find(|(kind, _)| *kind == b'B')?;
            ("EXECUTE".into(), text(bound.1, 1)?.into())
        }
    };
    Some(Message::Request {
        stream: 0,
        method,
        target,
        headers: "",
    })
}

fn answer<'a>(kinds: &[(u8, &'a [u8])]) -> Option<Message<'a>> {
    let of = |wanted: u8| kinds.iter().rev().find(|(kind, _)| *kind == wanted);
    let status: Cow<'a, str> = match (of(b'E'), of(b'C'), of(b'R')) {
        (Some((_, error)), ..) => {
            let field = |name: u8| {
                let mut fields = error.split(|byte| *byte == 0);
                let field = fields.find(|field| field.first() == Some(&name))?;
                std::str::from_utf8(&field[1..]).ok()
            };
            format!("{} {}", field(b'C')?, field(b'M')?).into()
        }
        (_, Some((_, tag)), _) => String::from_utf8_lossy(tag.strip_suffix(b"\0")?),
        (.., Some(_)) => "welcome".into(),
        _ => "ready".into(),
    };
    Some(Message::Answer {
        stream: 0,
        status,
        body: &[],
    })
}

/// A message as it is sent.
#[cfg(test)]
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32 + 4).to_be_bytes();
    [&[kind], &len[..], body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(burst: &[u8]) -> String {
        parse(burst).map_or_else(|| "nothing".to_owned(), |message| message.to_string())
    }

    #[test]
    fn a_statement_is_told_on_one_line() {
        let query = message(b'Q', b"UPDATE products\n   SET on_hand = on_hand - 1;\0");
        assert_eq!(told(&query), "UPDATE products SET on_hand = on_hand - 1");
        assert_eq!(told(&message(b'Q', b"COMMIT\0")), "COMMIT");
    }

    #[test]
    fn a_prepared_statement_is_told_when_it_is_prepared_and_by_its_name_later() {
        let prepares = [
            message(b'P', b"s0\0SELECT 1 WHERE $1\0\0\0"),
            message(b'D', b"Ss0\0"),
            message(b'S', b""),
        ];
        assert_eq!(told(&prepares.concat()), "SELECT 1 WHERE $1");
        let executes = [
            message(b'B', b"\0s0\0\0\0\0\0\0\0"),
            message(b'E', b"\0\0\0\0\0"),
            message(b'S', b""),
        ];
        assert_eq!(told(&executes.concat()), "EXECUTE s0");
    }

    #[test]
    fn an_answer_is_told_by_its_tag_or_its_error() {
        let ready = message(b'Z', b"I");
        let done = [message(b'C', b"INSERT 0 1\0"), ready.clone()].concat();
        assert_eq!(told(&done), "INSERT 0 1");
        let error = b"SERROR\0VERROR\0C40001\0Mcould not serialize access\0\0";
        let failed = [message(b'E', error), ready].concat();
        assert_eq!(told(&failed), "40001 could not serialize access");
    }

    #[test]
    fn the_first_words_tell_user_and_database() {
        let words = b"user\0app\0database\0shop\0\0";
        let mut burst = (8 + words.len() as u32).to_be_bytes().to_vec();
        burst.extend(STARTUP.to_be_bytes());
        burst.extend(words);
        assert_eq!(told(&burst), "CONNECT app@shop");
        assert_eq!(told(&[0, 0, 0, 8, 4, 210, 22, 47]), "STARTTLS");
    }

    #[test]
    fn other_bursts_are_none() {
        for burst in [
            &b""[..],
            b"N",
            b"{\"a\": 1}",
            b"GET / HTTP/1.1\r\n\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            &[0; 12],
        ] {
            assert_eq!(told(burst), "nothing", "{burst:?}");
        }
    }
}
