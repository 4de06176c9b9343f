//! Scenarios made of a closure, and words to write storms with.

use std::{future::Future, sync::Mutex, time::Duration};

use squall::{
    Client, Node, Sim,
    fault::{Crash, Pause, PowerLoss},
    run::{Outcome, Spec, run},
    scenario::{Scenario, Setup},
    seed::Seed,
    site::{Kind, Site},
    storm::{Action, Fault, Plan, Profile, When},
    time::VirtualTime,
    trace::{Event, What},
};

/// A scenario whose world a closure builds. No storm comes over it but the one that is given.
pub struct Little<B>(pub B);

impl<B: Fn(&Sim) + Send + Sync> Scenario for Little<B> {
    fn name(&self) -> &str {
        "little"
    }

    fn about(&self) -> &str {
        "a small world"
    }

    fn profile(&self) -> Profile {
        Profile::new(&[], &[])
    }

    fn build(&self, sim: &Sim, _: &Setup) {
        (self.0)(sim)
    }
}

impl<B: Fn(&Sim) + Send + Sync> Little<B> {
    /// A run with its whole trace.
    pub fn run(&self, faults: Vec<Fault>) -> Outcome {
        self.run_seed(1, faults)
    }

    pub fn run_seed(&self, seed: u64, faults: Vec<Fault>) -> Outcome {
        let spec = Spec::of(self, Seed(seed)).under(Plan::new(faults));
        run(self, &spec, true)
    }

    pub fn run_plan(&self, plan: Plan) -> Outcome {
        let spec = Spec::of(self, Seed(1)).under(plan);
        run(self, &spec, true)
    }
}

/// What tasks and destructors tell the test, with the instant.
#[derive(Clone, Copy)]
pub struct Log(&'static Mutex<Vec<(VirtualTime, String)>>);

impl Default for Log {
    /// One that lives as long as the tests, so that every closure can have it.
    fn default() -> Self {
        Log(Box::leak(Box::default()))
    }
}

impl Log {
    pub fn tell(&self, at: VirtualTime, line: impl Into<String>) {
        self.0.lock().unwrap().push((at, line.into()));
    }

    /// Takes what was told so far.
    pub fn take(&self) -> Vec<(VirtualTime, String)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    pub fn lines(&self) -> Vec<String> {
        self.take().into_iter().map(|(_, line)| line).collect()
    }
}

/// Virtual time, from inside a run.
pub fn now() -> VirtualTime {
    VirtualTime::from_start(madsim::time::TimeHandle::current().elapsed())
}

/// Ends with the process.
pub async fn for_ever() -> Result<(), String> {
    std::future::pending().await
}

/// A client that keeps the run going for so long.
pub fn lasts(sim: &Sim, seconds: u64) {
    sim.client("witness", move |client: Client| async move {
        client.node().sleep(Duration::from_secs(seconds)).await;
    });
}

/// Tells of each tick, one in 10 ms, in a task of its own.
pub fn ticks(node: &Node, log: Log, name: String) {
    let (own, log) = (node.clone(), log);
    node.spawn(async move {
        loop {
            own.sleep(Duration::from_millis(10)).await;
            log.tell(now(), name.clone());
        }
    });
}

pub fn seconds(at: VirtualTime) -> f64 {
    at.since_start().as_secs_f64()
}

/// Storms begin when every node is up, 20 ms into the run.
pub fn at(ms: u64, action: impl Into<Action>) -> Fault {
    Fault::at_ms(ms, action)
}

pub fn nth(node: &str, kind: Kind, nth: u32, action: impl Into<Action>) -> Fault {
    Fault::new(When::nth(node, kind, nth.into()), action)
}

pub fn site(node: &str, kind: Kind, label: &str, attempt: u32, action: impl Into<Action>) -> Fault {
    Fault::new(When::Site(Site::new(node, kind, label, attempt)), action)
}

pub fn pause(node: &str, for_ms: u64) -> Action {
    let node = node.to_owned();
    Action::Pause(Pause::new(node, for_ms))
}

pub fn crash(node: &str, down_ms: u64) -> Action {
    Action::Crash(Crash::new(node, down_ms))
}

pub fn power_loss(node: &str, down_ms: u64) -> Action {
    Action::PowerLoss(PowerLoss::new(node, down_ms))
}

pub fn send_to(peer: &str) -> Kind {
    Kind::Send(peer.to_owned())
}

pub fn events(outcome: &Outcome) -> &[Event] {
    &outcome.trace.as_ref().expect("a full run").events
}

/// The turns in the life of a node, with their instants.
pub fn turns(outcome: &Outcome, node: &str) -> Vec<(VirtualTime, &'static str)> {
    let of_node = events(outcome).iter().filter(|event| event.node == node);
    of_node
        .filter_map(|event| match &event.what {
            What::Node { event: turn, .. } => Some((event.at, turn.as_str())),
            _ => None,
        })
        .collect()
}

/// Adds a node that answers each line with itself.
pub fn echo(sim: &Sim, name: &'static str) {
    sim.node(name, |node: Node| async move {
        let mut listener = node.listen()?;
        loop {
            let stream = listener.accept().await?;
            node.spawn(echo_lines(stream));
        }
        #[allow(unreachable_code)]
        Ok::<(), std::io::Error>(())
    });
}

fn echo_lines(stream: squall::net::Stream) -> impl Future<Output = ()> {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    async move {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while let Ok(1..) = stream.read_line(&mut line).await {
            if stream.write_all(line.as_bytes()).await.is_err() || stream.flush().await.is_err() {
                return;
            }
            line.clear();
        }
    }
}

/// A connection on which lines are asked and answered, opened anew after each failure.
#[derive(Default)]
pub struct Asking {
    stream: Option<tokio::io::BufReader<squall::net::Stream>>,
}

impl Asking {
    /// The answer to a line; none within a second, or without a connection.
    pub async fn ask(&mut self, node: &Node, peer: &str, line: &str) -> Option<String> {
        use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
        let asked = async {
            let mut stream = match self.stream.take() {
                Some(stream) => stream,
                None => BufReader::new(node.connect(peer).await?),
            };
            stream.write_all(format!("{line}\n").as_bytes()).await?;
            stream.flush().await?;
            let mut answer = String::new();
            stream.read_line(&mut answer).await?;
            self.stream = Some(stream);
            Ok::<_, std::io::Error>(answer)
        };
        let answer = tokio::time::timeout(Duration::from_secs(1), asked).await;
        match answer {
            Ok(Ok(answer)) if answer.ends_with('\n') => Some(answer.trim_end().to_owned()),
            _ => {
                self.stream = None;
                None
            }
        }
    }

    /// Asks until there is an answer.
    pub async fn insist(&mut self, node: &Node, peer: &str, line: &str) -> String {
        loop {
            if let Some(answer) = self.ask(node, peer, line).await {
                return answer;
            }
            node.sleep(Duration::from_millis(100)).await;
        }
    }
}
