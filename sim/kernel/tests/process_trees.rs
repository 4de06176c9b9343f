//! Executables that fork, execute others, signal each other, wait for each other and share memory.

use std::{path::Path, time::Duration};

use squall::{Client, run::Outcome, seed::Seed, storm::Plan};
use squall_core::event::What;
use squall_kernel::Processes;

fn runs(seed: u64, arguments: Vec<String>) -> Outcome {
    let outcome = squall::storms("process trees").plan(Plan::calm()).one(
        Seed(seed),
        move |sim: &squall::Sim| {
            sim.exec("machine", arguments.clone());
            sim.client("waits", async |client: Client| {
                client.sleep(Duration::from_secs(5)).await;
            });
        },
    );
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
    outcome
}

/// What it says until it first ends.
fn says(arguments: Vec<String>) -> Vec<String> {
    let outcome = runs(1, arguments);
    let trace = outcome.trace.as_ref().expect("it is kept");
    let mut lines = Vec::new();
    for event in &trace.events {
        if let What::Log { message, .. } = &event.what {
            if message == "over" {
                return lines;
            }
            lines.push(message.to_string());
        }
    }
    panic!("it does not come to its end: {lines:?}");
}

fn in_shell(script: &str) -> Vec<String> {
    // The shell waits for ever then: it is not started anew.
    let script = format!("{script}\necho over; while :; do sleep 100; done");
    says(vec!["bash".into(), "-c".into(), script])
}

fn in_python(script: &str) -> Option<Vec<String>> {
    const PYTHON: &str = "/usr/bin/python3";
    if !Path::new(PYTHON).exists() {
        eprintln!("left out: there is no {PYTHON}");
        return None;
    }
    let script = format!("{script}\nprint('over', flush=True)\nimport time; time.sleep(1000)");
    Some(says(vec![PYTHON.into(), "-uc".into(), script]))
}

#[test]
fn a_shell_runs_pipelines_and_hears_how_they_end() {
    let lines = in_shell(
        "echo one two three | tr ' ' '\\n' | wc -l
         (exit 7); echo $?
         false || echo failed
         x=$(echo inner; echo more >&2); echo got $x",
    );
    assert_eq!(lines, ["3", "7", "failed", "more", "got inner"]);
}

#[test]
fn children_run_beside_their_parent_until_they_are_waited_for() {
    let lines = in_shell(
        "exec 2>/dev/null
         for n in 3 1 2; do (sleep 0.$n; echo $n) & done
         wait; echo all
         sleep 50 & kill $!; wait $!; echo $?
         sleep 50 & kill -9 $!; wait $!; echo $?",
    );
    assert_eq!(lines, ["1", "2", "3", "all", "143", "137"]);
}

#[test]
fn handlers_run_and_are_forgotten_by_other_programs() {
    let lines = in_shell(
        "exec 2>/dev/null
         trap 'echo caught' USR1; kill -USR1 $$
         bash -c 'kill -USR1 $$'; echo $?
         trap '' USR1; bash -c 'kill -USR1 $$; echo still here'",
    );
    assert_eq!(lines, ["caught", "138", "still here"]);
}

#[test]
fn an_executed_program_keeps_its_process() {
    let lines = in_shell("bash -c 'echo $$; exec bash -c \"echo \\$\\$\"'");
    assert_eq!(lines[0], lines[1]);
    assert_eq!(
        in_shell("/no/such/program; echo $?")
            .last()
            .map(String::as_str),
        Some("127")
    );
}

#[test]
fn scripts_are_run_by_what_they_name() {
    let lines = in_shell(
        "printf '#!/bin/sh -e\\necho $0 $1\\nfalse\\necho never\\n' > /tmp/script
         /tmp/script word; echo $?; chmod +x /tmp/script; /tmp/script word; echo $?",
    );
    assert_eq!(lines[1..], ["126", "/tmp/script word", "1"]);
}

#[test]
fn what_the_first_process_leaves_behind_ends_with_it() {
    let script = "test -e /tmp/again && echo again && exec sleep 100000
        touch /tmp/again; (sleep 0.2; echo never) & exit 0";
    let outcome = runs(1, vec!["bash".into(), "-c".into(), script.into()]);
    let trace = outcome.trace.as_ref().expect("it is kept");
    let said = |text: &str| {
        let is_it = |what: &What| matches!(what, What::Log { message, .. } if message == text);
        trace.events.iter().any(|event| is_it(&event.what))
    };
    assert!(said("again") && !said("never"));
}

#[test]
fn a_process_tree_is_the_same_for_the_same_seed() {
    let script = "for n in 1 2 3 4; do (echo $n; echo $RANDOM $$ $BASHPID) & done; wait
        exec sleep 100000";
    let hashes = [5, 5, 6].map(|seed| {
        let arguments = vec!["bash".to_owned(), "-c".to_owned(), script.to_owned()];
        runs(seed, arguments).hash
    });
    assert_eq!(hashes[0], hashes[1]);
    assert_ne!(hashes[0], hashes[2]);
}

#[test]
fn children_are_told_apart_and_leave_their_status() {
    let lines = in_python(
        "
import os, signal
one = os.fork() or os._exit(3)
two = os.fork() or os.kill(os.getpid(), signal.SIGTERM)
print(os.waitpid(two, 0) == (two, signal.SIGTERM))
print(os.waitid(os.P_PID, one, os.WEXITED | os.WNOWAIT).si_status)
print(os.waitpid(-1, os.WNOHANG) == (one, 3 << 8))
try: os.wait()
except ChildProcessError: print('none')
caught = []
signal.signal(signal.SIGCHLD, lambda number, frame: caught.append(number))
child = os.fork() or os._exit(0)
os.waitpid(child, 0)
print(len(caught))
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
child = os.fork() or os._exit(0)
try: os.waitpid(child, 0)
except ChildProcessError: print('nothing left')
reader, writer = os.pipe()
if not os.fork():
    if not os.fork():
        while os.getppid() != 1: os.sched_yield()
        os.write(writer, b'orphan'); os._exit(0)
    os._exit(0)
print(os.read(reader, 10))
",
    );
    if let Some(lines) = lines {
        let expected = [
            "True",
            "3",
            "True",
            "none",
            "1",
            "nothing left",
            "b'orphan'",
        ];
        assert_eq!(lines, expected);
    }
}

#[test]
fn groups_and_sessions_are_signalled_together() {
    let lines = in_python(
        "
import os, signal
children = []
for n in range(2):
    child = os.fork()
    if not child:
        os.setpgid(0, children[0] if children else 0)
        signal.pause()
    os.setpgid(child, children[0] if children else 0)
    children.append(child)
print(os.getpgid(children[1]) == children[0], os.getsid(children[1]) == os.getsid(0))
os.killpg(children[0], signal.SIGHUP)
print([os.waitpid(child, 0)[1] for child in children])
child = os.fork()
if not child:
    print(os.setsid() is None and os.getsid(0) == os.getpid())
    os._exit(0)
os.waitpid(child, 0)
try: os.killpg(children[0], 0)
except ProcessLookupError: print('gone')
",
    );
    if let Some(lines) = lines {
        assert_eq!(lines, ["True True", "[1, 1]", "True", "gone"]);
    }
}

#[test]
fn processes_share_memory_files_and_sockets() {
    let lines = in_python(
        "
import mmap, os, socket, multiprocessing
from multiprocessing import shared_memory
shared = mmap.mmap(-1, 4096)
private = bytearray(1)
child = os.fork()
if not child:
    shared[:5], private[0] = b'child', 1
    os._exit(0)
os.waitpid(child, 0)
print(shared[:5], private[0])
queue = multiprocessing.Queue()
worker = multiprocessing.Process(target=lambda: queue.put('from a worker'))
worker.start(); print(queue.get()); worker.join()
named = shared_memory.SharedMemory(name='squall', create=True, size=100)
again = shared_memory.SharedMemory(name='squall')
again.buf[0] = 42; print(named.buf[0]); again.close(); named.close(); named.unlink()
descriptor = os.open('/tmp/file', os.O_CREAT | os.O_RDWR)
child = os.fork()
if not child:
    os.write(descriptor, b'first '); os._exit(0)
os.waitpid(child, 0)
os.write(descriptor, b'second')
print(open('/tmp/file').read())
listener = socket.socket(socket.AF_UNIX); listener.bind('/tmp/socket'); listener.listen()
child = os.fork()
if not child:
    client = socket.socket(socket.AF_UNIX); client.connect('/tmp/socket')
    reader, writer = os.pipe(); os.write(writer, b'through a pipe')
    socket.send_fds(client, [b'along'], [reader]); os._exit(0)
server, _ = listener.accept()
text, (received,), _, _ = socket.recv_fds(server, 10, 1)
print(text, os.read(received, 100), server.recv(1))
",
    );
    if let Some(lines) = lines {
        let expected = [
            "b'child' 0",
            "from a worker",
            "42",
            "first second",
            "b'along' b'through a pipe' b''",
        ];
        assert_eq!(lines, expected);
    }
}
