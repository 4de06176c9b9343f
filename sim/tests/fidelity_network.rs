//! The simulated network behaves as Linux was measured to.
//!
//! Each test is named after a row of the measurements (`cut_heals` after `cut-heals`). Where the measured time depends
//! on the machine (timer slack, CUBIC, delayed acknowledgements) the test allows the model's own.
//!
//! Rows that have no test:
//!
//! | row | why |
//! |-|-|
//! | `connect-arp-failure`, `power-loss-arp-gone` | nodes are reached through a router, so there are no neighbours to resolve; `unreachable` is the router's answer |
//! | `connect-ports-exhausted`, `bind-time-wait` | ephemeral ports and TIME_WAIT are not modelled: a service neither binds a client port nor a listener without `SO_REUSEADDR` |
//! | `nagle-write-write-read` | a burst leaves at its flush, which is TCP_NODELAY, as HTTP stacks set it |
//! | second half of `buffers-non-reader` | buffers are not tuned beyond the first 446,928 B |
//! | `sigterm-stopped`, `timer-across-pause` | the life of a process is the world's; to the network a paused process is one that does not read |
//! | `sigpipe-default` | Rust ignores SIGPIPE; the write fails with `EPIPE`, which `write_after_peer_close` shows |

#[path = "fidelity_network/buffers.rs"]
mod buffers;
#[path = "fidelity_network/connect.rs"]
mod connect;
#[path = "fidelity_network/links.rs"]
mod links;
mod network_host;
#[path = "fidelity_network/power.rs"]
mod power;
#[path = "fidelity_network/process.rs"]
mod process;
