//! What a PostgreSQL server sends.

/// A message: its kind and what follows.
pub type Message<'a> = (u8, &'a [u8]);

/// The messages of something that was sent, as long as they are whole; it need not begin with one.
#[derive(Clone, Debug)]
pub struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let [kind, a, b, c, d, rest @ ..] = self.0 else {
            return None;
        };
        let len = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (body, rest) = rest.split_at_checked(len.checked_sub(4)?)?;
        self.0 = rest;
        Some((*kind, body))
    }
}

/// Severity, code and message of an error.
pub fn error(body: &[u8]) -> String {
    let field = |wanted: u8| {
        let fields = body.split(|byte| *byte == 0);
        let mut found = fields.filter(|field| field.first() == Some(&wanted));
        let field = found.next().map_or(&b""[..], |field| &field[1..]);
        String::from_utf8_lossy(field).into_owned()
    };
    format!("{} {}: {}", field(b'V'), field(b'C'), field(b'M'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart_until_one_is_not_whole() {
        let sent = b"C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05ID\0\0\0\x20half";
        let messages: Vec<Message> = Messages(sent).collect();
        assert_eq!(messages, [(b'C', &b"COMMIT\0"[..]), (b'Z', b"I")]);
    }

    #[test]
    fn an_error_tells_its_code_and_message() {
        let body = b"SERROR\0VERROR\0C40001\0Mcould not serialize access\0\0";
        assert_eq!(error(body), "ERROR 40001: could not serialize access");
    }
}
