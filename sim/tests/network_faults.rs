//! What storms can do to the simulated network, and what they cannot.

mod network_host;

use std::{convert::Infallible, io::ErrorKind, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes, service::service_fn};
use hyper_util::rt::TokioIo;
use network_host::*;
use squall::{
    host::{BurstFault, Verdict},
    net::{Effect, LatencyChange, Net},
};
use tokio::io::AsyncWriteExt;

/// A request with an operation in its baggage.
fn request(op: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nhost: server\r\nbaggage: op={op}\r\ncontent-length: 0\r\n\r\n")
        .into()
}

#[test]
fn hyper_keeps_a_connection_alive_over_it() {
    run(async {
        let (world, net) = World::new();
        let mut listener = net.listen(SERVER, PORT).unwrap();
        let serving = madsim::task::spawn(async move {
            let stream = listener.accept().await.unwrap();
            let echo = service_fn(async |request: Request<hyper::body::Incoming>| {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                Ok::<_, Infallible>(Response::new(Full::new(body)))
            });
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), echo)
                .await
        });
        let stream = net.connect(CLIENT, SERVER, PORT).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        let driving = madsim::task::spawn(connection);
        let connected = world.elapsed();
        for n in 0..10 {
            let body = Bytes::from(vec![n; 2_000]);
            let request = Request::post("/echo")
                .header("host", "server")
                .header("baggage", format!("op=call-{n}"))
                .body(Full::new(body.clone()))
                .unwrap();
            sender.ready().await.unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(
                response.into_body().collect().await.unwrap().to_bytes(),
                body
            );
        }
        // One burst each way per call, and a round trip each.
        assert_took(world.elapsed() - connected, 0.4);
        let sites = world.sites.lock().unwrap().clone();
        let expected =
            (0..10).flat_map(|n| [CLIENT, SERVER].map(|node| (node, format!("call-{n}"))));
        assert_eq!(sites, expected.collect::<Vec<_>>());
        drop(sender);
        driving.await.unwrap().unwrap();
        serving.await.unwrap().unwrap();
        assert_eq!(net.connections(), 0);
        assert_eq!(net.in_flight(), 0);
    });
}

#[test]
fn an_empty_flush_sends_nothing_and_two_flushes_send_two_bursts() {
    run(async {
        let (world, net) = World::new();
        let (mut client, mut server, _listener) = connected(&net).await;
        client.flush().await.unwrap();
        client.write_all(b"one ").await.unwrap();
        client.write_all(b"burst").await.unwrap();
        client.flush().await.unwrap();
        client.flush().await.unwrap();
        say(&mut client, b"another").await.unwrap();
        hear(&mut server, b"one burst").await;
        hear(&mut server, b"another").await;
        assert_eq!(world.latencies(CLIENT).len(), 2);
        let label = (CLIENT, "c0".to_owned());
        assert_eq!(*world.sites.lock().unwrap(), [label.clone(), label]);
    });
}

#[test]
fn whoever_reads_has_flushed() {
    run(async {
        let (_, net) = World::new();
        let (mut client, mut server, _listener) = connected(&net).await;
        client.write_all(b"question").await.unwrap();
        let asking = madsim::task::spawn(async move { hear(&mut client, b"answer").await });
        hear(&mut server, b"question").await;
        say(&mut server, b"answer").await.unwrap();
        asking.await.unwrap();
    });
}

#[test]
fn a_lost_burst_cuts_its_connection_both_ways_and_no_other() {
    run(async {
        let (world, net) = World::new();
        let (mut client, mut server, mut listener) = connected(&net).await;
        say(&mut client, b"question").await.unwrap();
        hear(&mut server, b"question").await;
        world.fault(SERVER, BurstFault::Lose);
        say(&mut server, b"answer").await.unwrap();
        assert!(within(500.0, read(&mut client)).await.is_none());
        say(&mut client, b"another").await.unwrap();
        assert_eq!(read(&mut server).await, Err(ErrorKind::TimedOut));
        assert_eq!(net.touched(SERVER, CLIENT, Effect::HalfOpen), 1);
        let mut next = net.connect(CLIENT, SERVER, PORT).await.unwrap();
        let mut accepted = listener.accept().await.unwrap();
        say(&mut next, b"works").await.unwrap();
        hear(&mut accepted, b"works").await;
    });
}

#[test]
fn a_burst_can_be_reset_or_delayed() {
    run(async {
        let (world, net) = World::new();
        let (mut client, mut server, _listener) = connected(&net).await;
        world.fault(CLIENT, BurstFault::Delay(Duration::from_secs(3)));
        let sent = world.elapsed();
        say(&mut client, b"slow, ").await.unwrap();
        say(&mut client, b"and what follows waits").await.unwrap();
        hear(&mut server, b"slow, and what follows waits").await;
        assert_took(world.elapsed() - sent, 3.020);

        world.fault(CLIENT, BurstFault::Reset);
        let error = say(&mut client, b"never").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(read(&mut server).await, Err(ErrorKind::ConnectionReset));
        assert_eq!(read(&mut client).await, Ok(0));
    });
}

#[test]
fn a_duplicate_is_answered_and_its_answer_thrown_away() {
    run(async {
        let (world, net) = World::new();
        let (mut client, mut server, mut listener) = connected(&net).await;
        world.fault(CLIENT, BurstFault::Duplicate(Duration::from_secs(2)));
        let sent = world.elapsed();
        say(&mut client, &request("pay")).await.unwrap();
        hear(&mut server, &request("pay")).await;
        say(&mut server, b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut second = listener.accept().await.unwrap();
        assert_eq!(second.peer(), CLIENT);
        hear(&mut second, &request("pay")).await;
        assert_took(world.elapsed() - sent, 2.020);
        say(&mut second, b"HTTP/1.1 409 Conflict\r\n\r\n")
            .await
            .unwrap();
        // The answer is acknowledged, and nobody is left to ask again.
        assert_eq!(drain(&mut second).await, (0, None));
        hear(&mut client, b"HTTP/1.1 200 OK\r\n\r\n").await;
        assert!(within(60.0, read(&mut client)).await.is_none());
        drop((client, server, second));
        assert_eq!(net.connections(), 0);
        let labels: Vec<_> = world
            .sites
            .lock()
            .unwrap()
            .iter()
            .map(|(_, l)| l.clone())
            .collect();
        assert_eq!(labels, ["pay", "pay", "pay"]);
    });
}

/// A node dies at the burst that it is about to send, and then it is known how.
fn dies_at_a_burst(how: fn(&Net)) -> (Result<usize, ErrorKind>, Option<Result<usize, ErrorKind>>) {
    run(async {
        let (world, net) = World::new();
        let (mut client, mut server, mut listener) = connected(&net).await;
        let mut other = net.connect(CLIENT, SERVER, PORT).await.unwrap();
        let mut other_server = listener.accept().await.unwrap();
        other_server.write_all(b"written").await.unwrap();
        let frozen = net.clone();
        world.trap(SERVER, move || {
            frozen.freeze(SERVER);
            Verdict {
                dead: true,
                burst: None,
            }
        });
        say(&mut server, b"never sent").await.unwrap_err();
        other_server.write_all(b"x").await.unwrap_err();
        assert!(net.listen(SERVER, PORT + 1).is_err());
        say(&mut other, b"meanwhile").await.unwrap();
        how(&net);
        net.boot(SERVER);
        // What the dead left behind does nothing.
        drop((server, other_server, listener));
        let first = within(10.0, read(&mut client)).await;
        (
            first.unwrap_or(Err(ErrorKind::WouldBlock)),
            within(10.0, read(&mut other)).await,
        )
    })
}

#[test]
fn a_node_that_dies_at_a_burst_has_not_sent_it() {
    let (client, other) = dies_at_a_burst(|net| net.crash(SERVER));
    assert_eq!(client, Ok(0));
    assert_eq!(other, Some(Ok(7)));
    let (client, other) = dies_at_a_burst(|net| net.power_loss(SERVER));
    assert_eq!(client, Err(ErrorKind::WouldBlock));
    // It was up again when this one's data arrived, and knew nothing of the connection.
    assert_eq!(other, Some(Err(ErrorKind::ConnectionReset)));
}

#[test]
fn handles_of_an_earlier_life_are_inert() {
    run(async {
        let (world, net) = World::new();
        let (mut client, mut server, mut listener) = connected(&net).await;
        let stuck = madsim::task::spawn(net.connect(SERVER, CLIENT, PORT));
        pause(0.001).await;
        for _ in 0..2 {
            net.crash(SERVER);
        }
        for _ in 0..2 {
            net.boot(SERVER);
        }
        let sites = world.sites.lock().unwrap().len();
        server.write_all(b"ghost").await.unwrap_err();
        assert!(server.flush().await.is_err() && server.shutdown().await.is_err());
        assert!(within(1.0, read(&mut server)).await.is_none());
        assert!(within(1.0, listener.accept()).await.is_none());
        assert!(within(200.0, stuck).await.is_none());
        drop(server);
        assert_eq!(world.sites.lock().unwrap().len(), sites);
        assert_eq!(drain(&mut client).await, (0, None));
    });
}

#[test]
fn connections_can_be_reset_or_left_half_open() {
    run(async {
        let (_, net) = World::new();
        let (mut client, mut server, mut listener) = connected(&net).await;
        assert_eq!(net.reset_connections(SERVER, CLIENT), 1);
        assert_eq!(read(&mut client).await, Err(ErrorKind::ConnectionReset));
        assert_eq!(read(&mut server).await, Err(ErrorKind::ConnectionReset));
        assert_eq!(net.touched(CLIENT, SERVER, Effect::Reset), 1);

        let mut client = net.connect(CLIENT, SERVER, PORT).await.unwrap();
        let mut server = listener.accept().await.unwrap();
        assert_eq!(net.half_open(CLIENT, SERVER), 1);
        assert_eq!(net.touched_node(SERVER, Effect::HalfOpen), 0);
        say(&mut client, b"lost").await.unwrap();
        assert_eq!(net.touched_node(SERVER, Effect::HalfOpen), 1);
        assert!(within(60.0, read(&mut server)).await.is_none());
        assert_eq!(net.in_flight(), 0);
    });
}

#[test]
fn connects_can_be_refused_or_ignored() {
    run(async {
        let (world, net) = World::new();
        let _listener = net.listen(SERVER, PORT).unwrap();
        net.refuse(SERVER, true);
        let error = net.connect(CLIENT, SERVER, PORT).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        net.refuse(SERVER, false);
        net.hang_connects(SERVER, true);
        let asked = world.elapsed();
        let connecting = madsim::task::spawn(net.connect(CLIENT, SERVER, PORT));
        pause(0.5).await;
        assert_eq!(net.in_flight(), 1);
        net.hang_connects(SERVER, false);
        connecting.await.unwrap().unwrap();
        assert_took(world.elapsed() - asked, 1.04);
        assert_eq!(net.touched_node(SERVER, Effect::Refused), 1);
        assert_eq!(net.touched_node(SERVER, Effect::Hung), 1);
    });
}

#[test]
fn a_slow_or_narrow_link_delays_what_is_sent_from_then_on() {
    run(async {
        let (world, net) = World::new();
        let (mut client, mut server, _listener) = connected(&net).await;
        let change = LatencyChange {
            factor: 3.0,
            extra: Duration::from_millis(100),
        };
        net.set_latency(CLIENT, SERVER, Some(change));
        let sent = world.elapsed();
        say(&mut client, b"slow").await.unwrap();
        hear(&mut server, b"slow").await;
        assert_took(world.elapsed() - sent, 0.160);
        net.set_latency(CLIENT, SERVER, None);
        net.set_bandwidth(CLIENT, SERVER, Some(1_000));
        let sent = world.elapsed();
        say(&mut client, &[7; 10_000]).await.unwrap();
        hear(&mut server, &[7; 1_448]).await;
        assert_took(world.elapsed() - sent, 1.468);
        hear(&mut server, &[7; 8_552]).await;
        assert_took(world.elapsed() - sent, 10.02);
        net.set_bandwidth(CLIENT, SERVER, None);
        let sent = world.elapsed();
        say(&mut client, b"quick").await.unwrap();
        hear(&mut server, b"quick").await;
        assert_took(world.elapsed() - sent, 0.020);
        assert_eq!(net.touched(CLIENT, SERVER, Effect::Latency), 1);
        assert!(net.touched(CLIENT, SERVER, Effect::Bandwidth) >= 7);
        assert_eq!(net.touched(SERVER, CLIENT, Effect::Bandwidth), 0);
    });
}

#[test]
fn a_flapping_link_only_holds_things_up() {
    run(async {
        let (world, net) = World::new();
        let (mut client, mut server, _listener) = connected(&net).await;
        let reading = madsim::task::spawn(async move { drain(&mut server).await });
        for n in 0..50 {
            match n % 3 {
                0 => cut(&net),
                1 => heal(&net),
                _ => net.cut(SERVER, CLIENT),
            }
            say(&mut client, &[n; 1_000]).await.unwrap();
            pause(0.3).await;
        }
        heal(&net);
        drop(client);
        assert_eq!(reading.await.unwrap(), (50_000, None));
        assert_between(world.elapsed(), 15.0, 60.0);
        assert!(net.touched(CLIENT, SERVER, Effect::Cut) > 0);
    });
}

/// Exchanges ten messages with a fault at the third question. The latencies of both sides' bursts.
fn latencies(fault: Option<BurstFault>, seconds_of_cut: f64) -> [Vec<Duration>; 2] {
    run(async {
        let (world, net) = World::with(false);
        let (mut client, mut server, _listener) = connected(&net).await;
        for n in 0..10 {
            if n == 2 {
                if let Some(fault) = fault {
                    world.fault(CLIENT, fault);
                }
                if seconds_of_cut > 0.0 {
                    net.cut(SERVER, CLIENT);
                }
            }
            say(&mut client, &[n]).await.unwrap();
            hear(&mut server, &[n]).await;
            say(&mut server, &[n]).await.unwrap();
            if n == 2 {
                pause(seconds_of_cut).await;
                net.heal(SERVER, CLIENT);
            }
            hear(&mut client, &[n]).await;
        }
        [CLIENT, SERVER].map(|node| world.latencies(node))
    })
}

#[test]
fn a_fault_that_is_taken_away_leaves_all_other_latencies_alone() {
    let calm = latencies(None, 0.0);
    assert!(calm[0].windows(2).any(|pair| pair[0] != pair[1]));
    let delayed = latencies(Some(BurstFault::Delay(Duration::from_secs(1))), 0.0);
    let duplicated = latencies(Some(BurstFault::Duplicate(Duration::from_secs(1))), 0.0);
    let cut = latencies(None, 5.0);
    assert_eq!(duplicated, calm);
    assert_ne!(delayed[0][2], calm[0][2]);
    assert_ne!(cut[1][2], calm[1][2]);
    for n in (0..10).filter(|n| *n != 2) {
        for side in 0..2 {
            assert_eq!(delayed[side][n], calm[side][n]);
            assert_eq!(cut[side][n], calm[side][n]);
        }
    }
}

#[test]
fn quiet_is_when_nothing_travels() {
    run(async {
        let (_, net) = World::new();
        let (mut client, mut server, listener) = connected(&net).await;
        assert_eq!(net.in_flight(), 0);
        say(&mut client, b"one").await.unwrap();
        say(&mut client, b"two").await.unwrap();
        assert_eq!(net.in_flight(), 2);
        hear(&mut server, b"onetwo").await;
        assert_eq!(net.in_flight(), 0);
        say(&mut client, b"three").await.unwrap();
        net.power_loss(SERVER);
        assert_eq!(net.in_flight(), 0);
        drop((client, server, listener));
        assert_eq!(net.connections(), 0);
    });
}

#[test]
fn a_late_burst_of_a_client_that_has_gone_is_not_quiet() {
    run(async {
        let (world, net) = World::new();
        let (mut client, mut server, _listener) = connected(&net).await;
        world.fault(CLIENT, BurstFault::Delay(Duration::from_secs(60)));
        say(&mut client, b"late").await.unwrap();
        drop(client);
        pause(30.0).await;
        assert_eq!(net.in_flight(), 1);
        assert_eq!(drain(&mut server).await, (4, None));
        assert_eq!(net.in_flight(), 0);
    });
}
