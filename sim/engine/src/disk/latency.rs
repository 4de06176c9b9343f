//! What a commit costs in virtual time.

use std::time::Duration;

use squall_core::seed::unit;

use super::Disk;

/// Quantiles of a commit's duration in microseconds. `fsync` on the measured machine: p50 132, p99 253. The ends and
/// the tail of milliseconds, one commit in a thousand, are assumptions: other machines share the device.
const QUANTILES: [(f64, f64); 7] = [
    (0.0, 84.0),
    (0.05, 98.0),
    (0.5, 132.0),
    (0.9, 178.0),
    (0.99, 253.0),
    (0.999, 600.0),
    (1.0, 9_000.0),
];

/// Keeps this use of the seed apart from all others.
const KEY: u64 = 0x006c_6174_656e_6379;

impl Disk {
    /// How long the next commit takes. Keyed by the commit's ordinal on this disk: faults elsewhere do not change it.
    pub fn latency(&self) -> Duration {
        let seed = self.host.seed();
        let mut state = self.state();
        state.commits += 1;
        let p = unit(seed.keyed(&[KEY, self.node.0.into(), state.commits]));
        let own = Duration::from_nanos((quantile(p) * 1_000.0) as u64);
        let faults = &mut state.faults;
        let slow = own * faults.slow_factor + faults.slow_extra;
        faults.slowed += slow - own;
        slow
    }
}

/// The duration below which a share of `p` lies, in microseconds: linear between the known quantiles.
fn quantile(p: f64) -> f64 {
    let upper = QUANTILES
        .iter()
        .position(|(q, _)| *q > p)
        .unwrap_or(QUANTILES.len() - 1);
    let ((p0, t0), (p1, t1)) = (QUANTILES[upper - 1], QUANTILES[upper]);
    t0 + (t1 - t0) * (p - p0) / (p1 - p0)
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn the_distribution_passes_through_the_measured_quantiles() {
        assert_eq!(quantile(0.5), 132.0);
        assert_eq!(quantile(0.99), 253.0);
        assert!(quantile(0.9999) > 1_000.0);
        assert!(quantile(0.0) > 0.0 && quantile(1.0) <= 9_000.0);
    }
}
