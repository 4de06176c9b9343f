//! The rolling hash of a run: the same in every build and on every machine.
//!
//! Sixteen bytes a step, its halves multiplied to 128 bits and folded (the mixing step of wyhash). It tells runs apart by
//! accident, not against an adversary.

use super::{Scope, What};
use crate::time::VirtualTime;

/// Odd constants with evenly spread bits, from wyhash: for numbers, within bytes, and at their end.
const NUMBER: u64 = 0xa076_1d64_78bd_642f;
const WITHIN: u64 = 0x8ebc_6af0_9c88_c6e3;
const END: u64 = 0x5899_65cc_7537_4cc3;

/// A hash that grows by what it is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rolling(u64);

impl Default for Rolling {
    fn default() -> Self {
        Rolling(0xe703_7ed1_a0b4_28db)
    }
}

impl Rolling {
    /// Folds a number in.
    #[inline]
    pub fn number(&mut self, value: u64) {
        self.fold(value, NUMBER);
    }

    /// Folds bytes in, and that they end here: `"ab", "c"` is not `"a", "bc"`.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        let (blocks, rest) = bytes.as_chunks::<16>();
        for block in blocks {
            self.block(*block, WITHIN);
        }
        let mut last = [0; 16];
        last[..rest.len()].copy_from_slice(rest);
        last[15] = rest.len() as u8;
        self.block(last, END);
    }

    #[inline]
    fn block(&mut self, block: [u8; 16], constant: u64) {
        let block = u128::from_le_bytes(block);
        self.fold(block as u64, constant ^ (block >> 64) as u64);
    }

    #[inline]
    fn fold(&mut self, value: u64, factor: u64) {
        let product = u128::from(self.0 ^ value) * u128::from(factor);
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }

    /// The hash of all that was folded in.
    pub fn value(self) -> u64 {
        crate::seed::mix(self.0)
    }

    /// Folds an event in.
    pub fn event(&mut self, at: VirtualTime, node: &str, scope: &Scope, what: &What<'_>) {
        self.number(at.0);
        self.bytes(node.as_bytes());
        self.scope(scope);
        self.what(what);
    }

    fn scope(&mut self, scope: &Scope) {
        self.bytes(scope.trace_id.as_bytes());
        self.bytes(scope.request_id.as_bytes());
        self.bytes(scope.op.as_bytes());
        self.bytes(scope.saga_id.as_bytes());
    }

    fn what(&mut self, what: &What<'_>) {
        self.number(what.kind() as u64);
        match what {
            What::Connection {
                connection,
                peer,
                event,
            } => {
                self.number(*connection);
                self.bytes(peer.as_bytes());
                self.bytes(event.as_str().as_bytes());
            }
            What::Burst {
                to,
                connection,
                bytes,
                label,
                latency,
                fate,
            } => {
                self.bytes(to.as_bytes());
                self.number(*connection);
                self.bytes(bytes);
                self.bytes(label.as_bytes());
                self.number(latency.as_nanos() as u64);
                self.bytes(fate.as_str().as_bytes());
            }
            What::Arrival {
                from,
                connection,
                bytes,
            } => {
                self.bytes(from.as_bytes());
                self.number(*connection);
                self.number(*bytes as u64);
            }
            What::Disk { event } => self.bytes(event.words().as_bytes()),
            What::Commit { file, rows } => {
                self.bytes(file.as_bytes());
                self.number(rows.len() as u64);
                for row in rows.iter() {
                    self.bytes(row.table.as_bytes());
                    self.bytes(row.key.as_bytes());
                    self.number(u64::from(row.value.is_some()));
                    self.bytes(row.value.as_deref().unwrap_or_default());
                }
            }
            What::Log {
                level,
                message,
                fields,
            } => {
                self.bytes(level.as_str().as_bytes());
                self.bytes(message.as_bytes());
                self.bytes(fields.as_bytes());
            }
            What::Client { op, phase, detail } => {
                self.bytes(op.as_bytes());
                self.bytes(phase.as_str().as_bytes());
                self.bytes(detail.as_bytes());
            }
            What::Node { event, detail } => {
                self.bytes(event.as_str().as_bytes());
                self.bytes(detail.as_bytes());
            }
            What::Fault {
                event,
                index,
                action,
            } => {
                self.bytes(event.as_str().as_bytes());
                self.number(*index as u64);
                self.bytes(action.to_string().as_bytes());
            }
            What::Healed => {
                self.bytes(b"ends");
                self.number(u64::MAX);
                self.bytes(b"all is healed");
            }
            What::Violation { invariant, detail } => {
                self.bytes(invariant.as_bytes());
                self.bytes(detail.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[&str]) -> u64 {
        let mut hash = Rolling::default();
        for part in parts {
            hash.bytes(part.as_bytes());
        }
        hash.value()
    }

    #[test]
    fn the_hash_never_changes_between_builds() {
        assert_eq!(of(&[]), 0x9a7c_8736_2523_bcd0);
        assert_eq!(
            of(&["squall", "a longer text of several words"]),
            0x09ec_49cf_0a10_18db
        );
    }

    #[test]
    fn the_hash_sees_where_one_text_ends_and_the_next_begins() {
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a", ""]), of(&["", "a"]));
        let text = "0123456789abcdefg";
        let around_a_block = [
            &[&text[..15]][..],
            &[&text[..16]],
            &[&text[..16], ""],
            &[text],
        ];
        for (place, one) in around_a_block.iter().enumerate() {
            for other in &around_a_block[..place] {
                assert_ne!(of(one), of(other), "{one:?} {other:?}");
            }
        }
        assert_ne!(of(&["a"]), of(&["a\0"]));
    }
}
