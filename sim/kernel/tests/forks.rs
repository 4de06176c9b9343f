//! Storms in processes of their own, and what happens to programs that end theirs.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use squall::{
    Client, Node, Processes, Sim,
    campaign::{Campaign, Seeds},
    isolation::End,
    run::{Outcome, Verdict, run},
    scenario::{Scenario, Setup},
    seed::Seed,
    shrink::{Budget, shrink},
    storm::{Plan, Profile},
    unmodified,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_real as tokio;

/// Answers a byte with the next one; on 66 it does what it is told to.
async fn server(deed: fn()) -> std::io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:8080").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let byte = stream.read_u8().await?;
        if byte == 66 {
            deed();
        }
        let _ = stream.write_u8(byte + 1).await;
    }
}

async fn ask(byte: u8) -> std::io::Result<u8> {
    let mut stream = TcpStream::connect("server:8080").await?;
    stream.write_u8(byte).await?;
    stream.read_u8().await
}

/// A server does something that ends its process, and is asked again and again until it answers.
fn one(deed: fn()) -> Outcome {
    let storms = squall::storms("deeds").plan(Plan::calm());
    storms.one(Seed(1), move |sim| {
        sim.process("server", move || server(deed));
        let client = async |client: Client| {
            assert_eq!(ask(1).await.ok(), Some(2));
            assert!(ask(66).await.is_err(), "it is gone");
            while ask(3).await.ok() != Some(4) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            client.ok("ask", "it is back");
        };
        sim.client("client", unmodified(client));
    })
}

fn ends(outcome: &Outcome) -> Vec<String> {
    let trace = outcome.trace.as_ref().expect("it is whole");
    let told = trace.events.iter().map(|event| format!("{:?}", event.what));
    told.filter(|what| what.contains("Node {")).collect()
}

#[track_caller]
fn goes_on(outcome: &Outcome, why: &str) {
    assert_eq!(outcome.counts.get("calls ok"), Some(&1), "{outcome:?}");
    assert!(!outcome.programs.is_empty());
    let ends = ends(outcome);
    assert!(
        ends.iter().any(|what| what.contains(why)),
        "{why}: {ends:?}"
    );
}

#[test]
fn a_program_that_exits_is_started_again() {
    let outcome = one(|| std::process::exit(3));
    assert_eq!(
        outcome.verdict,
        Verdict::Survived,
        "{:?}",
        outcome.violations
    );
    goes_on(&outcome, "status 3");
}

#[test]
fn a_program_that_aborts_is_started_again() {
    let outcome = one(|| std::process::abort());
    goes_on(&outcome, "SIGABRT");
}

#[test]
fn a_program_that_reads_where_nothing_is_is_started_again() {
    // SAFETY: it is not.
    let outcome = one(|| unsafe {
        std::ptr::without_provenance::<u8>(8).read_volatile();
    });
    goes_on(&outcome, "SIGSEGV");
}

#[test]
fn a_program_that_uses_up_its_stack_is_started_again() {
    let outcome = one(|| {
        deep(0);
    });
    goes_on(&outcome, "SIGSEGV");
}

#[test]
fn a_thread_of_a_program_that_uses_up_its_stack_takes_the_program_along() {
    let outcome = one(|| {
        let _ = std::thread::spawn(|| deep(0)).join();
    });
    goes_on(&outcome, "SIGSEGV");
}

#[allow(unconditional_recursion)]
fn deep(n: u64) -> u64 {
    let page = std::hint::black_box([n; 64]);
    deep(page[0] + 1) + page[1]
}

/// A node that is no program brings the run's process down, if the storm has crashed it.
struct Fatal {
    name: &'static str,
    deed: fn(),
}

impl Scenario for Fatal {
    fn name(&self) -> &str {
        self.name
    }
    fn about(&self) -> &str {
        "a node that brings its process down"
    }
    fn profile(&self) -> Profile {
        Profile::new(&["server", "fatal"], &[("client", "server")])
    }
    fn isolation(&self) -> Option<squall::Isolation> {
        Some(squall::in_child)
    }
    fn build(&self, sim: &Sim, _: &Setup) {
        sim.process("server", || server(|| ()));
        let (deed, boots) = (self.deed, std::sync::Arc::new(AtomicU64::new(0)));
        sim.node("fatal", move |node: Node| {
            let boots = boots.clone();
            async move {
                node.sleep(Duration::from_millis(1)).await;
                if boots.fetch_add(1, Relaxed) > 0 {
                    deed();
                }
                std::future::pending::<std::io::Result<()>>().await
            }
        });
        let client = async |_| tokio::time::sleep(Duration::from_secs(5)).await;
        sim.client("client", unmodified(client));
    }
}

fn brings_down(deed: fn(), tag: &str) {
    let scenario = Fatal {
        name: "fatal",
        deed,
    };
    let campaign = Campaign::over(&scenario, Seeds::up_to(20));
    let totals = campaign.run(&mut |_| ());
    assert_eq!(totals.tally.runs, 20);
    assert!(totals.mismatches.is_empty());
    let found = totals.failures.iter();
    let tags: BTreeSet<&str> = found.map(|failure| &*failure.signature.tag).collect();
    assert_eq!(tags, [tag].into(), "{:?}", totals.failures);
}

#[test]
fn a_run_that_brings_its_process_down_is_a_finding() {
    brings_down(|| std::process::abort(), "SIGABRT");
    brings_down(|| std::process::exit(4), "exit");
    brings_down(
        || {
            deep(0);
        },
        "stack overflow",
    );
    // SAFETY: it is not.
    brings_down(
        || unsafe {
            std::ptr::without_provenance::<u8>(8).read_volatile();
        },
        "SIGSEGV",
    );
}

#[test]
fn such_a_finding_is_made_small_and_replayed() {
    let scenario = Fatal {
        name: "fatal",
        deed: || std::process::abort(),
    };
    let campaign = Campaign {
        stop_at_first: true,
        ..Campaign::over(&scenario, Seeds::up_to(50))
    };
    let totals = campaign.run(&mut |_| ());
    let found = totals
        .failures
        .first()
        .expect("some storm crashes the node");
    let spec = campaign.spec(found.seed);
    let budget = Budget {
        runs: 100,
        ..Budget::default()
    };
    let shrunk = shrink(&scenario, &spec, &found.signature, budget).expect("it happens again");
    assert_eq!(shrunk.after.faults, 1, "{:?}", shrunk.spec.plan);
    let again = run(&scenario, &shrunk.spec, true);
    assert!(again.shows(&found.signature), "{again:?}");
    let events = &again.trace.expect("it is whole").events;
    assert!(
        events.len() > 5,
        "what happened until then is known: {events:?}"
    );
    assert!(again.faults[0].fired.is_some());
}

static STORMS: AtomicU64 = AtomicU64::new(0);

#[test]
fn what_a_storm_leaves_in_static_variables_ends_with_it() {
    let storms = squall::storms("statics").seeds(30).plan(Plan::calm());
    storms.run(|sim| {
        sim.process("server", || server(|| ()));
        let client = async |_| {
            assert_eq!(STORMS.fetch_add(1, Relaxed), 0, "another storm was here");
        };
        sim.client("client", unmodified(client));
    });
    assert_eq!(STORMS.load(Relaxed), 0);
}

#[test]
fn a_world_without_programs_is_not_forked() {
    let builds = AtomicU64::new(0);
    let storms = squall::storms("in place").seeds(10).plan(Plan::calm());
    storms.run(|sim| {
        builds.fetch_add(1, Relaxed);
        sim.client("client", async |_| ());
    });
    assert!(builds.load(Relaxed) >= 10);
}

/// A server and a client, neither of whom brings anything down.
struct Alike;

impl Scenario for Alike {
    fn name(&self) -> &str {
        "alike"
    }
    fn about(&self) -> &str {
        "a server and a client"
    }
    fn profile(&self) -> Profile {
        Profile::new(&["server"], &[("client", "server")])
    }
    fn isolation(&self) -> Option<squall::Isolation> {
        Some(squall::in_child)
    }
    fn build(&self, sim: &Sim, _: &Setup) {
        sim.process("server", || server(|| ()));
        let client = async |client: Client| {
            for byte in 0..10 {
                while timeout(Duration::from_secs(1), ask(byte)).await.is_err() {}
                client.ok(
                    "ask",
                    &format!("{byte} at {:?}", std::time::SystemTime::now()),
                );
            }
        };
        sim.client("client", unmodified(client));
    }
}

fn hashes(seeds: std::ops::Range<u64>) -> Vec<String> {
    let hash = |seed| {
        let spec = squall::run::Spec::of(&Alike, Seed(seed));
        format!("run {seed} {:x}", run(&Alike, &spec, false).hash)
    };
    seeds.map(hash).collect()
}

const COMPARED: u64 = 200;

#[test]
fn a_run_is_the_same_after_others_and_beside_others() {
    let alone = hashes(0..COMPARED);
    hashes(1_000..1_100);
    assert_eq!(alone, hashes(0..COMPARED), "after a hundred others");
    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for seed in 2_000.. {
                if over.load(Relaxed) {
                    break;
                }
                hashes(seed..seed + 1);
            }
        });
        let beside = hashes(0..COMPARED);
        over.store(true, Relaxed);
        assert_eq!(alone, beside, "beside a busy thread");
    });
}

/// Makes a test that has its own program run print something, and do nothing else.
const ALONE: &str = "SQUALL_TEST_IS_ALONE";

fn this_program(test: &str) -> Command {
    let mut this = Command::new(std::env::current_exe().expect("a test knows its program"));
    this.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    this.env(ALONE, "1");
    this
}

#[test]
fn a_run_is_the_same_in_a_fresh_process() {
    if std::env::var_os(ALONE).is_some() {
        println!();
        for line in hashes(0..COMPARED) {
            println!("{line}");
        }
        return;
    }
    let output = this_program("a_run_is_the_same_in_a_fresh_process").output();
    let printed = String::from_utf8(output.expect("it runs").stdout).expect("it is text");
    let there: Vec<&str> = printed
        .lines()
        .filter(|line| line.starts_with("run "))
        .collect();
    assert_eq!(there, hashes(0..COMPARED));
}

#[test]
fn a_child_ends_with_its_parent() {
    if std::env::var_os(ALONE).is_some() {
        let _ = squall::in_child(&|| {
            println!("\nchild {}", std::process::id());
            loop {
                std::hint::spin_loop();
            }
        });
        return;
    }
    let mut parent = this_program("a_child_ends_with_its_parent");
    let mut parent = parent.stdout(Stdio::piped()).spawn().expect("it runs");
    let lines = BufReader::new(parent.stdout.take().expect("it is piped")).lines();
    let mut pids = lines.map_while(Result::ok);
    let pid = pids.find_map(|line| Some(line.strip_prefix("child ")?.to_owned()));
    let child = format!("/proc/{}", pid.expect("it says so"));
    assert!(fs::exists(&child).expect("Linux has it"));
    parent.kill().expect("it runs");
    parent.wait().expect("it was killed");
    // The pipe is open for as long as the child lives.
    assert_eq!(pids.next(), None);
}

#[test]
fn a_child_that_waits_for_a_lock_of_another_thread_is_made_anew() {
    static LOCK: Mutex<()> = Mutex::new(());
    let held = LOCK.lock();
    let child = std::thread::scope(|threads| {
        let child = threads.spawn(|| {
            squall::in_child(&|| {
                drop(LOCK.lock());
                vec![7]
            })
        });
        // Should the first child be made later than this, it is the first that sees the lock free.
        std::thread::sleep(Duration::from_secs(1));
        drop(held);
        child.join().expect("nothing panics")
    });
    assert_eq!(child.expect("it is forked").end, End::Returned(vec![7]));
}

#[test]
fn children_leave_no_descriptors_behind() {
    let open = || fs::read_dir("/proc/self/fd").expect("Linux has it").count();
    let before = open();
    for _ in 0..20 {
        one(|| ());
    }
    assert!(open() <= before + 8, "other tests may have some");
}
