//! The progress bar.

use indicatif::{ProgressBar, ProgressStyle};

use squall_explore::{campaign::Progress, shrink};
use squall_report::{count, rate, words::several};

/// A bar for `runs` runs; hidden unless it is to be shown. It goes away when it is dropped.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub fn new(shown: bool, name: &str, runs: u64) -> Self {
        if !shown {
            return Bar(ProgressBar::hidden());
        }
        let look = "{prefix:.bold} {bar:30.cyan/blue} {human_pos}/{human_len} {msg} {elapsed}";
        let bar = ProgressBar::new(runs)
            .with_style(ProgressStyle::with_template(look).expect("the template is well-formed"))
            .with_prefix(name.to_owned());
        Bar(bar)
    }

    /// A bar for shrinking a failure, which takes unknown time.
    pub fn shrinking(shown: bool, name: &str) -> Self {
        if !shown {
            return Bar(ProgressBar::hidden());
        }
        let look = "{prefix:.bold} {spinner} {msg} {elapsed}";
        let bar = ProgressBar::new_spinner()
            .with_style(ProgressStyle::with_template(look).expect("the template is well-formed"))
            .with_prefix(name.to_owned());
        Bar(bar)
    }

    pub fn shrinks(&self, progress: shrink::Progress) {
        if self.0.is_hidden() {
            return;
        }
        let shrink::Progress {
            runs,
            runs_max,
            faults,
            requests,
        } = progress;
        self.0.set_position(runs);
        self.0.set_message(format!(
            "shrinks · {} of at most {} runs · left: {}, {} ·",
            count(runs),
            count(runs_max),
            several(faults, "fault"),
            several(requests, "request"),
        ));
    }

    pub fn show(&self, progress: Progress) {
        if self.0.is_hidden() {
            return;
        }
        if let Some(planned) = progress.planned {
            self.0.set_length(planned);
        }
        self.0.set_position(progress.runs);
        self.0.set_message(format!(
            "{} · {} violations ·",
            rate(progress.rate()),
            count(progress.failed)
        ));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
