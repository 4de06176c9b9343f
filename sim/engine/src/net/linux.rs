//! Linux's numbers: every tunable of the simulated kernels, with the value of the real one.
//!
//! Measured on Linux 6.18 with default settings; where the simulation simplifies, the constant says how.

use std::{io, time::Duration};

use squall_core::time::VirtualTime;

/// Payload of one segment on Ethernet with timestamps.
pub const MSS: usize = 1448;
/// `TCP_INIT_CWND`: ten segments leave before the first acknowledgement.
pub const INITIAL_WINDOW: usize = 10 * MSS;
/// The congestion window stops growing here; Linux has no such limit, but its send buffer (`tcp_wmem[2]`) acts as one.
pub const CONGESTION_WINDOW_MAX: usize = 4 << 20;
/// The send buffer holds 3.2 congestion windows (46,336 B at first) until it reaches [`SEND_BUFFER_MAX`].
pub const SEND_BUFFER_PER_WINDOW: (usize, usize) = (16, 5);
/// What a sender keeps for a peer that never reads: 446,928 B are accepted, of which 96,088 B reach the peer. Linux
/// goes on to tune both up on connections that carry megabytes; the simulation does not.
pub const SEND_BUFFER_MAX: usize = 446_928 - RECEIVE_WINDOW;
/// What a receiver queues for a process that does not read.
pub const RECEIVE_WINDOW: usize = 96_088;
/// A send buffer on the loopback interface, full from the start.
pub const LOOPBACK_SEND_BUFFER: usize = 2_633_835;
/// A receive queue on the loopback interface (2,720,256 B are accepted in all).
pub const LOOPBACK_RECEIVE_WINDOW: usize = 2_720_256 - LOOPBACK_SEND_BUFFER;

/// When SYNs leave: `tcp_syn_retries` = 6 after `tcp_syn_linear_timeouts` = 4.
pub const SYN_SECONDS: [u64; 11] = [0, 1, 2, 3, 4, 5, 7, 11, 19, 36, 68];
/// When `connect` gives up with `ETIMEDOUT`.
pub const SYN_GIVE_UP: Duration = Duration::from_secs(133);
/// `TCP_TIMEOUT_INIT`: a SYN-ACK whose acknowledgement is missing is sent again after this.
pub const SYN_ACK_RETRY: Duration = Duration::from_secs(1);

/// `TCP_RTO_MIN`: added to the round trip, it makes the first retransmission timeout.
pub const RTO_MIN: Duration = Duration::from_millis(200);
/// `TCP_RTO_MAX`: the longest wait between two retransmissions.
pub const RTO_MAX: Duration = Duration::from_secs(120);
/// `tcp_retries2` = 15: the first retransmission timeout past this ends the connection with `ETIMEDOUT`.
pub const RETRIES_GIVE_UP: Duration = Duration::from_millis(924_600);

/// `net.core.rmem_default`: what a socket keeps of datagrams that nobody has read.
pub const DATAGRAM_BUFFER: usize = 212_992;
/// `net.ipv4.ip_local_port_range`: where ports of the kernel's choice begin, and how many there are.
pub const EPHEMERAL_PORTS: [u16; 2] = [32_768, 28_232];

/// What a datagram of `len` bytes takes of a receive buffer: its packet is allocated in powers of two, long ones in pages.
pub fn datagram_room(len: usize) -> usize {
    const HEAD: usize = 256;
    match len + 384 {
        ..=576 => 576 + HEAD,
        all @ ..=16_384 => all.next_power_of_two() + HEAD,
        _ => len + 1_000,
    }
}

/// The backlog that `tokio::net::TcpListener::bind` asks for.
pub const BACKLOG: usize = 1024;

/// `EPIPE`.
pub const BROKEN_PIPE: i32 = 32;
/// `EADDRINUSE`.
pub const ADDRESS_IN_USE: i32 = 98;
/// `ENETUNREACH`.
pub const NETWORK_UNREACHABLE: i32 = 101;
/// `ECONNRESET`.
pub const CONNECTION_RESET: i32 = 104;
/// `ETIMEDOUT`.
pub const TIMED_OUT: i32 = 110;
/// `ECONNREFUSED`.
pub const CONNECTION_REFUSED: i32 = 111;
/// `EHOSTUNREACH`.
pub const HOST_UNREACHABLE: i32 = 113;

/// An error as Linux would number it.
pub fn error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

/// The first retransmission at or after `now` of a segment first sent at `sent`: exponential backoff from `rto`
/// (0.25, 0.5, 1, 2, 4 s and so on), with steps of at most [`RTO_MAX`].
pub fn next_retransmission(sent: VirtualTime, rto: Duration, now: VirtualTime) -> VirtualTime {
    let mut after = rto;
    while sent + after < now {
        after += after.min(RTO_MAX);
    }
    sent + after
}

/// When the kernel gives up on a segment first sent at `sent`.
pub fn give_up(sent: VirtualTime, rto: Duration, user_timeout: Option<Duration>) -> VirtualTime {
    match user_timeout {
        // Linux counts from the first retransmission by its timer, which a loss probe precedes.
        Some(limit) => sent + 2 * rto + limit,
        None => next_retransmission(sent, rto, sent + RETRIES_GIVE_UP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_datagrams_fit_as_were_measured() {
        let fit = [1, 600, 1_600, 3_700, 7_500, 16_000, 20_000, 40_000, 65_507];
        let fit = fit.map(|len| DATAGRAM_BUFFER / datagram_room(len));
        assert_eq!(fit, [256, 166, 92, 48, 25, 12, 10, 5, 3]);
    }

    #[test]
    fn retransmissions_back_off_and_end_as_measured() {
        let at = |now_ms: u64| {
            next_retransmission(
                VirtualTime::ZERO,
                Duration::from_millis(250),
                VirtualTime(now_ms * 1_000_000),
            )
            .since_start()
            .as_millis()
        };
        let seen = [0, 251, 501, 1_001, 2_001, 4_001, 8_001].map(at);
        assert_eq!(seen, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000]);
        let end = give_up(VirtualTime::ZERO, Duration::from_millis(250), None);
        assert_eq!(end.since_start().as_secs(), 968);
    }
}
