//! Whatever a storm does to the network: no byte is lost, doubled or reordered within a connection, nobody waits for
//! ever once it is over, and the same storm gives the same run.

mod network_host;

use std::{sync::Arc, time::Duration};

use madsim::{Config, runtime::Runtime};
use network_host::*;
use squall::{
    host::{BurstFault, NodeIx},
    net::{LatencyChange, Net, Stream},
    seed::{Seed, Stream as Draws},
    trace::Fate,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MESSAGES: u32 = 40;

/// Answers every number with its complement, as long as the connection lasts.
async fn answer(mut stream: Stream) {
    while let Ok(number) = stream.read_u32().await {
        let sent = stream.write_u32(!number).await;
        if sent.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

/// Listens, and answers each connection; a new life of the server calls it again.
fn serve(net: &Arc<Net>) {
    let mut listener = net.listen(SERVER, PORT).expect("the earlier life is over");
    madsim::task::spawn(async move {
        while let Ok(stream) = listener.accept().await {
            madsim::task::spawn(answer(stream));
        }
    });
}

/// Asks all numbers in turn, each until it has an answer. How often it had to connect.
async fn ask(net: Arc<Net>) -> usize {
    let mut connects = 0;
    let mut stream: Option<Stream> = None;
    let mut number = 0;
    while number < MESSAGES {
        let attempt = async {
            let mut open = match stream.take() {
                Some(open) => open,
                None => {
                    connects += 1;
                    net.connect(CLIENT, SERVER, PORT).await?
                }
            };
            open.write_u32(number).await?;
            open.flush().await?;
            let answer = open.read_u32().await?;
            assert_eq!(answer, !number, "an answer to something else");
            Ok::<_, std::io::Error>(open)
        };
        match within(20.0, attempt).await {
            Some(Ok(open)) => {
                stream = Some(open);
                number += 1;
                pause(0.5).await;
            }
            Some(Err(_)) | None => pause(0.1).await,
        }
    }
    connects
}

/// Some faults, one after the other.
async fn storm(world: Arc<World>, net: Arc<Net>, mut draws: Draws) {
    let ways = [(CLIENT, SERVER), (SERVER, CLIENT)];
    for _ in 0..12 {
        let &(from, to) = draws.pick(&ways);
        let seconds = draws.between(1, 3_000) as f64 / 1_000.0;
        let wait = Duration::from_secs_f64(seconds);
        match draws.below(13) {
            0 | 1 => net.cut(from, to),
            2 => cut(&net),
            3 => net.set_loss(from, to, 0.3),
            4 => net.set_bandwidth(from, to, Some(50)),
            5 => net.set_latency(
                from,
                to,
                Some(LatencyChange {
                    factor: 10.0,
                    extra: wait,
                }),
            ),
            6 => _ = net.reset_connections(from, to),
            7 => _ = net.half_open(from, to),
            8 => net.unreachable(NodeIx(draws.below(2) as u16), true),
            9 => net.hang_connects(SERVER, true),
            10 => {
                let faults = [
                    BurstFault::Lose,
                    BurstFault::Reset,
                    BurstFault::Delay(wait),
                    BurstFault::Duplicate(wait),
                ];
                world.fault(from, *draws.pick(&faults));
            }
            11 => {
                net.freeze(SERVER);
                net.crash(SERVER);
                pause(seconds).await;
                net.boot(SERVER);
                serve(&net);
            }
            _ => {
                net.power_loss(SERVER);
                pause(seconds).await;
                net.boot(SERVER);
                serve(&net);
            }
        }
        pause(seconds).await;
        if draws.chance(0.5) {
            calm(&net);
        }
    }
    calm(&net);
}

/// What became of a storm: how often each client connected, and every burst.
type Run = (Vec<usize>, Vec<(NodeIx, Duration, Fate)>);

fn run_storm(seed: u64) -> Run {
    Runtime::with_seed_and_config(seed, Config::default()).block_on(async {
        let (world, net) = World::with(false);
        serve(&net);
        let draws = Seed(seed).stream("storm");
        let storming = madsim::task::spawn(storm(world.clone(), net.clone(), draws));
        let asking: Vec<_> = (0..3)
            .map(|_| madsim::task::spawn(ask(net.clone())))
            .collect();
        let mut connects = Vec::new();
        for one in asking {
            let asked = within(600.0, one).await;
            connects.push(asked.expect("everything is answered").unwrap());
        }
        storming.await.unwrap();
        pause(300.0).await;
        assert_eq!(net.in_flight(), 0, "nothing travels any more");
        let bursts = world.bursts.lock().unwrap().clone();
        (connects, bursts)
    })
}

#[test]
fn every_question_is_answered_right_after_any_storm() {
    let mut reconnects = 0;
    for seed in 0..200 {
        let (connects, bursts) = run_storm(seed);
        reconnects += connects.iter().sum::<usize>() - 3;
        assert!(bursts.len() >= 2 * 3 * MESSAGES as usize);
    }
    assert!(reconnects > 1_000, "the storms are too mild: {reconnects}");
}

#[test]
fn the_same_storm_gives_the_same_run() {
    for seed in 0..20 {
        assert_eq!(run_storm(seed), run_storm(seed));
    }
}
