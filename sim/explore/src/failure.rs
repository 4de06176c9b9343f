//! Failure files: everything that it takes to run a failure again, and to see why it does not come back.

mod build;
mod kept;
mod name;

#[cfg(test)]
mod tests;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub use build::Build;
pub use kept::Kept;

use squall_core::{atomic_file, seed::Seed};
use squall_engine::{
    check::Violation,
    run::{Outcome, Signature, Spec, Verdict, this_program},
    storm::Plan,
    trace::Trace,
};

use crate::shrink::{Effort, Shrunk, Sizes};

/// The version of the format that this build reads and writes.
pub const FAILURE_VERSION: u32 = 1;

/// A failure, as a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureFile {
    /// Format version: [`FAILURE_VERSION`].
    pub version: u32,
    /// What happens, in one sentence.
    pub sentence: String,
    /// The scenario.
    pub scenario: String,
    /// Its shape.
    pub shape: String,
    /// The bug that was planted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plant: Option<String>,
    /// The seed.
    pub seed: Seed,
    /// The storm.
    pub plan: Plan,
    /// The invariant that is broken, or `stuck`.
    pub invariant: String,
    /// The way in which it is.
    pub tag: String,
    /// How the run ends.
    pub verdict: Verdict,
    /// The violation; none if the run does not come to an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violation: Option<Violation>,
    /// The failing run that was found.
    pub before: Sizes,
    /// This one.
    pub after: Sizes,
    /// What it took to make it small.
    pub effort: Effort,
    /// Who wrote this.
    pub build: Build,
    /// The run's hash, as 16 hexadecimal digits.
    pub hash: String,
    /// The run's trace, in brief.
    pub trace: Recorded,
}

/// A trace, as much of it as it takes to see where another one leaves it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// How many events there were.
    pub events: usize,
    /// [`Trace::marks`], four hexadecimal digits an event.
    pub marks: String,
    /// The last lines of its text.
    pub last: Vec<String>,
}

/// Why a failure file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It could not be read.
    #[error("cannot read the failure {path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Damaged, truncated, or something else.
    #[error("{path} is not a failure file, or it is damaged: {reason}")]
    Malformed {
        /// The file.
        path: String,
        /// Where and why.
        reason: String,
    },
    /// Of another version of this program.
    #[error(
        "{path} is a failure file of version {found}; this build reads version {FAILURE_VERSION}: replay it with the \
         build that wrote it"
    )]
    Version {
        /// The file.
        path: String,
        /// Its version.
        found: u64,
    },
}

impl FailureFile {
    /// The file of a failure that was made small.
    pub fn of(signature: &Signature, shrunk: &Shrunk) -> Self {
        let outcome = &shrunk.outcome;
        let trace = outcome.trace.clone().unwrap_or_default();
        FailureFile {
            version: FAILURE_VERSION,
            sentence: String::new(),
            scenario: signature.scenario.clone(),
            shape: signature.shape.clone(),
            plant: shrunk.spec.plant.clone(),
            seed: shrunk.spec.seed,
            plan: outcome.plan.clone(),
            invariant: signature.invariant.clone(),
            tag: signature.tag.clone(),
            verdict: outcome.verdict.clone(),
            violation: outcome.violation(signature).cloned(),
            before: shrunk.before,
            after: shrunk.after,
            effort: shrunk.effort,
            build: Build::present(),
            hash: format!("{:016x}", outcome.hash),
            trace: Recorded::of(&trace),
        }
    }

    /// Reads a failure file.
    ///
    /// # Errors
    ///
    /// When there is none, or what is there is damaged or of another version.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|source| FileError::Unreadable {
            path: name.clone(),
            source,
        })?;
        FailureFile::parse(&text, &name)
    }

    /// Reads one from text; `name` is for messages.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn parse(text: &str, name: &str) -> Result<Self, FileError> {
        let malformed = |reason: String| FileError::Malformed {
            path: name.to_owned(),
            reason,
        };
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|e| malformed(e.to_string()))?;
        if value.get("faults").is_some() {
            let plan = "it is a plan: say SCENARIO --seed S --plan FILE";
            return Err(malformed(plan.to_owned()));
        }
        match value.get("version").and_then(serde_json::Value::as_u64) {
            None => return Err(malformed("it has no \"version\"".to_owned())),
            Some(found) if found != u64::from(FAILURE_VERSION) => {
                return Err(FileError::Version {
                    path: name.to_owned(),
                    found,
                });
            }
            Some(_) => {}
        }
        let file: FailureFile = serde_json::from_str(text).map_err(|e| malformed(e.to_string()))?;
        file.hash_value()
            .ok_or_else(|| malformed("\"hash\" is not 16 hexadecimal digits".to_owned()))?;
        let marks = file.trace.marks().map(|marks| marks.len());
        if marks != Some(file.trace.events) {
            let reason = "\"trace.marks\" is not four hexadecimal digits for each event";
            return Err(malformed(reason.to_owned()));
        }
        Ok(file)
    }

    /// Writes it into a directory, which is made if it is not there. An older file of the same failure is replaced.
    ///
    /// # Errors
    ///
    /// When the directory or the file can't be written.
    pub fn write(&self, directory: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(directory)?;
        let path = directory.join(self.name());
        atomic_file::write(&path, &self.to_json())?;
        Ok(path)
    }

    /// The failure as text.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a failure has only string keys") + "\n"
    }

    /// What the failure is called.
    pub fn signature(&self) -> Signature {
        Signature {
            scenario: self.scenario.clone(),
            shape: self.shape.clone(),
            invariant: self.invariant.clone(),
            tag: self.tag.clone(),
        }
    }

    /// The same with what a person reads of it: what happens in one sentence, and the last lines of its trace, which
    /// [`Recorded::line`] gives back.
    pub fn told(mut self, sentence: &str, trace: &str) -> Self {
        self.sentence = sentence.to_owned();
        self.trace.last = trace.lines().map(str::to_owned).collect();
        self
    }

    /// What to run.
    pub fn spec(&self) -> Spec {
        Spec {
            shape: self.shape.clone(),
            plant: self.plant.clone(),
            seed: self.seed,
            plan: self.plan.clone(),
        }
    }

    /// Whether this is the very run that was recorded.
    pub fn is_same_run(&self, outcome: &Outcome) -> bool {
        self.hash_value() == Some(outcome.hash)
    }

    fn hash_value(&self) -> Option<u64> {
        let hex = self.hash.len() == 16 && self.hash.bytes().all(|b| b.is_ascii_hexdigit());
        hex.then(|| u64::from_str_radix(&self.hash, 16).ok())?
    }

    /// The name of the file: the same for the same failure.
    pub fn name(&self) -> String {
        name::of(self)
    }
}

impl Recorded {
    fn of(trace: &Trace) -> Self {
        let marks = trace.marks();
        Recorded {
            events: marks.len(),
            marks: marks.iter().map(|mark| format!("{mark:04x}")).collect(),
            last: Vec::new(),
        }
    }

    fn marks(&self) -> Option<Vec<u16>> {
        let (marks, rest) = self.marks.as_bytes().as_chunks::<4>();
        let mark = |digits: &[u8; 4]| {
            let hex = digits.iter().all(u8::is_ascii_hexdigit);
            let text = std::str::from_utf8(digits).ok().filter(|_| hex)?;
            u16::from_str_radix(text, 16).ok()
        };
        rest.is_empty()
            .then(|| marks.iter().map(mark).collect())
            .flatten()
    }

    /// The first event at which this trace and another part; none if they do not.
    pub fn parts_from(&self, other: &Trace) -> Option<usize> {
        let (mine, theirs) = (self.marks().unwrap_or_default(), other.marks());
        let both = mine.iter().zip(&theirs);
        let differs = both.clone().position(|(mine, theirs)| mine != theirs);
        differs.or((mine.len() != theirs.len()).then_some(both.len()))
    }

    /// The line of an event, if it is among those that were kept.
    pub fn line(&self, event: usize) -> Option<&str> {
        let from_end = self.events.checked_sub(event)?;
        let place = self.last.len().checked_sub(from_end)?;
        self.last.get(place).map(String::as_str)
    }
}

/// The command that replays a failure file.
pub fn replay_command(path: &Path) -> String {
    format!(
        "{} replay {} --trace",
        this_program(),
        crate::campaign::quoted(&path.to_string_lossy())
    )
}
