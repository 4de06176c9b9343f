//! Faults that a server brings, carried out as an operator or an accident would: over a connection of the harness's own.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use squall_core::interned::interned;
use squall_engine::{Client, Sim, sim::OBSERVER, storm::CustomFault};
use tokio::sync::{mpsc, oneshot};

/// What could not be done is tried again after so long.
const AGAIN: Duration = Duration::from_millis(50);

/// How often a fault has touched something.
#[derive(Clone, Debug, Default)]
pub struct Touched(Arc<AtomicU64>);

impl Touched {
    pub fn add(&self, times: u64) {
        self.0.fetch_add(times, Relaxed);
    }

    pub fn times(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A fault that is to be carried out.
pub struct Order {
    /// Who does it.
    pub client: Client,
    /// How strong it is to be.
    pub amount: u64,
    ended: oneshot::Receiver<()>,
}

impl Order {
    /// Does something, and stops as the fault ends.
    pub async fn while_it_lasts(&mut self, task: impl Future<Output = ()>) {
        until(&mut self.ended, task).await;
    }
}

/// What a task comes to, unless something else has ended before.
pub async fn until<T>(end: impl Future, task: impl Future<Output = T>) -> Option<T> {
    let (mut end, mut task) = (pin!(end), pin!(task));
    poll_fn(|cx| match end.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => task.as_mut().poll(cx).map(Some),
    })
    .await
}

/// Tries something until it succeeds.
pub async fn until_done<F: Future<Output = io::Result<()>>>(
    client: &Client,
    mut task: impl FnMut() -> F,
) {
    while task().await.is_err() {
        client.sleep(AGAIN).await;
    }
}

/// Does something for ever, and again where it ends.
pub async fn again<F: Future<Output = io::Result<()>>>(
    client: &Client,
    mut task: impl FnMut() -> F,
) {
    loop {
        let _ = task().await;
        client.sleep(AGAIN).await;
    }
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who carries out the faults of one server.
pub struct Operator<'a> {
    sim: &'a Sim,
    server: String,
    duties: Vec<Box<dyn FnOnce(Client) -> Task + Send>>,
}

impl<'a> Operator<'a> {
    pub fn of(sim: &'a Sim, server: &str) -> Self {
        Operator {
            sim,
            server: server.to_owned(),
            duties: Vec::new(),
        }
    }

    /// Brings a fault of this server, or of another node. One at a time is carried out.
    pub fn brings<F>(
        &mut self,
        (name, node): (&'static str, &str),
        amount: (u64, u64),
        touched: &Touched,
        carry_out: impl Fn(Order) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (give, mut given) = mpsc::unbounded_channel();
        let mut goes_on = None;
        let fault = CustomFault {
            name,
            node: interned(node),
            amount,
        };
        let handle = move |amount, begins: bool| {
            drop(goes_on.take());
            if begins {
                let (end, ended) = oneshot::channel::<()>();
                let _ = give.send((amount, ended));
                goes_on = Some(end);
            }
        };
        let touched = touched.clone();
        self.sim.own_fault(fault, handle, move || touched.times());
        self.duties.push(Box::new(move |client| {
            Box::pin(async move {
                while let Some((amount, ended)) = given.recv().await {
                    let client = client.clone();
                    carry_out(Order {
                        client,
                        amount,
                        ended,
                    })
                    .await;
                }
            })
        }));
    }

    /// Is there from the beginning of the storm.
    pub fn takes_up_work(self) {
        if self.duties.is_empty() {
            return;
        }
        let duties = self.duties;
        let name = format!("{OBSERVER}{} (operator)", self.server);
        self.sim.operator(&name, async move |client: Client| {
            for duty in duties {
                client.node().spawn(duty(client.clone()));
            }
        });
    }
}
