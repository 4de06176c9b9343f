//! Watching an idle connection (`SO_KEEPALIVE`).

use std::time::Duration;

use squall_core::time::VirtualTime;

use super::{Aftermath, Fabric, connection::Connection, end::Keepalive, sending::Kind};

/// The kernel counts in seconds, and none is none.
const GRAIN: Duration = Duration::from_secs(1);

impl Connection {
    /// Watches the connection while it is idle.
    pub fn watch(
        &mut self,
        end: usize,
        idle: Duration,
        interval: Duration,
        probes: u32,
        now: VirtualTime,
    ) {
        let (idle, interval) = (idle.max(GRAIN), interval.max(GRAIN));
        self.ends[end].last_heard = now;
        self.ends[end].keepalive = Some(Keepalive {
            idle,
            interval,
            probes,
            failed: 0,
            due: now + idle,
        });
    }

    pub fn probe(
        &mut self,
        end: usize,
        fabric: &mut Fabric,
        aftermath: &mut Aftermath,
        at: VirtualTime,
    ) {
        let Some(mut watch) = self.ends[end].keepalive else {
            return;
        };
        let heard = self.ends[end].last_heard + watch.idle;
        let peer = &self.ends[1 - end];
        let answered = self.obstacle(end, fabric).is_none()
            && self.obstacle(1 - end, fabric).is_none()
            && fabric.node(peer.node).kernel;
        if heard > at {
            watch.failed = 0;
            watch.due = heard;
        } else if answered && !peer.alive {
            self.emit_reset(1 - end, fabric, at + self.travel(end, Kind::Ack, 0, fabric));
            watch.due = at + watch.idle;
        } else if answered {
            watch.failed = 0;
            watch.due = at + watch.idle;
        } else if watch.failed == watch.probes {
            self.time_out(end, fabric, aftermath);
            return;
        } else {
            watch.failed += 1;
            watch.due = at + watch.interval;
        }
        self.ends[end].keepalive = Some(watch);
    }
}
