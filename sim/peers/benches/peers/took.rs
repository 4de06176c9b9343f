//! What work takes, in real time and in CPU time: the latter means something while others use the machine.

use std::time::{Duration, Instant};

use nix::sys::{
    prctl,
    resource::{UsageWho, getrusage},
    time::TimeVal,
    wait::wait,
};

/// What something took.
#[derive(Clone, Copy)]
pub struct Took {
    pub wall: Duration,
    /// Of this process and of all that came of it.
    pub cpu: Duration,
}

/// From now on the processes of programs, whose parents die with their storms, come to this one: their time is counted.
pub fn adopt_orphans() {
    prctl::set_child_subreaper(true).expect("Linux can do that");
}

/// Does the work, which leaves no process behind.
pub fn took(work: impl FnOnce()) -> Took {
    let (began, before) = (Instant::now(), used());
    work();
    let wall = began.elapsed();
    while wait().is_ok() {}
    let cpu = used() - before;
    Took { wall, cpu }
}

fn used() -> Duration {
    let time = |time: TimeVal| Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1_000);
    [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN]
        .map(|who| getrusage(who).expect("it is told"))
        .iter()
        .map(|usage| time(usage.user_time()) + time(usage.system_time()))
        .sum()
}
