//! The processes, from a thread that must not start any: whatever the machine itself is asked for is done aside.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::{self, Sender},
    },
    time::{Duration, Instant},
};

use squall::storm::Plan;
use squall_services::{settings::Settings, shared::payment_provider::Rule};

use super::{Place, clock::Clock, forecast::Weather, links::Links, pipe::Pipe, told::Told};
use crate::lock;

/// How long a process may take until it listens.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// How much is told of the log of a process that does not start.
const LAST_LINES: usize = 10;

/// The system whose services run.
const SYSTEM: &str = "rewards";

/// Its payment gateway.
const GATEWAY: &str = "pg";

/// Something to be done on a thread of its own.
type Job = Box<dyn FnOnce() + Send>;

/// How it is with a process.
#[derive(Clone, Debug)]
pub(super) enum Life {
    /// It was killed, or never started.
    Down,
    Starting,
    Up,
    /// It ended by itself.
    Ended(String),
}

struct Process {
    life: Life,
    /// Counts its lives: who looks after an earlier one says no more.
    number: u64,
    child: Option<Child>,
}

/// The processes of a system.
pub(super) struct System {
    program: PathBuf,
    store: Option<String>,
    folder: PathBuf,
    ports: BTreeMap<&'static str, u16>,
    settings: OnceLock<String>,
    processes: Mutex<BTreeMap<&'static str, Process>>,
    jobs: Sender<Job>,
    /// How the payment gateway is to behave.
    rules: Mutex<Option<String>>,
    telling: Mutex<()>,
    /// How many connections there are on which a process is asked for something.
    asked: Arc<AtomicUsize>,
    /// How long nothing may happen until all is taken for quiet.
    pub quiet: Duration,
    pub links: Links,
    pub clock: Arc<Clock>,
    pub told: Told,
    pub weather: Weather,
}

impl System {
    pub fn new(place: &Place, services: &[&'static str]) -> io::Result<Arc<System>> {
        let folder = std::env::temp_dir().join(format!("squall-live-storm-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let told = Told::new(&folder.join("commits"))?;
        let ports = free_ports(services)?;
        let (jobs, given) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for job in given {
                std::thread::spawn(job);
            }
        });
        let down = |service: &&'static str| {
            let process = Process {
                life: Life::Down,
                number: 0,
                child: None,
            };
            (*service, process)
        };
        Ok(Arc::new(System {
            program: place.program.clone(),
            store: place.store.clone(),
            folder,
            links: Links::between(&ports)?,
            ports,
            settings: OnceLock::new(),
            processes: Mutex::new(services.iter().map(down).collect()),
            jobs,
            rules: Mutex::default(),
            telling: Mutex::default(),
            asked: Arc::default(),
            quiet: place.quiet,
            clock: Clock::start(),
            told,
            weather: Weather::default(),
        }))
    }

    /// Whether a process is asked for something.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Relaxed) > 0
    }

    pub fn plan(&self, plan: &Plan) {
        self.weather.plan(plan);
    }

    pub fn set_up(&self, settings: &Settings) {
        let settings = serde_json::to_string(settings).expect("settings have only text keys");
        let _ = self.settings.set(settings);
    }

    /// Does a thing on a real thread: in a run there are none.
    pub fn aside(&self, job: impl FnOnce() + Send + 'static) {
        let _ = self.jobs.send(Box::new(job));
    }

    /// Starts all, and waits until each listens.
    ///
    /// # Errors
    /// One does not: its name, what became of it, and the end of its log.
    pub fn start_all(self: &Arc<Self>) -> Result<(), String> {
        let (done, ended) = mpsc::channel();
        let system = self.clone();
        self.aside(move || {
            let names: Vec<&'static str> = system.ports.keys().copied().collect();
            for name in &names {
                system.start(name);
            }
            while names
                .iter()
                .any(|name| matches!(system.life(name), Life::Starting))
            {
                std::thread::sleep(LOOK);
            }
            let not_up = names.iter().find_map(|name| match system.life(name) {
                Life::Up => None,
                Life::Ended(why) => Some(format!("{name}: {why}{}", system.end_of_log(name))),
                life => Some(format!("{name}: {life:?}")),
            });
            let _ = done.send(not_up);
        });
        match ended.recv() {
            Ok(None) => Ok(()),
            Ok(Some(why)) => Err(why),
            Err(error) => Err(error.to_string()),
        }
    }

    fn end_of_log(&self, name: &str) -> String {
        let log = fs::read(self.log(name)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        last.iter().map(|line| format!("\n  {line}")).collect()
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    pub fn life(&self, name: &str) -> Life {
        lock(&self.processes)
            .get(name)
            .map_or(Life::Down, |process| process.life.clone())
    }

    /// Starts a process, unless it lives.
    pub fn start(self: &Arc<Self>, name: &str) {
        let Some((name, _)) = self.ports.get_key_value(name) else {
            return;
        };
        let number = {
            let mut processes = lock(&self.processes);
            let process = processes.get_mut(name).expect("each with a port is there");
            if matches!(process.life, Life::Starting | Life::Up) {
                return;
            }
            process.life = Life::Starting;
            process.number += 1;
            process.number
        };
        let (system, name) = (self.clone(), *name);
        self.aside(move || system.look_after(name, number));
    }

    /// Starts a process and looks after it to its end.
    fn look_after(&self, name: &'static str, number: u64) {
        let mut child = match self.spawn(name) {
            Ok(child) => Some(child),
            Err(error) => {
                let why = format!("{}: {error}", self.program.display());
                return self.lives(name, number, Life::Ended(why));
            }
        };
        let mut listens = false;
        let late = Instant::now() + STARTS_WITHIN;
        loop {
            if let Some(process) = lock(&self.processes).get_mut(name) {
                if process.number != number || matches!(process.life, Life::Down) {
                    // Killed before it was noted down.
                    if let Some(mut child) = child.take() {
                        let _ = child.kill();
                        let _ = child.wait();
                    }
                    return;
                }
                if let Some(child) = child.take() {
                    process.child = Some(child);
                }
                if let Some(Ok(Some(status))) = process.child.as_mut().map(Child::try_wait) {
                    process.life = Life::Ended(status.to_string());
                    return;
                }
            }
            if !listens && TcpStream::connect(self.address(name)).is_ok() {
                listens = true;
                if name == GATEWAY {
                    self.tell_rules();
                }
                self.lives(name, number, Life::Up);
            }
            if !listens && Instant::now() > late {
                self.gives_up(name, number);
                return;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Kills a process that takes too long to start.
    fn gives_up(&self, name: &str, number: u64) {
        let child = match lock(&self.processes).get_mut(name) {
            Some(process) if process.number == number => process.child.take(),
            _ => None,
        };
        if let Some(mut child) = child {
            let _ = child.kill();
            let _ = child.wait();
        }
        let why = format!("it did not listen within {STARTS_WITHIN:?}");
        self.lives(name, number, Life::Ended(why));
    }

    fn lives(&self, name: &str, number: u64, life: Life) {
        if let Some(process) = lock(&self.processes).get_mut(name)
            && process.number == number
            && !matches!(process.life, Life::Down)
        {
            process.life = life;
        }
    }

    fn spawn(&self, name: &str) -> io::Result<Child> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log(name))?;
        let mut command = Command::new(&self.program);
        command
            .args(["--system", SYSTEM, "--service", name, "--until-stdin-ends"])
            .arg(format!("--port={name}={}", self.ports[name]))
            .arg(format!("--data={}", self.folder.display()))
            .arg(format!(
                "--tell-commits={}",
                self.folder.join("commits").display()
            ))
            .env_remove("SQUALL_STORE")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log);
        if let Some(settings) = self.settings.get() {
            command.arg(format!("--settings={settings}"));
        }
        if let Some(store) = &self.store {
            command.env("SQUALL_STORE", store);
        }
        for (to, address) in self.links.from(name) {
            command.arg(format!("--peer={to}={address}"));
        }
        command.spawn()
    }

    /// Kills a process at once.
    pub fn kill(&self, name: &str) {
        let killed = lock(&self.processes).get_mut(name).and_then(|process| {
            process.life = Life::Down;
            process.child.take()
        });
        if let Some(mut child) = killed {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends a signal to a process: not from a run's thread.
    pub fn signal(&self, name: &str, signal: &str) {
        let pid = lock(&self.processes)
            .get(name)
            .and_then(|process| Some(process.child.as_ref()?.id()));
        if let Some(pid) = pid {
            let _ = Command::new("kill")
                .args([signal, &pid.to_string()])
                .status();
        }
    }

    /// Kills all.
    pub fn stop(&self) {
        for name in self.ports.keys() {
            self.kill(name);
        }
    }

    /// Forgets what they kept, unless it is asked for. Returns where it is, if it is still there.
    pub fn clear(&self, keep: bool) -> Option<&Path> {
        let keeps = keep || std::env::var_os("SQUALL_KEEP").is_some();
        if !keeps {
            let _ = fs::remove_dir_all(&self.folder);
        }
        keeps.then_some(&self.folder)
    }

    fn address(&self, name: &str) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports[name]).into()
    }

    /// Opens a connection to a process.
    pub fn connect(&self, name: &str) -> Arc<Pipe> {
        let (pipe, sent) = Pipe::new(&self.asked);
        let (address, end) = (self.address(name), pipe.clone());
        self.aside(move || {
            let Ok(mut stream) = TcpStream::connect(address) else {
                return end.ends();
            };
            let _ = stream.set_nodelay(true);
            let Ok(mut back) = stream.try_clone() else {
                return end.ends();
            };
            let receives = std::thread::spawn(move || {
                let mut bytes = vec![0; 16 << 10];
                while let Ok(read @ 1..) = back.read(&mut bytes) {
                    end.receives(&bytes[..read]);
                }
                end.ends();
            });
            for bytes in sent {
                if bytes.is_empty() || stream.write_all(&bytes).is_err() {
                    break;
                }
            }
            let _ = stream.shutdown(Shutdown::Write);
            let _ = receives.join();
        });
        pipe
    }

    /// Tells the payment gateway how to behave, now and whenever it starts.
    pub fn behaves(self: &Arc<Self>, rules: &[Rule]) {
        let rules = serde_json::to_string(rules).expect("rules are plain");
        *lock(&self.rules) = Some(rules);
        let system = self.clone();
        self.aside(move || system.tell_rules());
    }

    fn tell_rules(&self) {
        // One after the other, so that the last to be told are the last that were given.
        let _telling = lock(&self.telling);
        let Some(body) = lock(&self.rules).clone() else {
            return;
        };
        let request = format!(
            "PUT /behaviour HTTP/1.1\r\nhost: {GATEWAY}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if let Ok(mut stream) = TcpStream::connect(self.address(GATEWAY)) {
            let _ = stream.set_read_timeout(Some(STARTS_WITHIN));
            let _ = stream.write_all(request.as_bytes());
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
}

fn free_ports(services: &[&'static str]) -> io::Result<BTreeMap<&'static str, u16>> {
    let taken = services.iter().map(|name| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok((*name, listener))
    });
    // All at once, so that no two get the same.
    let taken = taken.collect::<io::Result<Vec<_>>>()?;
    taken
        .iter()
        .map(|(name, listener)| Ok((*name, listener.local_addr()?.port())))
        .collect()
}
