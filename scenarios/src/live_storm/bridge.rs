//! A node that stands for a process: it lives and dies with it, and what it is sent is sent on.

use std::{future::pending, io, pin::pin, sync::Arc};

use futures_util::future::{Either, select};
use squall::{Node, net::Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};

use super::{
    pipe::Pipe,
    system::{Life, System},
};
use crate::lock;

/// The node's hold on its process: when the node dies, so does the process.
struct Hold(Arc<System>, String);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.kill(&self.1);
    }
}

/// Runs the node `node` in front of its process.
pub(super) async fn serve(node: Node, system: Arc<System>) -> io::Result<()> {
    let name = node.name().to_owned();
    system.told.meet(&node);
    system.start(&name);
    let _hold = Hold(system.clone(), name.clone());
    loop {
        match system.life(&name) {
            Life::Up => break,
            Life::Starting => node.sleep(system.clock.step()).await,
            Life::Ended(why) => return Err(io::Error::other(why)),
            Life::Down => return Err(io::Error::other("it was killed")),
        }
    }
    let ends = async {
        loop {
            node.sleep(system.clock.step()).await;
            if let Life::Ended(why) = system.life(&name) {
                break why;
            }
        }
    };
    let mut listener = node.listen()?;
    let accepts = async {
        loop {
            let stream = listener.accept().await?;
            let (pipe, other, system) = (system.connect(&name), node.clone(), system.clone());
            let carried = Carried(pipe);
            node.spawn(async move { carry(&other, stream, (&carried.0, &system)).await });
        }
    };
    match select(pin!(ends), pin!(accepts)).await {
        Either::Left((why, _)) => Err(io::Error::other(why)),
        Either::Right((accepted, _)) => accepted,
    }
}

/// A connection of the node's that ends with it.
struct Carried(Arc<Pipe>);

impl Drop for Carried {
    fn drop(&mut self) {
        let _ = self.0.there.send(Vec::new());
        self.0.ends();
    }
}

/// Carries bytes both ways until the process's end of the connection is closed.
async fn carry(node: &Node, stream: Stream, (pipe, system): (&Pipe, &System)) {
    let (mut reads, mut writes) = split(stream);
    let there = async {
        let mut bytes = vec![0; 16 << 10];
        while let Ok(read @ 1..) = reads.read(&mut bytes).await {
            pipe.sends(&bytes[..read]);
        }
        let _ = pipe.there.send(Vec::new());
        pending::<()>().await;
    };
    let back = async {
        loop {
            let (bytes, ended) = {
                let mut back = lock(&pipe.back);
                (back.bytes.pop_front(), back.ended)
            };
            match bytes {
                Some(bytes) => {
                    if writes.write_all(&bytes).await.is_err() || writes.flush().await.is_err() {
                        break;
                    }
                }
                None if ended => break,
                None => node.sleep(system.clock.step()).await,
            }
        }
        let _ = writes.shutdown().await;
    };
    select(pin!(there), pin!(back)).await;
}
