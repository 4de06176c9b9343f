//! Machines of Linux: network namespaces, with a router between them that forwards or silently drops.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use crate::{MARK, PROBES, Probe, READY, Step};

/// How long the parts of a probe may take.
const PATIENCE: Duration = Duration::from_secs(12);
const SERVER: &str = "10.2.0.2";

/// Whether there can be such machines here.
pub fn prepare() -> Result<(), String> {
    let lab = Lab::new("probe".to_owned());
    lab.map(|_| ())
}

/// What the probes observe, in their order. They run at the same time.
pub fn run_all() -> Vec<Vec<String>> {
    let seen: Vec<Mutex<Vec<String>>> = PROBES.iter().map(|_| Mutex::default()).collect();
    thread::scope(|scope| {
        for (ordinal, (probe, seen)) in PROBES.iter().zip(&seen).enumerate() {
            scope.spawn(move || {
                let lines = Lab::new(ordinal.to_string()).and_then(|lab| lab.run(probe));
                let told = lines.unwrap_or_else(|failed| vec![format!("failed: {failed}")]);
                *seen.lock().expect("nobody panics") = told;
            });
        }
    });
    let lines = seen.into_iter().map(|seen| seen.into_inner());
    lines.map(|lines| lines.expect("nobody panics")).collect()
}

fn ip(arguments: &str) -> Result<(), String> {
    let done = Command::new("ip").args(arguments.split(' ')).output();
    let done = done.map_err(|error| format!("ip: {error}"))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(format!(
            "ip {arguments}: {}",
            String::from_utf8_lossy(&done.stderr).trim()
        )),
    }
}

/// What runs on a machine.
struct Part {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Part {
    fn begin(&mut self) {
        if let Some(mut input) = self.child.stdin.take() {
            let _ = input.write_all(b"\n");
        }
    }
}

/// Two machines and a router.
struct Lab {
    name: String,
}

impl Lab {
    fn new(name: String) -> Result<Self, String> {
        let name = format!("squall{}-{name}", std::process::id());
        let lab = Lab { name };
        let router = lab.of("r");
        ip(&format!("netns add {router}"))?;
        lab.forwards(true, true)?;
        lab.add("c", 1)?;
        lab.add("s", 2)?;
        Ok(lab)
    }

    fn of(&self, part: &str) -> String {
        format!("{}{part}", self.name)
    }

    /// A machine, and its link to the router.
    fn add(&self, part: &str, network: u8) -> Result<(), String> {
        let (router, machine) = (self.of("r"), self.of(part));
        ip(&format!("netns add {machine}"))?;
        ip(&format!(
            "-n {machine} link add eth type veth peer name {part} netns {router}"
        ))?;
        ip(&format!(
            "-n {router} addr add 10.{network}.0.1/24 dev {part}"
        ))?;
        ip(&format!("-n {router} link set {part} up"))?;
        ip(&format!(
            "-n {machine} addr add 10.{network}.0.2/24 dev eth"
        ))?;
        ip(&format!("-n {machine} link set eth up"))?;
        ip(&format!("-n {machine} link set lo up"))?;
        let other = 3 - network;
        ip(&format!(
            "-n {machine} route add 10.{other}.0.0/24 via 10.{network}.0.1"
        ))
    }

    /// Whether the router forwards what comes from the client, and what comes from the server.
    fn forwards(&self, from_client: bool, from_server: bool) -> Result<(), String> {
        let script = format!(
            "cd /proc/sys/net/ipv4/conf; echo 1 > all/forwarding; \
             for one in c s; do [ ! -e $one ] || echo 1 > $one/forwarding; done; \
             [ {0} = 1 ] || echo 0 > c/forwarding; [ {1} = 1 ] || echo 0 > s/forwarding",
            u8::from(from_client),
            u8::from(from_server),
        );
        let router = self.of("r");
        let done = Command::new("ip")
            .args(["netns", "exec", &router, "sh", "-c", &script])
            .output();
        let done = done.map_err(|error| error.to_string())?;
        match done.stderr.is_empty() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
        }
    }

    /// Starts a part, which waits to be told to begin.
    fn start(&self, probe: &Probe, part: &str) -> Result<Part, String> {
        let machine = self.of(&part[..1]);
        let own = env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new("ip")
            .args(["netns", "exec", &machine])
            .arg(own)
            .args(["plays_a_part", "--exact", "--nocapture", "--test-threads=1"])
            .envs([("PROBE", probe.name), ("PART", part), ("SERVER", SERVER)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut output = BufReader::new(child.stdout.take().ok_or("it has no output")?);
        let mut line = String::new();
        while !line.contains(READY) {
            line.clear();
            match output.read_line(&mut line) {
                Ok(1..) => {}
                _ => return Err(format!("the {part} does not begin")),
            }
        }
        Ok(Part { child, output })
    }

    fn run(&self, probe: &Probe) -> Result<Vec<String>, String> {
        let mut server = self.start(probe, "server")?;
        let mut client = self.start(probe, "client")?;
        server.begin();
        client.begin();
        let began = Instant::now();
        for (at, step) in probe.steps {
            thread::sleep(Duration::from_millis(*at).saturating_sub(began.elapsed()));
            match step {
                Step::Cut => self.forwards(false, false)?,
                Step::CutBack => self.forwards(true, false)?,
                Step::Heal => self.forwards(true, true)?,
                Step::PowerLoss => {
                    self.forwards(false, false)?;
                    server.child.kill().map_err(|error| error.to_string())?;
                    ip(&format!("netns del {}", self.of("s")))?;
                }
                Step::Boot => {
                    // Its link goes with the last socket of the old machine, some time later.
                    let _ = ip(&format!("-n {} link del s", self.of("r")));
                    self.add("s", 2)?;
                    server = self.start(probe, "server")?;
                    server.begin();
                    self.forwards(true, true)?;
                }
            }
        }
        while began.elapsed() < PATIENCE && matches!(client.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(20));
        }
        // What the client's end leads to, the server sees.
        thread::sleep(Duration::from_millis(200));
        let mut lines = Vec::new();
        for mut part in [client, server] {
            let _ = part.child.kill();
            let _ = part.child.wait();
            let mut told = String::new();
            let _ = part.output.read_to_string(&mut told);
            let seen = told.lines().filter_map(|line| line.split_once(MARK));
            lines.extend(seen.map(|(_, line)| line.to_owned()));
        }
        Ok(lines)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for part in ["c", "s", "r"] {
            let _ = ip(&format!("netns del {}", self.of(part)));
        }
    }
}
