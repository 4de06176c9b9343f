//! Real servers for tests, each in a folder and at a port of its own. Where they are not installed, that is said, and
//! with `SQUALL_SERVERS=required` it is a failure.
#![allow(dead_code, clippy::disallowed_macros, clippy::disallowed_methods)]

use std::{
    fs::{self, File},
    io,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net,
    sync::{Notify, mpsc},
};

/// A new folder of a test's own.
pub fn folder(of: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let (pid, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(format!("squall-{of}-{pid}-{number}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn missing(what: &str) {
    let told = format!("{what} is not installed: this test did not run");
    let required = std::env::var("SQUALL_SERVERS").is_ok_and(|value| value == "required");
    assert!(!required, "{told}");
    eprintln!("{told}");
}

/// A PostgreSQL server with an empty database; killed when dropped.
pub struct PostgreSql {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    server: Child,
}

impl PostgreSql {
    pub fn start() -> Option<PostgreSql> {
        let Some(programs) = programs() else {
            missing("postgresql");
            return None;
        };
        let folder = folder("postgresql");
        let data = folder.join("data");
        fs::create_dir(&data).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        if let Some((user, group)) = unprivileged() {
            for made in [&folder, &data] {
                chown(made, Some(user), Some(group)).unwrap();
            }
        }
        let made = command(&programs.join("initdb"))
            .args(["-A", "trust", "-U", "squall", "-N", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let server = serve(&programs, &folder, port);
        let server = PostgreSql {
            programs,
            folder,
            port,
            server,
        };
        server.wait();
        Some(server)
    }

    /// Where its database is.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://squall@127.0.0.1:{}/{database}", self.port)
    }

    /// Ends the server at once, as a crash does, with all of its processes: they would go on for a while.
    pub fn kill(&mut self) {
        let processes = self.processes();
        let _ = self.server.kill();
        let _ = self.server.wait();
        for process in processes {
            let _ = Command::new("kill").args(["-9", &process]).output();
        }
    }

    pub fn start_again(&mut self) {
        self.server = serve(&self.programs, &self.folder, self.port);
        self.wait();
    }

    /// From now on, what no commit waits for is not written out.
    pub fn stop_wal_writer(&self) {
        let writer = self.processes().into_iter().find(|pid| {
            let told = fs::read_to_string(format!("/proc/{pid}/cmdline"));
            told.is_ok_and(|told| told.contains("walwriter"))
        });
        let writer = writer.expect("a server has a WAL writer");
        let stopped = Command::new("kill").args(["-STOP", &writer]).status();
        assert!(stopped.is_ok_and(|stopped| stopped.success()));
    }

    /// Those that the server has started.
    fn processes(&self) -> Vec<String> {
        let pid = self.server.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        children.split_whitespace().map(str::to_owned).collect()
    }

    /// From now on everybody needs a password, and nobody has one.
    pub fn ask_for_passwords(&mut self) {
        let rules = self.folder.join("data/pg_hba.conf");
        fs::write(rules, "host all all all scram-sha-256\n").unwrap();
        self.kill();
        self.start_again();
    }

    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let port = self.port.to_string();
        let ready = || {
            let mut ask = Command::new(self.programs.join("pg_isready"));
            let asked = ask.args(["-h", "127.0.0.1", "-p", &port]).output();
            asked.is_ok_and(|asked| asked.status.success())
        };
        while !ready() {
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "it does not start: {}", log());
        }
    }
}

impl Drop for PostgreSql {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A way to a server, on which the answer to one COMMIT is lost.
pub struct Cut {
    url: String,
    armed: Arc<AtomicBool>,
    done: mpsc::UnboundedReceiver<()>,
    lose: Arc<Notify>,
}

impl Cut {
    /// Armed from the start.
    pub async fn before(server: &PostgreSql) -> Cut {
        let listener = net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (own, port) = (listener.local_addr().unwrap().port(), server.port);
        let (tell, done) = mpsc::unbounded_channel();
        let (armed, lose) = (Arc::new(AtomicBool::new(true)), Arc::new(Notify::new()));
        let cut = Cut {
            url: format!("postgres://squall@127.0.0.1:{own}/postgres"),
            armed: armed.clone(),
            done,
            lose: lose.clone(),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (armed, tell, lose) = (armed.clone(), tell.clone(), lose.clone());
                tokio::spawn(async move {
                    let server = net::TcpStream::connect(("127.0.0.1", port)).await?;
                    carry(client, server, &armed, &tell, &lose).await
                });
            }
        });
        cut
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The next COMMIT is one whose answer is lost.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Waits until the server has answered it.
    pub async fn commit_is_done(&mut self) {
        self.done.recv().await.unwrap();
    }

    /// Breaks the connection.
    pub fn lose_answer(&self) {
        self.lose.notify_one();
    }
}

async fn carry(
    mut client: net::TcpStream,
    mut server: net::TcpStream,
    armed: &AtomicBool,
    done: &mpsc::UnboundedSender<()>,
    lose: &Notify,
) -> io::Result<()> {
    let (mut asked, mut answered) = ([0; 8192], [0; 8192]);
    loop {
        tokio::select! {
            biased;
            read = client.read(&mut asked) => {
                let asked = &asked[..read?];
                if asked.is_empty() {
                    return Ok(());
                }
                server.write_all(asked).await?;
                let commits = asked.windows(6).any(|word| word == b"COMMIT");
                if commits && armed.swap(false, Ordering::SeqCst) {
                    server.peek(&mut answered).await?;
                    let _ = done.send(());
                    lose.notified().await;
                    return Ok(());
                }
            }
            read = server.read(&mut answered) => {
                let answered = &answered[..read?];
                if answered.is_empty() {
                    return Ok(());
                }
                client.write_all(answered).await?;
            }
        }
    }
}

fn serve(programs: &Path, folder: &Path, port: u16) -> Child {
    let _ = fs::remove_file(folder.join("data/postmaster.pid"));
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"));
    command(&programs.join("postgres"))
        .arg("-D")
        .arg(folder.join("data"))
        .arg("-k")
        .arg(folder)
        .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
        .stderr(Stdio::from(log.unwrap()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// The folder of its programs.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let programs = versions.flatten().map(|version| version.path().join("bin"));
    programs.filter(|bin| bin.join("initdb").exists()).max()
}

/// PostgreSQL does not run as root: as whom it runs then.
fn unprivileged() -> Option<(u32, u32)> {
    let own = fs::metadata("/proc/self").unwrap().uid();
    (own == 0).then_some((65_534, 65_534))
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = unprivileged() {
        command.uid(user).gid(group);
    }
    command
}
