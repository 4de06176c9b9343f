//! stub
use crate::host::{Host, NodeIx};
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
pub struct Net;
pub struct Listener;
pub struct Stream;
#[derive(Clone, Copy)]
pub struct LatencyChange {
    pub factor: f64,
    pub extra: Duration,
}
impl Default for LatencyChange {
    fn default() -> Self {
        LatencyChange {
            factor: 1.0,
            extra: Duration::ZERO,
        }
    }
}
#[allow(unused_variables)]
impl Net {
    pub fn new(host: Arc<dyn Host>) -> Arc<Net> {
        Arc::new(Net)
    }
    pub fn add_node(&self, n: NodeIx) {}
    pub fn listen(&self, n: NodeIx, port: u16) -> io::Result<Listener> {
        unimplemented!()
    }
    pub fn connect(
        &self,
        a: NodeIx,
        b: NodeIx,
        port: u16,
    ) -> impl Future<Output = io::Result<Stream>> + Send + 'static {
        async { unimplemented!() }
    }
    pub fn crash(&self, n: NodeIx) {}
    pub fn power_loss(&self, n: NodeIx) {}
    pub fn freeze(&self, n: NodeIx) {}
    pub fn boot(&self, n: NodeIx) {}
    pub fn cut(&self, a: NodeIx, b: NodeIx) {}
    pub fn heal(&self, a: NodeIx, b: NodeIx) {}
    pub fn set_latency(&self, a: NodeIx, b: NodeIx, c: LatencyChange) {}
    pub fn set_bandwidth(&self, a: NodeIx, b: NodeIx, c: Option<u64>) {}
    pub fn set_loss(&self, a: NodeIx, b: NodeIx, c: f64) {}
    pub fn refuse(&self, a: NodeIx, b: bool) {}
    pub fn hang_connects(&self, a: NodeIx, b: bool) {}
    pub fn reset_connections(&self, a: NodeIx, b: NodeIx) {}
    pub fn half_open(&self, a: NodeIx, b: NodeIx) {}
    pub fn touched(&self, a: NodeIx, b: NodeIx) -> u64 {
        0
    }
    pub fn in_flight(&self) -> usize {
        0
    }
}
