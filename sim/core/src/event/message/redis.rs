//! What a burst of Redis's protocol says (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).

use super::Message;

/// The first command, or the first answer, of a burst that holds whole values of this protocol and nothing else.
pub fn parse(burst: &[u8]) -> Option<Message<'_>> {
    let mut left = burst;
    while !left.is_empty() {
        left = after_value(left)?;
    }
    let (first, rest) = line(burst)?;
    let (kind, value) = first.split_at_checked(1)?;
    let status = match kind {
        "*" => {
            let count: usize = value.parse().ok()?;
            return match command(rest, count) {
                Some(message) => Some(message),
                None => answer(format!("{count} values")),
            };
        }
        "+" => value.to_owned(),
        "-" => value.to_owned(),
        ":" => value.parse::<i64>().ok()?.to_string(),
        "$" => match value.parse::<i64>().ok()? {
            -1 => "nothing".to_owned(),
            len => {
                let bytes = rest.get(..usize::try_from(len).ok()?)?;
                rest.get(bytes.len()..)?
                    .starts_with(b"\r\n")
                    .then(|| shown(bytes))?
            }
        },
        _ => return None,
    };
    answer(status)
}

/// What comes after a value. None if none begins here, or it has no end.
fn after_value(burst: &[u8]) -> Option<&[u8]> {
    /// Values within values are counted up to here.
    const VALUES_MAX: usize = 1 << 16;
    let (mut rest, mut left) = (burst, 1);
    while left > 0 {
        let (head, after) = line(rest)?;
        let (kind, value) = head.split_at_checked(1)?;
        left -= 1;
        rest = match kind {
            "+" => after,
            // An error begins with a word in capitals.
            "-" => value
                .starts_with(|c: char| c.is_ascii_uppercase())
                .then_some(after)?,
            ":" => value.parse::<i64>().ok().map(|_| after)?,
            "$" => match usize::try_from(value.parse::<i64>().ok()?) {
                Ok(len) => after.get(len..)?.strip_prefix(b"\r\n")?,
                Err(_) => after,
            },
            "*" => {
                left += usize::try_from(value.parse::<i64>().ok()?).unwrap_or(0);
                (left <= VALUES_MAX).then_some(after)?
            }
            _ => return None,
        };
    }
    Some(rest)
}

fn answer<'a>(status: String) -> Option<Message<'a>> {
    Some(Message::Answer {
        stream: 0,
        status: status.into(),
        body: &[],
    })
}

/// A command, whose words are all strings of a known length.
fn command(mut rest: &[u8], count: usize) -> Option<Message<'_>> {
    /// More words of a command than these are not told.
    const WORDS_MAX: usize = 8;
    let mut words = Vec::new();
    for _ in 0..count {
        let (head, after) = line(rest)?;
        let len: usize = head.strip_prefix('$')?.parse().ok()?;
        words.push(after.get(..len)?);
        rest = after.get(len..)?.strip_prefix(b"\r\n")?;
    }
    let (name, arguments) = words.split_first()?;
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_alphabetic);
    if !is_name {
        return None;
    }
    let mut told: Vec<String> = arguments
        .iter()
        .take(WORDS_MAX)
        .map(|word| shown(word))
        .collect();
    if arguments.len() > WORDS_MAX {
        told.push("..".to_owned());
    }
    Some(Message::Request {
        stream: 0,
        method: String::from_utf8_lossy(name).to_ascii_uppercase().into(),
        target: told.join(" ").into(),
        headers: "",
    })
}

/// A short text as it is; of anything else how long it is.
fn shown(bytes: &[u8]) -> String {
    const SHORT: usize = 60;
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= SHORT && !text.contains(char::is_control) => text.to_owned(),
        _ => format!("({} bytes)", bytes.len()),
    }
}

/// The first line, and what comes after.
fn line(burst: &[u8]) -> Option<(&str, &[u8])> {
    let end = memchr::memmem::find(burst, b"\r\n")?;
    Some((std::str::from_utf8(&burst[..end]).ok()?, &burst[end + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(burst: &str) -> String {
        parse(burst.as_bytes()).map_or_else(|| "?".to_owned(), |message| message.to_string())
    }

    #[test]
    fn a_command_is_told_with_its_arguments() {
        assert_eq!(told("*1\r\n$4\r\nPING\r\n"), "PING");
        assert_eq!(
            told(
                "*6\r\n$3\r\nset\r\n$4\r\nlock\r\n$2\r\nme\r\n$2\r\nNX\r\n$2\r\nPX\r\n$4\r\n1000\r\n"
            ),
            "SET lock me NX PX 1000"
        );
    }

    #[test]
    fn an_answer_is_told_by_its_value() {
        assert_eq!(told("+OK\r\n"), "OK");
        assert_eq!(told(":3\r\n"), "3");
        assert_eq!(told("$-1\r\n"), "nothing");
        assert_eq!(told("$2\r\nme\r\n"), "me");
        assert_eq!(
            told("-NOSCRIPT No matching script\r\n"),
            "NOSCRIPT No matching script"
        );
        assert_eq!(told("*2\r\n:1\r\n:2\r\n"), "2 values");
    }

    #[test]
    fn other_bursts_are_none() {
        for burst in [
            "",
            "hello",
            "--boundary\r\n",
            "+OK\r\nhello",
            "$x\r\n",
            ":x\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "$5\r\nab\r\n",
        ] {
            assert_eq!(told(burst), "?", "{burst:?}");
        }
    }
}
