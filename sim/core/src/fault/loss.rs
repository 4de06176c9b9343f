//! A link that loses packets.

use super::*;

fault! {
    /// A link loses packets, which are sent again.
    pub struct Loss = "loss" on Link(from, to) {
        /// Share of packets lost, in percent.
        percent: u8 = between(5, 64),
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(200, 20_000),
    }
    told "{from} → {to} loses {percent} %";
    in words "{percent} % of the packets from {from} to {to} are lost";
    effective once "a packet was lost", counted as PacketLost(Links::OneWay(from, to));
}

impl Injectable for Loss {
    fn check(&self) -> Result<(), &'static str> {
        limits::lasts(self.for_ms)?;
        limits::require(
            self.percent > 0,
            "nothing would be lost: at least 1 percent",
        )?;
        limits::require(
            self.percent <= 99,
            "something gets through: at most 99 percent, or say \"cut\"",
        )
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        let link = Links::OneWay(&self.from, &self.to);
        target.lose_packets(link, if on { self.percent } else { 0 });
    }
}
