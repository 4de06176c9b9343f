//! What the peer of a machine sees when that loses power, and when it is back.

use std::{io::ErrorKind, time::Duration};

use crate::network_host::*;

#[test]
fn power_loss_reader() {
    run(async {
        let (_, net) = World::new();
        let (mut client, _server, _listener) = connected(&net).await;
        net.power_loss(SERVER);
        assert!(within(3_600.0, read(&mut client)).await.is_none());
    });
}

#[test]
fn power_loss_keepalive() {
    run(async {
        let (world, net) = World::new();
        let (mut client, _server, _listener) = connected(&net).await;
        client.set_keepalive(Duration::from_secs(5), Duration::from_secs(1), 3);
        assert!(within(60.0, read(&mut client)).await.is_none());
        net.power_loss(SERVER);
        let lost = world.elapsed();
        assert_eq!(read(&mut client).await, Err(ErrorKind::TimedOut));
        assert_between(world.elapsed() - lost, 3.0, 8.2);
    });
}

#[test]
fn power_loss_user_timeout() {
    run(async {
        let (world, net) = World::new();
        let (mut client, _server, _listener) = connected(&net).await;
        client.set_user_timeout(Duration::from_secs(5));
        net.power_loss(SERVER);
        let written = world.elapsed();
        say(&mut client, b"data").await.unwrap();
        assert_eq!(read(&mut client).await, Err(ErrorKind::TimedOut));
        assert_between(world.elapsed() - written, 5.0, 5.5);
    });
}

#[test]
fn power_loss_writer() {
    run(async {
        let (world, net) = World::new();
        let (mut client, _server, _listener) = connected(&net).await;
        net.power_loss(SERVER);
        let written = world.elapsed();
        say(&mut client, b"data").await.unwrap();
        pause(500.0).await;
        say(&mut client, b"more").await.unwrap();
        assert_eq!(read(&mut client).await, Err(ErrorKind::TimedOut));
        assert_between(world.elapsed() - written, 924.6, 1_046.0);
        assert_eq!(read(&mut client).await, Ok(0));
    });
}

#[test]
fn host_reboot_writer() {
    run(async {
        let (world, net) = World::new();
        let (mut client, _server, _listener) = connected(&net).await;
        net.power_loss(SERVER);
        pause(10.0).await;
        net.boot(SERVER);
        let written = world.elapsed();
        say(&mut client, b"data").await.unwrap();
        assert_eq!(read(&mut client).await, Err(ErrorKind::ConnectionReset));
        assert_took(world.elapsed() - written, 0.040);
    });
}

#[test]
fn host_reboot_retransmit() {
    run(async {
        let (world, net) = World::new();
        let (mut client, _server, _listener) = connected(&net).await;
        net.power_loss(SERVER);
        say(&mut client, b"data").await.unwrap();
        let written = world.elapsed();
        pause(2.7).await;
        net.boot(SERVER);
        assert_eq!(read(&mut client).await, Err(ErrorKind::ConnectionReset));
        // Retransmissions leave 0.24, 0.48, 0.96, 1.92, 3.84 s after the first attempt.
        assert_took(world.elapsed() - written, 3.88);
    });
}

#[test]
fn host_reboot_idle_reader() {
    run(async {
        let (_, net) = World::new();
        let (mut client, _server, _listener) = connected(&net).await;
        net.power_loss(SERVER);
        pause(1.0).await;
        net.boot(SERVER);
        assert!(within(3_600.0, read(&mut client)).await.is_none());
    });
}

#[test]
fn power_loss_refuses_nobody() {
    run(async {
        let (world, net) = World::new();
        net.power_loss(SERVER);
        let connecting = madsim::task::spawn(net.connect(CLIENT, SERVER, PORT));
        pause(9.0).await;
        net.boot(SERVER);
        // The kernel is up before the process listens.
        let error = connecting.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_took(world.elapsed(), 11.04);
    });
}
