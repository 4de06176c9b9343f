//! A connection is a pipe, whatever happens to the network: what comes out at one end is the beginning of what went in
//! at the other, and all of it if it ends in order.

mod network_host;

use std::{sync::Arc, time::Duration};

use madsim::{Config, runtime::Runtime};
use network_host::*;
use proptest::{prelude::*, test_runner::FileFailurePersistence};
use squall::{
    host::{BurstFault, NodeIx},
    net::{LatencyChange, Net, Stream},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[derive(Clone, Debug)]
enum Step {
    /// One end sends so many bytes.
    Say {
        server: bool,
        bytes: usize,
    },
    /// Time passes.
    Pause {
        ms: u64,
    },
    Cut {
        way: bool,
    },
    Loss {
        way: bool,
        percent: u8,
    },
    Bandwidth {
        way: bool,
        bytes_per_s: u64,
    },
    Latency {
        way: bool,
        extra_ms: u64,
    },
    /// The next burst of one end is spoilt.
    Spoil {
        server: bool,
        how: Spoiling,
    },
    Reset,
    HalfOpen,
    Unreachable {
        server: bool,
    },
    /// Every lasting fault ends.
    Calm,
}

#[derive(Clone, Copy, Debug)]
enum Spoiling {
    Lose,
    Reset,
    Delay(u64),
    Duplicate(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let spoiling = prop_oneof![
        Just(Spoiling::Lose),
        Just(Spoiling::Reset),
        (1..5_000u64).prop_map(Spoiling::Delay),
        (1..5_000u64).prop_map(Spoiling::Duplicate),
    ];
    prop_oneof![
        10 => (any::<bool>(), prop_oneof![1..50usize, 1..60_000usize])
            .prop_map(|(server, bytes)| Step::Say { server, bytes }),
        6 => (1..3_000u64).prop_map(|ms| Step::Pause { ms }),
        2 => any::<bool>().prop_map(|way| Step::Cut { way }),
        2 => (any::<bool>(), 1..100u8).prop_map(|(way, percent)| Step::Loss { way, percent }),
        2 => (any::<bool>(), 100..100_000u64)
            .prop_map(|(way, bytes_per_s)| Step::Bandwidth { way, bytes_per_s }),
        2 => (any::<bool>(), 1..3_000u64).prop_map(|(way, extra_ms)| Step::Latency { way, extra_ms }),
        3 => (any::<bool>(), spoiling).prop_map(|(server, how)| Step::Spoil { server, how }),
        1 => Just(Step::Reset),
        1 => Just(Step::HalfOpen),
        1 => any::<bool>().prop_map(|server| Step::Unreachable { server }),
        3 => Just(Step::Calm),
    ]
}

fn way(there: bool) -> (NodeIx, NodeIx) {
    if there {
        (CLIENT, SERVER)
    } else {
        (SERVER, CLIENT)
    }
}

fn carry_out(step: &Step, world: &World, net: &Net) {
    match *step {
        Step::Cut { way: there } => {
            let (from, to) = way(there);
            net.cut(from, to);
        }
        Step::Loss {
            way: there,
            percent,
        } => {
            let (from, to) = way(there);
            net.set_loss(from, to, f64::from(percent) / 100.0);
        }
        Step::Bandwidth {
            way: there,
            bytes_per_s,
        } => {
            let (from, to) = way(there);
            net.set_bandwidth(from, to, Some(bytes_per_s));
        }
        Step::Latency {
            way: there,
            extra_ms,
        } => {
            let (from, to) = way(there);
            let change = LatencyChange {
                factor: 2.0,
                extra: Duration::from_millis(extra_ms),
            };
            net.set_latency(from, to, Some(change));
        }
        Step::Spoil { server, how } => {
            let fault = match how {
                Spoiling::Lose => BurstFault::Lose,
                Spoiling::Reset => BurstFault::Reset,
                Spoiling::Delay(ms) => BurstFault::Delay(Duration::from_millis(ms)),
                Spoiling::Duplicate(ms) => BurstFault::Duplicate(Duration::from_millis(ms)),
            };
            world.fault(if server { SERVER } else { CLIENT }, fault);
        }
        Step::Reset => _ = net.reset_connections(CLIENT, SERVER),
        Step::HalfOpen => _ = net.half_open(CLIENT, SERVER),
        Step::Unreachable { server } => {
            net.unreachable(if server { SERVER } else { CLIENT }, true);
        }
        Step::Calm => calm(net),
        Step::Say { .. } | Step::Pause { .. } => {}
    }
}

/// The byte at this place of what an end says: no two neighbouring thousands are alike.
fn byte_at(place: usize) -> u8 {
    ((place * 31 + place / 251) % 251) as u8
}

/// What one end heard, and whether it heard the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Heard {
    bytes: usize,
    in_order: bool,
    ended: bool,
}

async fn listen_to(mut reader: impl tokio::io::AsyncRead + Unpin) -> Heard {
    let mut heard = Heard {
        in_order: true,
        ..Heard::default()
    };
    let mut buffer = vec![0; 1 << 14];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) => {
                heard.ended = true;
                return heard;
            }
            Ok(read) => {
                let said = buffer[..read].iter().enumerate();
                heard.in_order &= said
                    .into_iter()
                    .all(|(at, byte)| *byte == byte_at(heard.bytes + at));
                heard.bytes += read;
            }
            Err(_) => return heard,
        }
    }
}

/// How many bytes each end said without an error (`usize::MAX` if it met one), and what the other heard: the client's
/// words first.
type Talk = [(usize, Heard); 2];

async fn talk(steps: Vec<Step>) -> Talk {
    let (world, net): (Arc<World>, Arc<Net>) = World::with(false);
    let (client, server, _listener) = connected(&net).await;
    let (client_reads, client_writes) = tokio::io::split(client);
    let (server_reads, server_writes) = tokio::io::split(server);
    let ears = [
        madsim::task::spawn(listen_to(server_reads)),
        madsim::task::spawn(listen_to(client_reads)),
    ];
    let mut mouths: [(tokio::io::WriteHalf<Stream>, usize, bool); 2] =
        [(client_writes, 0, true), (server_writes, 0, true)];
    for step in &steps {
        carry_out(step, &world, &net);
        match *step {
            Step::Say { server, bytes } => {
                let (mouth, said, works) = &mut mouths[usize::from(server)];
                let words: Vec<u8> = (*said..*said + bytes).map(byte_at).collect();
                let saying = async {
                    mouth.write_all(&words).await?;
                    mouth.flush().await
                };
                // A mouth that was interrupted may have said a part: it says nothing more.
                *works = *works && within(2.0, saying).await.is_some_and(|said| said.is_ok());
                if *works {
                    *said += bytes;
                }
            }
            Step::Pause { ms } => pause(ms as f64 / 1_000.0).await,
            _ => {}
        }
    }
    calm(&net);
    let (mut said, mut sound) = ([0; 2], [true; 2]);
    for ((all, sound), (mut mouth, bytes, works)) in said.iter_mut().zip(&mut sound).zip(mouths) {
        *all = if works { bytes } else { usize::MAX };
        let shut = within(2.0, mouth.shutdown()).await;
        *sound = works && shut.is_some_and(|shut| shut.is_ok());
    }
    let mut heard = [Heard::default(); 2];
    for (heard, ear) in heard.iter_mut().zip(ears) {
        // Silence after a power loss or a half-open end lasts until the kernel's own patience is over.
        match within(3_000.0, ear).await {
            Some(Ok(all)) => *heard = all,
            _ => heard.in_order = true,
        }
    }
    // As on Linux a reset is reported once: if the writing half met it, the reading half sees a plain end.
    let [client_is_sound, server_is_sound] = sound;
    heard[0].ended &= server_is_sound;
    heard[1].ended &= client_is_sound;
    [(said[0], heard[0]), (said[1], heard[1])]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/network_order.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_connection_delivers_the_beginning_of_what_was_said_in_order_and_all_of_it_if_it_ends_in_order(
        seed: u64,
        steps in prop::collection::vec(step(), 1..30),
    ) {
        let talk = Runtime::with_seed_and_config(seed, Config::default()).block_on(talk(steps.clone()));
        for (said, heard) in talk {
            prop_assert!(heard.in_order, "bytes out of order: {heard:?}");
            prop_assert!(heard.bytes <= said, "{said} bytes said: {heard:?}");
            if heard.ended && said != usize::MAX {
                prop_assert_eq!(heard.bytes, said, "it ended in order, and something is missing");
            }
        }
        let harmless = |step: &Step| !matches!(
            step,
            Step::Reset | Step::HalfOpen | Step::Unreachable { .. } | Step::Spoil { how: Spoiling::Lose | Spoiling::Reset, .. }
        );
        if steps.iter().all(harmless) {
            for (said, heard) in talk {
                prop_assert!(said == usize::MAX || heard.bytes == said, "nothing broke it: {heard:?}");
            }
        }
    }
}
