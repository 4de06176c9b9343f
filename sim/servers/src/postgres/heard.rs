//! What a server is heard to do to those who use it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use crate::{
    operator::Touched,
    wire::{Messages, error},
};

/// What a server sends is counted while this is on.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    on: Arc<AtomicBool>,
    pub times: Touched,
}

/// What is heard.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// What it refuses because it is read-only, or because nobody else may connect.
    pub read_only: Touched,
    pub no_slot: Touched,
    /// Sessions and statements that it ends because somebody says so.
    pub ended: Touched,
    pub cancelled: Touched,
    /// Answers of a replica that does not show what it has been told.
    pub stale: Answers,
    /// Answers of a replica that has taken over.
    pub in_place: Answers,
}

impl Answers {
    pub fn count(&self, on: bool) {
        self.on.store(on, Relaxed);
    }
}

impl Heard {
    /// Hears what the server sends to somebody who uses it.
    pub fn hear(&self, sent: &[u8]) {
        // Rows tell of what is not shown yet; whatever is done tells who does it.
        for (answers, kinds) in [(&self.stale, &b"D"[..]), (&self.in_place, b"CD")] {
            let answers_so = Messages(sent).any(|(kind, _)| kinds.contains(&kind));
            let counts = answers.on.load(Relaxed) && answers_so;
            answers.times.add(counts.into());
        }
        let errors = [
            ("25006", &self.read_only),
            ("53300", &self.no_slot),
            ("57P01", &self.ended),
            (
                "57014: canceling statement due to user request",
                &self.cancelled,
            ),
        ];
        for (_, body) in Messages(sent).filter(|(kind, _)| *kind == b'E') {
            let told = error(body);
            let told = told.split_once(' ').map_or("", |(_, told)| told);
            for (begins, times) in errors {
                times.add(told.starts_with(begins).into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_is_behind_deceives_by_rows_alone() {
        let heard = Heard::default();
        heard.stale.count(true);
        heard.hear(b"d\0\0\0\x05x");
        heard.hear(b"C\0\0\0\x0aBEGIN\0");
        assert_eq!(heard.stale.times.times(), 0);
        heard.hear(b"D\0\0\0\x06\0\0C\0\0\0\x0dSELECT 1\0");
        assert_eq!(heard.stale.times.times(), 1);
    }

    #[test]
    fn refusals_are_counted_by_what_they_say() {
        let heard = Heard::default();
        let says = |fields: &str| {
            let len = (fields.len() as u32 + 4).to_be_bytes();
            heard.hear(&[b"E", &len[..], fields.as_bytes()].concat());
        };
        says("SERROR\0VERROR\0C57014\0Mcanceling statement due to statement timeout\0\0");
        assert_eq!(heard.cancelled.times(), 0);
        says("SERROR\0VERROR\0C57014\0Mcanceling statement due to user request\0\0");
        says("SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0");
        assert_eq!(heard.cancelled.times(), 1);
        assert_eq!(heard.ended.times(), 1);
        assert_eq!(heard.no_slot.times(), 0);
    }
}
