//! How long a thousand messages take on the simulated network.

#[path = "../tests/network_host/mod.rs"]
mod network_host;

use madsim::runtime::Runtime;
use network_host::{World, connected};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn main() {
    divan::main();
}

/// 500 requests of 300 bytes, each with its answer, on one connection: connecting and the runtime included.
#[divan::bench]
fn a_thousand_messages() {
    Runtime::new().block_on(async {
        let (_, net) = World::with(true);
        let (mut client, mut server, _listener) = connected(&net).await;
        let echo = madsim::task::spawn(async move {
            let mut request = [0; 300];
            while server.read_exact(&mut request).await.is_ok() {
                if server.write_all(&request).await.is_err() || server.flush().await.is_err() {
                    return;
                }
            }
        });
        let mut message = [b'x'; 300];
        for _ in 0..500 {
            client.write_all(&message).await.expect("the server lives");
            client.flush().await.expect("the server lives");
            client.read_exact(&mut message).await.expect("it answers");
        }
        drop(client);
        echo.await.expect("it ends");
    });
}
