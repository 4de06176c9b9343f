//! What befalls a Redis server beside what befalls any program.

use std::{future::pending, io, time::Duration};

use squall_engine::{Client, Sim};

use super::{Redis, client::tell};
use crate::operator::{Operator, Order, Touched, again, until_done};

/// How often a server's state is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Nothing is done more often.
const LEAST_MS: u64 = 10;
/// For longer than any fault lasts.
const PAUSE: &str = "CLIENT PAUSE 1000000000 WRITE";
const EVICT: &str = "EVAL \"local n = 0 for _ = 1, ARGV[1] do local key = redis.call('RANDOMKEY') \
                     if key then n = n + redis.call('UNLINK', key) end end return n\" 0";

/// A fault that a server may have.
#[derive(Clone, Copy)]
enum Fault {
    EndClients,
    PauseWrites,
    Forget,
    Evict,
}

/// The faults of a server, once all is said of it.
pub fn bring(sim: &Sim, name: &str, redis: &Redis) {
    let described = redis.described().clone();
    let mut operator = Operator::of(sim, name);
    for (may_be, fault, called, amount) in [
        (true, Fault::EndClients, "end-clients", (200, 2_000)),
        (true, Fault::PauseWrites, "pause-writes", (0, 0)),
        (described.forgets, Fault::Forget, "forget", (0, 0)),
        (described.evicts, Fault::Evict, "evict", (1, 8)),
    ] {
        if !may_be {
            continue;
        }
        let (server, touched) = (name.to_owned(), Touched::default());
        let felt = touched.clone();
        operator.brings((called, name), amount, &touched, move |order| {
            let hand = Hand {
                server: server.clone(),
                client: order.client.clone(),
                touched: felt.clone(),
            };
            hand.carries_out(fault, order)
        });
    }
    operator.takes_up_work();
}

/// Who does something to a server.
struct Hand {
    server: String,
    client: Client,
    touched: Touched,
}

impl Hand {
    async fn carries_out(self, fault: Fault, mut order: Order) {
        let amount = order.amount;
        order
            .while_it_lasts(again(&self.client, || self.does(fault, amount)))
            .await;
        if let Fault::PauseWrites = fault {
            until_done(&self.client, async || {
                self.tell("CLIENT UNPAUSE").await.map(drop)
            })
            .await;
        }
    }

    async fn does(&self, fault: Fault, amount: u64) -> io::Result<()> {
        match fault {
            Fault::EndClients => {
                let every = Duration::from_millis(amount.max(LEAST_MS));
                loop {
                    for kind in ["normal", "pubsub"] {
                        self.touches(&format!("CLIENT KILL TYPE {kind}")).await?;
                    }
                    self.client.sleep(every).await;
                }
            }
            Fault::PauseWrites => {
                // Some wait because they want to.
                let before = self.waiting().await?;
                loop {
                    self.tell(PAUSE).await?;
                    let waiting = self.waiting().await?;
                    self.touched.add(waiting.saturating_sub(before));
                    self.client.sleep(LOOK).await;
                }
            }
            Fault::Forget => {
                let there = number(&self.tell("DBSIZE").await?)?;
                self.tell("FLUSHALL").await?;
                self.touched.add(there);
                pending().await
            }
            Fault::Evict => {
                self.touches(&format!("{EVICT} {amount}")).await?;
                pending().await
            }
        }
    }

    async fn tell(&self, command: &str) -> io::Result<String> {
        tell(&self.client, &self.server, command).await
    }

    /// Does what tells how much it has touched.
    async fn touches(&self, command: &str) -> io::Result<()> {
        self.touched.add(number(&self.tell(command).await?)?);
        Ok(())
    }

    /// How many clients wait for their answers.
    async fn waiting(&self) -> io::Result<u64> {
        let info = self.tell("INFO clients").await?;
        let told = info
            .lines()
            .find_map(|line| line.strip_prefix("blocked_clients:"));
        number(told.unwrap_or_default())
    }
}

fn number(text: &str) -> io::Result<u64> {
    text.trim().parse().map_err(io::Error::other)
}
