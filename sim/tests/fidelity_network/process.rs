//! What the peer of a process sees when that ends, is killed, or stops.

use std::{io::ErrorKind, time::Duration};

use tokio::io::AsyncWriteExt;

use crate::network_host::*;

/// How a process ends.
#[derive(Clone, Copy)]
enum End {
    /// It returns, and its streams are closed.
    Exit,
    /// `kill -9`.
    Kill,
}

#[test]
fn peer_exit_all_read() {
    for end in [End::Exit, End::Kill] {
        run(async {
            let (world, net) = World::new();
            let (mut client, server, _listener) = connected(&net).await;
            let ended = world.elapsed();
            match end {
                End::Exit => drop(server),
                End::Kill => net.crash(SERVER),
            }
            assert_eq!(read(&mut client).await, Ok(0));
            assert_took(world.elapsed() - ended, 0.020);
        });
    }
}

#[test]
fn peer_exit_unread() {
    for end in [End::Exit, End::Kill] {
        run(async {
            let (world, net) = World::new();
            let (mut client, server, _listener) = connected(&net).await;
            say(&mut client, b"never read").await.unwrap();
            pause(0.1).await;
            let ended = world.elapsed();
            match end {
                End::Exit => drop(server),
                End::Kill => net.crash(SERVER),
            }
            assert_eq!(read(&mut client).await, Err(ErrorKind::ConnectionReset));
            assert_took(world.elapsed() - ended, 0.020);
            assert_eq!(read(&mut client).await, Ok(0));
            let error = client.write(b"x").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        });
    }
}

#[test]
fn data_then_rst() {
    for writes_first in [false, true] {
        run(async {
            let (_, net) = World::new();
            let (mut client, mut server, _listener) = connected(&net).await;
            say(&mut client, b"unread").await.unwrap();
            say(&mut server, b"data").await.unwrap();
            pause(0.1).await;
            drop(server);
            pause(0.1).await;
            if writes_first {
                let error = client.write(b"x").await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                assert_eq!(drain(&mut client).await, (4, None));
            } else {
                let reset = Some(ErrorKind::ConnectionReset);
                assert_eq!(drain(&mut client).await, (4, reset));
                assert_eq!(read(&mut client).await, Ok(0));
            }
        });
    }
}

#[test]
fn written_before_kill9() {
    run(async {
        let (_, net) = World::new();
        let (mut client, mut server, _listener) = connected(&net).await;
        say(&mut client, &[1; 408_336]).await.unwrap();
        net.crash(CLIENT);
        assert_eq!(drain(&mut server).await, (408_336, None));
    });
}

#[test]
fn written_before_kill9_without_a_flush() {
    run(async {
        let (_, net) = World::new();
        let (mut client, mut server, _listener) = connected(&net).await;
        client.write_all(b"written").await.unwrap();
        net.crash(CLIENT);
        assert_eq!(drain(&mut server).await, (7, None));
    });
}

#[test]
fn written_before_kill9_unread() {
    run(async {
        let (_, net) = World::new();
        let (mut client, mut server, _listener) = connected(&net).await;
        say(&mut server, b"never read").await.unwrap();
        say(&mut client, &[1; 408_336]).await.unwrap();
        pause(1.0).await;
        net.crash(CLIENT);
        let (bytes, error) = drain(&mut server).await;
        assert!((90_000..100_000).contains(&bytes), "{bytes}");
        assert_eq!(error, Some(ErrorKind::ConnectionReset));
    });
}

#[test]
fn write_after_peer_close() {
    run(async {
        let (_, net) = World::new();
        let (mut client, server, _listener) = connected(&net).await;
        drop(server);
        pause(0.1).await;
        say(&mut client, b"into the void").await.unwrap();
        pause(0.041).await;
        let error = client.write(b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert_eq!(read(&mut client).await, Ok(0));
    });
}

#[test]
fn keepalive_close_race() {
    run(async {
        let (world, net) = World::new();
        let (mut client, server, _listener) = connected(&net).await;
        let closed = world.elapsed();
        drop(server);
        say(&mut client, b"request").await.unwrap();
        assert_eq!(read(&mut client).await, Ok(0));
        assert_took(world.elapsed() - closed, 0.020);
    });
}

#[test]
fn peer_paused_small() {
    run(async {
        let (_, net) = World::new();
        let (mut client, mut server, _listener) = connected(&net).await;
        client.set_user_timeout(Duration::from_secs(5));
        say(&mut client, b"data").await.unwrap();
        client.shutdown().await.unwrap();
        // The kernel of the paused process acknowledges: nothing times out.
        assert!(within(3_000.0, read(&mut client)).await.is_none());
        assert_eq!(drain(&mut server).await, (4, None));
    });
}

#[test]
fn peer_paused_full() {
    run(async {
        let (_, net) = World::new();
        let (mut client, _server, _listener) = connected(&net).await;
        assert_eq!(fill(&mut client).await, 446_928);
    });
}

#[test]
fn peer_resumed() {
    run(async {
        let (world, net) = World::new();
        let (mut client, mut server, _listener) = connected(&net).await;
        let written = fill(&mut client).await;
        let resumed = world.elapsed();
        let reader = madsim::task::spawn(async move { drain(&mut server).await });
        client.write_all(b"more").await.unwrap();
        assert_between(world.elapsed() - resumed, 0.020, 0.2);
        drop(client);
        assert_eq!(reader.await.unwrap(), (written + 4, None));
    });
}

#[test]
fn sigterm_mid_response() {
    for request_read in [true, false] {
        run(async {
            let (_, net) = World::new();
            let (mut client, mut server, _listener) = connected(&net).await;
            say(&mut client, b"request").await.unwrap();
            if request_read {
                hear(&mut server, b"request").await;
            } else {
                pause(0.1).await;
            }
            say(&mut server, b"half an ans").await.unwrap();
            drop(server);
            let error = (!request_read).then_some(ErrorKind::ConnectionReset);
            assert_eq!(drain(&mut client).await, (11, error));
        });
    }
}

#[test]
fn sigterm_before_response() {
    run(async {
        let (_, net) = World::new();
        let (mut client, mut server, _listener) = connected(&net).await;
        say(&mut client, b"request").await.unwrap();
        hear(&mut server, b"request").await;
        drop(server);
        assert_eq!(drain(&mut client).await, (0, None));
    });
}
