//! A process dies again and again.

use super::*;

fault! {
    /// The process dies again and again.
    pub struct CrashLoop = "crash-loop" on Node(node) {
        /// How many times.
        times: u32 = between(2, 5),
        /// Virtual milliseconds that it is down, and then up, each time.
        down_ms: u64 = ms(50, 3_000),
    }
    told "{node} crashes {times} times, every {every}", every = words::seconds(*down_ms);
    in words "{node} crashes {times} times, the first time";
    effective once "a process has died";
}

impl Injectable for CrashLoop {
    fn check(&self) -> Result<(), &'static str> {
        limits::time(self.down_ms)?;
        limits::recurs(self.times)
    }

    fn shows_as(&self) -> &'static [Life] {
        &[Life::Crashes]
    }

    fn after(&self) -> String {
        format!("; each time back {} later", words::time(self.down_ms))
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        let (node, down_ms) = (&self.node, self.down_ms);
        let crash = Crash::new(node, down_ms);
        let mut fewer = vec![Restart::new(node).into(), crash.into()];
        let of = |times| CrashLoop::new(node, times, down_ms);
        fewer.extend((2..self.times).map(|times| of(times).into()));
        fewer
    }

    fn strike(&self, target: &dyn Target) {
        self.again(target, self.times);
    }

    fn again(&self, target: &dyn Target, left: u32) {
        if left > 0 {
            target.kill(&self.node, self.down_ms, Life::Crashes);
        }
        if left > 1 {
            target.again_after(self.down_ms * 2, left - 1);
        }
    }
}
