//! The simulated network behaves as Linux was measured to.

mod network_host;

use madsim::runtime::Runtime;
use network_host::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn connect_usable() {
    Runtime::new().block_on(async {
        let (world, net) = World::new();
        let (mut client, mut server, _l) = connected(&net).await;
        assert!(world.elapsed() >= 3 * ONE_WAY, "{:?}", world.elapsed());
        client.write_all(b"hello").await.unwrap();
        client.flush().await.unwrap();
        let mut buf = [0; 5];
        server.read_exact(&mut buf).await.unwrap();
        assert!(
            world.elapsed() < 4 * ONE_WAY + Duration::from_millis(1),
            "{:?}",
            world.elapsed()
        );
        server.write_all(b"hello").await.unwrap();
        server.flush().await.unwrap();
        client.read_exact(&mut buf).await.unwrap();
    });
}
