//! What a burst of HTTP/2 says: the first head in it, as far as that can be told without what the connection said before.
//!
//! Fields that are named by the static table or written out are understood, with or without Huffman's code. hyper, and
//! with it tonic, reqwest and axum, writes the pseudo-headers of each head so. Fields that an earlier head has put into the
//! dynamic table are unknown here; where the method, the path or the status is one, the head is not recognised.

use std::borrow::Cow;

use super::Message;

/// What a client sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADERS: u8 = 1;
const KINDS: u8 = 10;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// The message that the first head of the burst begins.
pub fn parse(burst: &[u8]) -> Option<Message<'_>> {
    let mut rest = burst.strip_prefix(PREFACE).unwrap_or(burst);
    loop {
        let (&[a, b, c, kind, flags, d, e, f, g], after) = rest.split_first_chunk()?;
        if kind >= KINDS {
            return None;
        }
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        let frame = &after[..len.min(after.len())];
        if kind == HEADERS {
            let stream = u32::from_be_bytes([d & 0x7f, e, f, g]);
            if let Some(message) = head(frame, flags, stream) {
                return Some(message);
            }
        }
        rest = after.get(len..)?;
    }
}

/// The message of a `HEADERS` frame; none of trailers.
fn head(mut frame: &[u8], flags: u8, stream: u32) -> Option<Message<'_>> {
    if flags & PADDED != 0 {
        let (&padding, padded) = frame.split_first()?;
        frame = padded.get(..padded.len().checked_sub(padding.into())?)?;
    }
    if flags & PRIORITY != 0 {
        frame = frame.get(5..)?;
    }
    let (mut method, mut target) = (None, None);
    let mut fields = Fields(frame);
    while let Some((name, value)) = fields.next() {
        match (name, value) {
            (Name::Status, Some(status)) => {
                let is_one = status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit());
                let body = &[];
                return is_one.then_some(Message::Answer {
                    stream,
                    status,
                    body,
                });
            }
            (Name::Method, value) => method = value,
            (Name::Path, value) => target = value,
            _ => {}
        }
        if let (Some(method), Some(target)) = (&method, &target) {
            let is_request =
                method.bytes().all(|b| b.is_ascii_uppercase()) && target.starts_with(['/', '*']);
            return is_request.then(|| Message::Request {
                stream,
                method: method.clone(),
                target: target.clone(),
                headers: "",
            });
        }
    }
    None
}

/// The names that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Method,
    Path,
    Status,
    Other,
}

/// A block of fields ([RFC 7541](https://www.rfc-editor.org/rfc/rfc7541)): names and values, the latter where they are known.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<(Name, Option<Cow<'a, str>>)> {
        let first = loop {
            match *self.0.first()? {
                // The dynamic table has another size: no field.
                0x20..0x40 => self.number(5)?,
                first => break first,
            };
        };
        let index_bits = match first {
            0x80.. => 7,
            0x40.. => 6,
            _ => 4,
        };
        let index = self.number(index_bits)?;
        let name = match index {
            2 | 3 => Name::Method,
            4 | 5 => Name::Path,
            8..=14 => Name::Status,
            _ => Name::Other,
        };
        if first & 0x80 != 0 {
            let known = match index {
                2 => "GET",
                3 => "POST",
                4 => "/",
                5 => "/index.html",
                8..=14 => ["200", "204", "206", "304", "400", "404", "500"][index - 8],
                _ => return Some((Name::Other, None)),
            };
            return Some((name, Some(known.into())));
        }
        let name = match index {
            0 => match &*self.text()?? {
                ":method" => Name::Method,
                ":path" => Name::Path,
                ":status" => Name::Status,
                _ => Name::Other,
            },
            _ => name,
        };
        Some((name, self.text()?))
    }

    /// A number whose first bits are the last ones of the next byte.
    fn number(&mut self, bits: u32) -> Option<usize> {
        let (&first, mut rest) = self.0.split_first()?;
        let most = (1 << bits) - 1;
        let mut number = usize::from(first) & most;
        if number == most {
            for shift in [0, 7, 14] {
                let (&byte, after) = rest.split_first()?;
                rest = after;
                number += usize::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    self.0 = rest;
                    return Some(number);
                }
            }
            return None;
        }
        self.0 = rest;
        Some(number)
    }

    /// A string; `Some(None)` of one that is no plain text.
    fn text(&mut self) -> Option<Option<Cow<'a, str>>> {
        let is_coded = self.0.first()? & 0x80 != 0;
        let len = self.number(7)?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(match is_coded {
            true => decoded(text).map(Cow::Owned),
            false => std::str::from_utf8(text).ok().map(Cow::Borrowed),
        })
    }
}

/// The codes of text by length, each next one greater by one: all that is rarer takes more bits than these.
const CODES: [(u32, &str); 10] = [
    (5, "012aceiost"),
    (6, " %-./3456789=A_bdfghlmnpru"),
    (7, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, "&*,;XZ"),
    (10, "!\"()?"),
    (11, "'+|"),
    (12, "#>"),
    (13, "\0$@[]~"),
    (14, "^}"),
    (15, "<`{"),
];

/// Decodes Huffman's code; none if it is not all text.
fn decoded(coded: &[u8]) -> Option<String> {
    let bits = coded.len() * 8;
    let bit = |at: usize| u32::from(coded[at / 8] >> (7 - at % 8) & 1);
    let mut text = String::new();
    let mut begin = 0;
    'text: while begin < bits {
        let (mut code, mut len, mut first) = (0, 0, 0);
        for (of_len, symbols) in CODES {
            while len < of_len {
                if begin + len as usize == bits {
                    // What is left are ones, to fill the last byte.
                    break 'text;
                }
                code = code << 1 | bit(begin + len as usize);
                first <<= 1;
                len += 1;
            }
            if let Some(&symbol) = symbols.as_bytes().get((code - first) as usize) {
                text.push(symbol.into());
                begin += len as usize;
                continue 'text;
            }
            first += symbols.len() as u32;
        }
        return None;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<_> = hex.split_whitespace().collect();
        let digits = digits.concat();
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex");
        (0..digits.len()).step_by(2).map(byte).collect()
    }

    fn frame(kind: u8, flags: u8, stream: u8, block: &[u8]) -> Vec<u8> {
        let head = [0, 0, block.len() as u8, kind, flags, 0, 0, 0, stream];
        [&head, block].concat()
    }

    fn told(burst: &[u8]) -> Option<String> {
        Message::parse(burst).map(|message| message.to_string())
    }

    #[test]
    fn the_examples_of_the_standard_are_understood() {
        // RFC 7541, C.3.1, C.4.1 and C.6.1 to C.6.3, as far as they say all themselves.
        let plain = bytes("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d");
        let coded = bytes("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff");
        for block in [plain, coded] {
            let burst = frame(HEADERS, 4, 1, &block);
            assert_eq!(told(&burst).as_deref(), Some("GET /"));
        }
        assert_eq!(
            decoded(&bytes("f1e3 c2e5 f23a 6ba0 ab90 f4ff")).as_deref(),
            Some("www.example.com")
        );
        assert_eq!(
            decoded(&bytes("25a8 49e9 5bb8 e8b4 bf")).as_deref(),
            Some("custom-value")
        );
        let redirect = frame(HEADERS, 4, 1, &bytes("4882 6402 5885 aec3 771a 4b"));
        assert_eq!(told(&redirect).as_deref(), Some("302"));
    }

    #[test]
    fn a_request_behind_the_preface_and_its_stream_are_found() {
        // POST, http, a path that is written out, as hyper does for gRPC.
        let path = b"/shop.Adder/Add";
        let block = [&[0x83, 0x86, 0x04, path.len() as u8], &path[..]].concat();
        let settings = frame(4, 0, 0, &[0, 2, 0, 0, 0, 0]);
        let burst = [PREFACE, &settings, &frame(HEADERS, 4, 3, &block), b"rest"].concat();
        let message = Message::parse(&burst).expect("a request");
        assert_eq!(
            (message.to_string().as_str(), message.stream()),
            ("POST /shop.Adder/Add", 3)
        );
        let padded = [&[2, 0, 0, 0, 0, 9], &block[..], &[0, 0]].concat();
        let padded = frame(HEADERS, 4 | PADDED | PRIORITY, 5, &padded);
        assert_eq!(told(&padded).as_deref(), Some("POST /shop.Adder/Add"));
    }

    #[test]
    fn a_long_row_of_changes_of_the_table_s_size_is_passed_over() {
        let burst = frame(HEADERS, 4, 1, &vec![0x20; 200_000]);
        assert_eq!(parse(&burst), None);
    }

    #[test]
    fn what_is_no_head_is_none() {
        let trailers = frame(HEADERS, 5, 1, b"\x40\x0bgrpc-status\x010");
        let unknown = frame(HEADERS, 4, 1, &[0x82, 0xbe]);
        let data = frame(0, 1, 1, b"data");
        for burst in [
            &trailers,
            &unknown,
            &data,
            &vec![0; 40],
            &b"*1\r\n$4\r\nPING\r\n".to_vec(),
        ] {
            assert_eq!(parse(burst), None, "{burst:?}");
        }
    }
}
