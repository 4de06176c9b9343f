//! Unmodified tokio code as nodes.

use std::time::Duration;

use squall_kernel::Processes;
use tokio_real as tokio;
use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::{TcpListener, TcpStream}};

async fn server() -> std::io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:8080").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut buffer = [0; 64];
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                tokio::time::sleep(Duration::from_millis(3)).await;
                let doubled = tokio::task::spawn_blocking(move || n * 2).await.unwrap_or(0);
                let _ = stream.write_all(format!("{doubled}").as_bytes()).await;
            }
        });
    }
}

async fn client() -> std::io::Result<()> {
    let began = std::time::Instant::now();
    for i in 0..5 {
        let mut stream = TcpStream::connect("server:8080").await?;
        stream.write_all(b"hello").await?;
        let mut buffer = [0; 64];
        let n = stream.read(&mut buffer).await?;
        println!("{i}: {} after {:?}", String::from_utf8_lossy(&buffer[..n]), began.elapsed());
    }
    std::future::pending().await
}

#[test]
fn a_client_and_a_server_talk() {
    squall::storms("echo").seeds(1).run(|sim| {
        sim.process("server", server);
        sim.process("client", client);
        sim.client("watch", async |client: squall::Client| {
            client.sleep(Duration::from_secs(5)).await;
        });
    });
}
