//! Random ids by the order of their appearance: `SAGA-7F3A09C1` becomes `SAGA-1`.

use std::collections::BTreeMap;

/// Gives ids the names that they keep throughout one text.
#[derive(Debug, Default)]
pub struct Names {
    known: BTreeMap<String, String>,
    /// How many ids of each kind have a name.
    counts: BTreeMap<String, u32>,
}

impl Names {
    /// The same text with every id replaced by its name.
    pub fn replace(&mut self, text: &str) -> String {
        let mut replaced = String::with_capacity(text.len());
        let mut copied = 0;
        for (start, id, kind) in ids(text) {
            replaced.push_str(&text[copied..start]);
            replaced.push_str(self.name(id, kind));
            copied = start + id.len();
        }
        replaced.push_str(&text[copied..]);
        replaced
    }

    fn name(&mut self, id: &str, kind: &str) -> &str {
        if !self.known.contains_key(id) {
            let count = self.counts.entry(kind.to_owned()).or_default();
            *count += 1;
            self.known.insert(id.to_owned(), format!("{kind}-{count}"));
        }
        &self.known[id]
    }
}

/// All random ids of a text: where they start, the id, its kind.
///
/// An id is `PREFIX-XXXXXXXX` (capitals, eight hexadecimal digits), a UUID, or a word of at least sixteen hexadecimal
/// digits (trace ids, fingerprints).
pub fn ids(text: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    let mut rest_at = 0;
    std::iter::from_fn(move || {
        while rest_at < text.len() {
            let rest = &text[rest_at..];
            let word = rest
                .find(|c: char| c.is_ascii_alphanumeric())
                .map(|gap| rest_at + gap)?;
            let end = text[word..]
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                .map_or(text.len(), |length| word + length);
            if let Some((skip, length, kind)) = first_id(&text[word..end]) {
                let start = word + skip;
                rest_at = start + length;
                return Some((start, &text[start..rest_at], kind));
            }
            rest_at = end;
        }
        None
    })
}

/// The first id in a run of letters, digits and dashes: where it starts, its length, its kind.
fn first_id(run: &str) -> Option<(usize, usize, &str)> {
    let mut start = 0;
    let parts: Vec<(usize, &str)> = run
        .split('-')
        .map(|part| {
            let at = start;
            start += part.len() + 1;
            (at, part)
        })
        .collect();
    let is_hex = |part: &str| part.bytes().all(|b| b.is_ascii_hexdigit());
    parts.iter().enumerate().find_map(|(n, &(at, part))| {
        let lengths = parts[n..].iter().take(5).map(|(_, part)| part.len());
        if lengths.eq([8, 4, 4, 4, 12]) && parts[n..n + 5].iter().all(|(_, part)| is_hex(part)) {
            return Some((at, 36, "UUID"));
        }
        if part.len() >= 16 && is_hex(part) {
            return Some((at, part.len(), "HEX"));
        }
        let (_, digits) = *parts.get(n + 1)?;
        let is_prefix = part.len() >= 2 && part.bytes().all(|b| b.is_ascii_uppercase());
        let is_id = is_prefix
            && digits.len() == 8
            && digits
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b));
        is_id.then_some((at, part.len() + 9, part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_named_by_first_appearance_and_keep_their_names() {
        let mut names = Names::default();
        assert_eq!(
            names.replace("saga=SAGA-0000BEEF of ORD-12345678, then SAGA-0000CAFE"),
            "saga=SAGA-1 of ORD-1, then SAGA-2"
        );
        assert_eq!(
            names.replace("SAGA-0000CAFE-payment-create/SAGA-0000BEEF"),
            "SAGA-2-payment-create/SAGA-1"
        );
        assert_eq!(
            names
                .replace("4bf92f3577b34da6a3ce929d0e0e4736 → 123e4567-e89b-12d3-a456-426614174000"),
            "HEX-1 → UUID-1"
        );
    }

    #[test]
    fn words_that_are_no_ids_stay() {
        let mut names = Names::default();
        for text in [
            "SKU-1 alice-2-place/reserve",
            "ORD-123456789 ORD-1234567 X-12345678 ord-12345678 SAGA-beefbeef",
            "→ é 3500000 deadbeef --",
            "",
        ] {
            assert_eq!(names.replace(text), text);
        }
    }
}
