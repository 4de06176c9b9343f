//! Closing, and how much fits.

use std::io::ErrorKind;

use tokio::io::AsyncWriteExt;

use crate::network_host::*;

#[test]
fn half_close() {
    run(async {
        let (world, net) = World::new();
        let (mut client, mut server, _listener) = connected(&net).await;
        say(&mut client, b"question").await.unwrap();
        let closed = world.elapsed();
        client.shutdown().await.unwrap();
        assert_eq!(drain(&mut server).await, (8, None));
        assert_took(world.elapsed() - closed, 0.020);
        say(&mut server, b"answer").await.unwrap();
        hear(&mut client, b"answer").await;
        let error = client.write(b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        drop(server);
        assert_eq!(read(&mut client).await, Ok(0));
    });
}

#[test]
fn linger_zero_close() {
    run(async {
        let (world, net) = World::new();
        let (mut client, mut server, _listener) = connected(&net).await;
        assert_eq!(client.write(&[0; 1_000_000]).await.unwrap(), 46_336);
        let closed = world.elapsed();
        client.abort();
        let reset = Some(ErrorKind::ConnectionReset);
        assert_eq!(drain(&mut server).await, (14_480, reset));
        assert_took(world.elapsed() - closed, 0.020);
    });
}

#[test]
fn close_unsent() {
    run(async {
        let (_, net) = World::new();
        let (mut client, mut server, _listener) = connected(&net).await;
        assert_eq!(client.write(&[0; 1_000_000]).await.unwrap(), 46_336);
        drop(client);
        assert_eq!(drain(&mut server).await, (46_336, None));
    });
}

#[test]
fn close_unread() {
    run(async {
        let (world, net) = World::new();
        let (client, mut server, _listener) = connected(&net).await;
        say(&mut server, b"never read").await.unwrap();
        pause(0.1).await;
        let closed = world.elapsed();
        drop(client);
        assert_eq!(read(&mut server).await, Err(ErrorKind::ConnectionReset));
        assert_took(world.elapsed() - closed, 0.020);
    });
}

#[test]
fn nonblocking_send() {
    run(async {
        let (_, net) = World::new();
        let (mut client, _server, _listener) = connected(&net).await;
        assert_eq!(client.write(&[0; 1_000_000]).await.unwrap(), 46_336);
        assert!(within(0.020, client.write(b"x")).await.is_none());

        let mut listener = net.listen(CLIENT, PORT).unwrap();
        let mut own = net.connect(CLIENT, CLIENT, PORT).await.unwrap();
        let _accepted = listener.accept().await.unwrap();
        let sent = own.write(&vec![0; 4_000_000]).await.unwrap();
        assert_eq!(sent, 2_633_835);
    });
}

#[test]
fn buffers_non_reader() {
    run(async {
        let (_, net) = World::new();
        let (mut client, mut server, _listener) = connected(&net).await;
        assert_eq!(fill(&mut client).await, 446_928);
        drop(client);
        assert_eq!(drain(&mut server).await, (446_928, None));

        let mut listener = net.listen(CLIENT, PORT).unwrap();
        let mut own = net.connect(CLIENT, CLIENT, PORT).await.unwrap();
        let _accepted = listener.accept().await.unwrap();
        assert_eq!(fill(&mut own).await, 2_720_256);
    });
}

#[test]
fn write_before_accept() {
    run(async {
        let (_, net) = World::new();
        let mut listener = net.listen(SERVER, PORT).unwrap();
        let mut client = net.connect(CLIENT, SERVER, PORT).await.unwrap();
        assert_eq!(fill(&mut client).await, 446_928);
        drop(client);
        let mut server = listener.accept().await.unwrap();
        assert_eq!(drain(&mut server).await, (446_928, None));
    });
}
