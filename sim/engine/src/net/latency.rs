//! How long a packet travels.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use squall_core::seed::{mix, unit};

/// A link's latency, one way: most packets take `min` to `typical`, a few up to `tail_max`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// No packet is faster.
    pub min: Duration,
    /// The slowest of the ordinary packets.
    pub typical: Duration,
    /// The share of packets in the tail.
    pub tail_p: f64,
    /// No packet is slower. Short tails are more common than long ones.
    pub tail_max: Duration,
}

impl Latency {
    /// Two machines in one data centre: 0.2 to 0.5 ms, and 1 % up to 10 ms.
    pub const DATA_CENTRE: Latency = Latency {
        min: Duration::from_micros(200),
        typical: Duration::from_micros(500),
        tail_p: 0.01,
        tail_max: Duration::from_millis(10),
    };

    /// Two companies, or a person and a company: 8 to 25 ms each way, and 1 % up to 300 ms.
    pub const INTERNET: Latency = Latency {
        min: Duration::from_millis(8),
        typical: Duration::from_millis(25),
        tail_p: 0.01,
        tail_max: Duration::from_millis(300),
    };

    /// A machine to itself: about 30 µs, most of which is scheduling.
    pub const LOOPBACK: Latency = Latency {
        min: Duration::from_micros(25),
        typical: Duration::from_micros(35),
        tail_p: 0.0,
        tail_max: Duration::from_micros(35),
    };

    /// Always the same.
    pub const fn fixed(latency: Duration) -> Self {
        Latency {
            min: latency,
            typical: latency,
            tail_p: 0.0,
            tail_max: latency,
        }
    }

    /// Whether the latency that 64 keyed bits stand for is one of the few.
    pub(super) fn is_in_tail(&self, bits: u64) -> bool {
        unit(bits) < self.tail_p
    }

    /// The latency that 64 keyed bits stand for.
    pub(super) fn sample(&self, bits: u64) -> Duration {
        let place = unit(mix(bits));
        if self.is_in_tail(bits) {
            self.typical
                + self
                    .tail_max
                    .saturating_sub(self.typical)
                    .mul_f64(place * place)
        } else {
            self.min + self.typical.saturating_sub(self.min).mul_f64(place)
        }
    }
}

/// A slower link: each latency is multiplied, then extended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyChange {
    /// Multiplies the latency.
    pub factor: f64,
    /// Added afterwards.
    pub extra: Duration,
}

impl LatencyChange {
    pub(super) fn apply(&self, latency: Duration) -> Duration {
        latency.mul_f64(self.factor) + self.extra
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_packet_in_a_hundred_is_in_the_tail_and_none_beyond_it() {
        let samples: Vec<_> = (0..100_000)
            .map(|n| Latency::DATA_CENTRE.sample(mix(n)))
            .collect();
        let model = Latency::DATA_CENTRE;
        assert!(
            samples
                .iter()
                .all(|l| (model.min..=model.tail_max).contains(l))
        );
        let tail = samples.iter().filter(|l| **l > model.typical).count();
        assert!((800..1_200).contains(&tail), "{tail}");
    }
}
