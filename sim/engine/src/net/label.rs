//! On whose behalf a burst travels: the `op` member of a request's [W3C baggage](https://www.w3.org/TR/baggage/).

use memchr::{memchr, memchr_iter, memmem};

/// How a burst names itself.
#[derive(Debug, PartialEq, Eq)]
pub enum Named<'a> {
    /// It begins a request that carries an operation.
    Operation(&'a str),
    /// It begins a request that carries none.
    Anonymous,
    /// It continues a request, or answers one, or is not HTTP.
    Continues,
}

/// Reads the label from the head of an HTTP/1 request.
pub fn of(burst: &[u8]) -> Named<'_> {
    if !begins_request(burst) {
        return Named::Continues;
    }
    let head = &burst[..memmem::find(burst, b"\r\n\r\n").unwrap_or(burst.len())];
    let operation = memchr_iter(b'\n', head)
        .map(|end_of_line| &head[end_of_line + 1..])
        .filter_map(|line| {
            let value = line
                .get(..8)
                .filter(|name| name.eq_ignore_ascii_case(b"baggage:"))
                .map(|_| &line[8..])?;
            let value = &value[..memchr(b'\r', value).unwrap_or(value.len())];
            operation(std::str::from_utf8(value).ok()?)
        })
        .next();
    operation.map_or(Named::Anonymous, Named::Operation)
}

/// Whether this is `METHOD target HTTP/1.`: a method is a short word in capitals.
fn begins_request(burst: &[u8]) -> bool {
    let Some(method) = memchr(b' ', &burst[..burst.len().min(16)]) else {
        return false;
    };
    let line = &burst[..memchr(b'\n', burst).unwrap_or(burst.len())];
    method > 0
        && burst[..method].iter().all(u8::is_ascii_uppercase)
        && memmem::rfind(line, b" HTTP/1.").is_some()
}

fn operation(baggage: &str) -> Option<&str> {
    baggage
        .split(',')
        .find_map(|member| member.trim().strip_prefix("op="))
        .map(|value| value.split(';').next().unwrap_or(value).trim())
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operation_is_found_in_any_case_and_place() {
        for baggage in [
            "baggage: op=a/b,saga=S-1",
            "Baggage:saga=S-1, op=a/b;p=1",
            "BAGGAGE: op=a/b ",
        ] {
            let burst =
                format!("POST /orders HTTP/1.1\r\nhost: order\r\n{baggage}\r\nx: y\r\n\r\n{{}}");
            assert_eq!(of(burst.as_bytes()), Named::Operation("a/b"), "{baggage}");
        }
    }

    #[test]
    fn only_the_head_of_a_request_names_a_burst() {
        let body = b"POST / HTTP/1.1\r\nhost: a\r\n\r\nx\r\nbaggage: op=body\r\n\r\n";
        assert_eq!(of(body), Named::Anonymous);
        for other in [
            &b"HTTP/1.1 200 OK\r\nbaggage: op=a\r\n\r\n"[..],
            b"{\"json\": true}\r\nbaggage: op=a",
            b"GET",
            b"",
        ] {
            assert_eq!(of(other), Named::Continues);
        }
    }
}
