//! Opening connections.

use std::{io::ErrorKind, time::Duration};

use squall::host::NodeIx;

use crate::network_host::*;

#[test]
fn connect_usable() {
    run(async {
        let (world, net) = World::new();
        let mut listener = net.listen(SERVER, PORT).unwrap();
        let mut client = net.connect(CLIENT, SERVER, PORT).await.unwrap();
        assert_took(world.elapsed(), 0.040);
        let mut server = listener.accept().await.unwrap();
        assert_took(world.elapsed(), 0.060);
        assert_eq!((client.peer(), server.peer()), (SERVER, CLIENT));
        say(&mut client, b"hello").await.unwrap();
        hear(&mut server, b"hello").await;
        assert_took(world.elapsed(), 0.080);
        say(&mut server, b"good day").await.unwrap();
        hear(&mut client, b"good day").await;
        assert_took(world.elapsed(), 0.100);
    });
}

#[test]
fn connect_closed_port() {
    run(async {
        let (world, net) = World::new();
        let error = net.connect(CLIENT, SERVER, PORT).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_took(world.elapsed(), 0.040);
    });
}

#[test]
fn connect_both_dropped() {
    run(async {
        let (world, net) = World::new();
        let _listener = net.listen(SERVER, PORT).unwrap();
        cut(&net);
        let error = net.connect(CLIENT, SERVER, PORT).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_took(world.elapsed(), 133.0);
    });
}

#[test]
fn connect_replies_dropped() {
    run(async {
        let (world, net) = World::new();
        let mut listener = net.listen(SERVER, PORT).unwrap();
        net.cut(SERVER, CLIENT);
        let error = net.connect(CLIENT, SERVER, PORT).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_took(world.elapsed(), 133.0);
        assert!(within(60.0, listener.accept()).await.is_none());
    });
}

#[test]
fn connect_cut_heals() {
    for (heals, connected) in [(0.5, 1.04), (2.5, 3.04), (6.0, 7.04)] {
        run(async {
            let (world, net) = World::new();
            let _listener = net.listen(SERVER, PORT).unwrap();
            cut(&net);
            let connecting = madsim::task::spawn(net.connect(CLIENT, SERVER, PORT));
            pause(heals).await;
            heal(&net);
            connecting.await.unwrap().unwrap();
            assert_took(world.elapsed(), connected);
        });
    }
}

#[test]
fn connect_syn_lost_or_its_answer() {
    for (from, to) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
        run(async {
            let (world, net) = World::new();
            let _listener = net.listen(SERVER, PORT).unwrap();
            net.cut(from, to);
            let connecting = madsim::task::spawn(net.connect(CLIENT, SERVER, PORT));
            pause(0.1).await;
            net.heal(from, to);
            connecting.await.unwrap().unwrap();
            assert_took(world.elapsed(), 1.04);
        });
    }
}

#[test]
fn connect_ack_lost() {
    for client_writes in [true, false] {
        run(async {
            let (world, net) = World::new();
            let mut listener = net.listen(SERVER, PORT).unwrap();
            let connecting = madsim::task::spawn(net.connect(CLIENT, SERVER, PORT));
            pause(0.030).await;
            net.cut(CLIENT, SERVER);
            let mut client = connecting.await.unwrap().unwrap();
            assert_took(world.elapsed(), 0.040);
            assert!(within(0.060, listener.accept()).await.is_none());
            net.heal(CLIENT, SERVER);
            if client_writes {
                say(&mut client, b"data").await.unwrap();
                let mut server = listener.accept().await.unwrap();
                hear(&mut server, b"data").await;
                assert_took(world.elapsed(), 0.120);
            } else {
                listener.accept().await.unwrap();
                assert_between(world.elapsed(), 1.04, 1.10);
            }
        });
    }
}

#[test]
fn connect_no_route() {
    run(async {
        let (world, net) = World::new();
        let error = net.connect(CLIENT, NodeIx(9), PORT).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
        assert!(world.elapsed() < Duration::from_micros(10));
    });
}

#[test]
fn connect_icmp_unreachable() {
    run(async {
        let (world, net) = World::new();
        let _listener = net.listen(SERVER, PORT).unwrap();
        net.unreachable(SERVER, true);
        let error = net.connect(CLIENT, SERVER, PORT).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostUnreachable);
        assert_took(world.elapsed(), 0.040);
    });
}

#[test]
fn connect_paused_listener() {
    run(async {
        let (world, net) = World::new();
        let mut listener = net.listen_with_backlog(SERVER, PORT, 2).unwrap();
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(net.connect(CLIENT, SERVER, PORT).await.unwrap());
        }
        pause(0.1).await;
        let asked = world.elapsed();
        let next = madsim::task::spawn(net.connect(CLIENT, SERVER, PORT));
        pause(2.5).await;
        assert!(!next.is_finished());
        clients.push(listener.accept().await.unwrap());
        next.await.unwrap().unwrap();
        assert_took(world.elapsed() - asked, 3.04);
    });
}

#[test]
fn connect_backlog_burst() {
    run(async {
        let (world, net) = World::new();
        let mut listener = net.listen_with_backlog(SERVER, PORT, 5).unwrap();
        let connecting: Vec<_> = (0..20)
            .map(|_| madsim::task::spawn(net.connect(CLIENT, SERVER, PORT)))
            .collect();
        let mut clients = Vec::new();
        for one in connecting {
            clients.push(one.await.unwrap().unwrap());
        }
        assert_took(world.elapsed(), 0.040);
        // Fourteen are phantoms: the client believes in them, the server learns of them from a later packet.
        pause(0.1).await;
        let mut servers = Vec::new();
        while let Some(accepted) = within(0.1, listener.accept()).await {
            servers.push(accepted.unwrap());
        }
        assert_eq!(servers.len(), 6);
        while servers.len() < 20 {
            servers.push(listener.accept().await.unwrap());
        }
        assert_between(world.elapsed(), 1.0, 5.0);
    });
}

#[test]
fn accept_after_client_gone() {
    run(async {
        let (_, net) = World::new();
        let mut listener = net.listen(SERVER, PORT).unwrap();
        let mut closed = net.connect(CLIENT, SERVER, PORT).await.unwrap();
        say(&mut closed, b"data").await.unwrap();
        drop(closed);
        let mut reset = net.connect(CLIENT, SERVER, PORT).await.unwrap();
        say(&mut reset, b"data").await.unwrap();
        reset.abort();
        pause(1.0).await;
        let mut first = listener.accept().await.unwrap();
        assert_eq!(drain(&mut first).await, (4, None));
        let mut second = listener.accept().await.unwrap();
        let reset = Some(ErrorKind::ConnectionReset);
        assert_eq!(drain(&mut second).await, (4, reset));
    });
}

#[test]
fn listener_close_pending() {
    run(async {
        let (world, net) = World::new();
        let listener = net.listen(SERVER, PORT).unwrap();
        let mut client = net.connect(CLIENT, SERVER, PORT).await.unwrap();
        pause(1.0).await;
        drop(listener);
        let closed = world.elapsed();
        assert_eq!(read(&mut client).await, Err(ErrorKind::ConnectionReset));
        assert_took(world.elapsed() - closed, 0.020);
    });
}

#[test]
fn listener_close_half_open() {
    run(async {
        let (world, net) = World::new();
        let listener = net.listen(SERVER, PORT).unwrap();
        let connecting = madsim::task::spawn(net.connect(CLIENT, SERVER, PORT));
        pause(0.030).await;
        net.cut(CLIENT, SERVER);
        let mut client = connecting.await.unwrap().unwrap();
        pause(0.010).await;
        drop(listener);
        assert!(within(0.5, read(&mut client)).await.is_none());
        net.heal(CLIENT, SERVER);
        let written = world.elapsed();
        say(&mut client, b"data").await.unwrap();
        assert_eq!(read(&mut client).await, Err(ErrorKind::ConnectionReset));
        assert_took(world.elapsed() - written, 0.040);
    });
}

#[test]
fn connect_listener_restart() {
    run(async {
        let (_, net) = World::new();
        let listener = net.listen(SERVER, PORT).unwrap();
        drop(listener);
        let error = net.connect(CLIENT, SERVER, PORT).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let _listener = net.listen(SERVER, PORT).unwrap();
        net.connect(CLIENT, SERVER, PORT).await.unwrap();
    });
}

#[test]
fn rebind_after_kill9() {
    run(async {
        let (_, net) = World::new();
        let (_client, _server, old) = connected(&net).await;
        net.crash(SERVER);
        net.boot(SERVER);
        let _listener = net.listen(SERVER, PORT).unwrap();
        // The dead process's destructors run later, and must not take the new socket away.
        drop(old);
        net.connect(CLIENT, SERVER, PORT).await.unwrap();
    });
}

#[test]
fn bind_second_listener() {
    run(async {
        let (_, net) = World::new();
        let _listener = net.listen(SERVER, PORT).unwrap();
        let error = net.listen(SERVER, PORT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        net.listen(SERVER, PORT + 1).unwrap();
    });
}
