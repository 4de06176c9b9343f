//! Executables that nobody here has compiled: whatever Debian's packages hold.
//!
//! Those that are not installed are left out, and it is said so; with `SQUALL_SERVERS=1` that is a failure.

use std::time::Duration;

use squall::{Client, run::Outcome, seed::Seed, storm::Plan, trace::text};
use squall_kernel::{Processes, unmodified};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_real as tokio;

/// Whether an executable is installed.
fn has(name: &str) -> bool {
    let dirs = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin"];
    let has = dirs.iter().any(|dir| std::path::Path::new(dir).join(name).exists());
    assert!(
        has || std::env::var_os("SQUALL_SERVERS").is_none(),
        "{name} is not installed, and SQUALL_SERVERS is set"
    );
    if !has {
        eprintln!("NOT RUN: {name} is not installed");
    }
    has
}

fn trace(outcome: &Outcome) -> String {
    let trace = outcome.trace.as_ref().expect("it is kept");
    text::render(trace, &text::Options::default())
}

/// Runs an executable for half a second, without a storm. What happened.
fn shown(arguments: &'static [&'static str]) -> String {
    let outcome = squall::storms("executable").plan(Plan::calm()).one(
        Seed(1),
        move |sim: &squall::Sim| {
            sim.exec("machine", arguments.iter().copied())
                .env("GREETING", "good day");
            sim.client("waits", async |client: Client| {
                client.sleep(Duration::from_millis(500)).await;
            });
        },
    );
    let trace = trace(&outcome);
    assert!(outcome.violations.is_empty(), "{trace}");
    trace
}

#[test]
fn a_program_writes_its_arguments() {
    let trace = shown(&["echo", "what", "it was told"]);
    assert!(trace.contains("· what it was told"), "{trace}");
}

#[test]
fn a_program_has_the_environment_of_its_node_and_no_other() {
    let trace = shown(&["env"]);
    assert!(trace.contains("GREETING=good day"), "{trace}");
    assert!(!trace.contains("PATH="), "{trace}");
}

#[test]
fn a_program_reads_the_clock_of_its_node() {
    let trace = shown(&["date", "-u", "+%Y"]);
    assert!(trace.contains("· 2025") || trace.contains("· 2026"), "{trace}");
}

#[test]
fn a_program_sees_the_files_of_its_node() {
    let trace = shown(&["cat", "/etc/hostname"]);
    assert!(trace.contains("· machine"), "{trace}");
}

#[test]
fn an_interpreter_runs_a_script() {
    if has("python3") {
        let trace = shown(&["python3", "-c", "import os; print(sum(range(10)), os.environ['GREETING'])"]);
        assert!(trace.contains("· 45 good day"), "{trace}");
    }
}

/// Sends a command as text, and reads what is answered.
async fn ask(stream: &mut TcpStream, command: &str) -> std::io::Result<String> {
    stream.write_all(format!("{command}\r\n").as_bytes()).await?;
    let mut answer = [0; 512];
    let len = stream.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..len]).into_owned())
}

fn redis(sim: &squall::Sim) {
    sim.exec(
        "cache",
        [
            "redis-server",
            "--bind",
            "0.0.0.0",
            "--protected-mode",
            "no",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--save",
            "",
        ],
    );
    sim.client(
        "client",
        unmodified(async |client: Client| {
            let mut told = 0;
            while told < 100 {
                let sold = async {
                    let mut stream = TcpStream::connect("cache:6379").await?;
                    loop {
                        let answer = ask(&mut stream, "INCR sold").await?;
                        let Some(number) = answer.strip_prefix(':') else {
                            // It reads its files.
                            return Ok(());
                        };
                        let number: u32 = number.trim().parse().expect("a number");
                        assert!(number > told, "{number} after {told}: a write was taken back");
                        told = number;
                        if told >= 100 {
                            return std::io::Result::Ok(());
                        }
                        ::tokio_real::time::sleep(Duration::from_millis(20)).await;
                    }
                };
                if tokio::time::timeout(Duration::from_secs(5), sold).await.is_err() {
                    client.failed("sell", "no answer");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            client.ok("sell", "100 were sold");
        }),
    );
}

#[test]
fn redis_keeps_what_it_acknowledged_whatever_the_storm() {
    if !has("redis-server") {
        return;
    }
    for seed in 0..20 {
        let outcome = squall::storms("redis").one(Seed(seed), redis);
        let trace = trace(&outcome);
        assert!(outcome.violations.is_empty(), "{seed}: {trace}");
        assert!(trace.contains("100 were sold"), "{seed}: {trace}");
    }
}
