//! Executables that nobody here has compiled: whatever Debian's packages hold.

use std::time::Duration;

use squall::{Client, run::Outcome, seed::Seed, storm::Plan, trace::text};
use squall_kernel::Processes;

fn trace(outcome: &Outcome) -> String {
    let trace = outcome.trace.as_ref().expect("it is kept");
    text::render(trace, &text::Options::default())
}

/// Runs an executable for half a second, without a storm. What happened.
fn shown(arguments: &'static [&'static str]) -> String {
    let outcome =
        squall::storms("executable")
            .plan(Plan::calm())
            .one(Seed(1), move |sim: &squall::Sim| {
                sim.exec("machine", arguments.iter().copied())
                    .env("GREETING", "good day");
                sim.client("waits", async |client: Client| {
                    client.sleep(Duration::from_millis(500)).await;
                });
            });
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
    let trace = shown(&["date", "-u", "+%F"]);
    assert!(
        trace.contains("· 2025-12-31") || trace.contains("· 2026-01-01"),
        "{trace}"
    );
}

#[test]
fn a_program_sees_the_files_of_its_node() {
    let trace = shown(&["cat", "/etc/hostname"]);
    assert!(trace.contains("· machine"), "{trace}");
}

#[test]
fn a_node_s_disk_begins_with_what_it_is_given() {
    let outcome =
        squall::storms("executable")
            .plan(Plan::calm())
            .one(Seed(1), |sim: &squall::Sim| {
                let files = [("/data/shelf", &b"tea and mugs\n"[..], 0o600)];
                let disk = squall::disk::Snapshot::of_files(&files).expect("it is made");
                sim.exec("machine", ["cat", "/data/shelf"])
                    .begins_with(disk.into());
                sim.client("waits", async |client: Client| {
                    client.sleep(Duration::from_millis(500)).await;
                });
            });
    let trace = trace(&outcome);
    assert!(outcome.violations.is_empty(), "{trace}");
    assert!(trace.contains("· tea and mugs"), "{trace}");
}

#[test]
fn an_installation_that_lies_elsewhere_is_seen_with_what_belongs_to_it() {
    let name = format!("squall installation {}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    for part in ["bin", "share"] {
        std::fs::create_dir_all(folder.join(part)).expect("it is made");
    }
    let [program, text] = ["bin/shows", "share/text"].map(|part| folder.join(part));
    std::fs::copy("/bin/cat", &program).expect("it is copied");
    std::fs::write(&text, "what belongs to it").expect("it is written");
    let arguments = [program, text].map(|path| &*path.display().to_string().leak());
    let trace = shown(Vec::from(arguments).leak());
    std::fs::remove_dir_all(&folder).expect("it was there");
    assert!(trace.contains("· what belongs to it"), "{trace}");
}

#[test]
fn a_run_whose_programs_the_machine_does_not_start_is_void() {
    let outcome =
        squall::storms("executable")
            .plan(Plan::calm())
            .one(Seed(1), |sim: &squall::Sim| {
                // Nobody has said that there will be programs: there is no process to fork them from.
                let begins = async |node| squall_kernel::Command::new("true").run(node).await;
                sim.node("machine", begins);
                sim.client("waits", async |client: Client| {
                    client.sleep(Duration::from_millis(500)).await;
                });
            });
    let squall::run::Verdict::HarnessFailed(why) = outcome.verdict else {
        panic!("{}", trace(&outcome));
    };
    assert!(why.contains("machine cannot be started"), "{why}");
}
