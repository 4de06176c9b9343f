//! What a long campaign has done, in a directory.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use squall_core::seed::Seed;
use squall_engine::run::Signature;

use super::{
    Shard,
    lines::{self, LinesError, Writer},
};
use crate::{
    campaign::{Failure, Totals},
    failure::Build,
};

/// The version of the format that this build reads and writes.
pub const LOG_VERSION: u32 = 1;

/// The file in the directory.
pub const FILE: &str = "log.jsonl";

/// The directory of its failure files, in the directory.
pub const FAILURES: &str = "failures";

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub enum Line {
    /// The first line.
    Header(Header),
    /// What some seeds gave.
    Step(Box<Step>),
    /// A failure that this log had not seen before.
    Finding(Box<Finding>),
}

/// Which seeds the log is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Format version: [`LOG_VERSION`].
    pub version: u32,
    /// The first seed of the range that the shards share.
    pub first: Seed,
    /// The shard; none if the log was united from several, which cannot be gone on with.
    pub shard: Option<Shard>,
}

/// What some seeds of one campaign gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// How storms were found.
    #[serde(alias = "way")]
    pub strategy: String,
    /// The build that ran them; none in logs of builds that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// The first of the seeds; there are as many as runs.
    pub from: Seed,
    /// Real time that it took, in milliseconds.
    pub elapsed_ms: u64,
    /// What they gave.
    pub totals: Totals,
}

/// A failure when it was first seen, for programs that watch the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What it is.
    pub signature: Signature,
    /// The bug that was planted.
    pub plant: Option<String>,
    /// The seed.
    pub seed: Seed,
    /// What was broken, in a line.
    pub message: String,
    /// What happens, in a sentence, if it was made small.
    pub sentence: Option<String>,
    /// The command that runs it again.
    pub replay: String,
}

/// Steps that add up: those of one scenario in one shape with one bug, explored with one strategy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane {
    /// The scenario.
    pub scenario: String,
    /// Its shape.
    pub shape: String,
    /// The bug that was planted.
    pub plant: Option<String>,
    /// How storms were found.
    pub strategy: String,
}

impl Step {
    /// What it adds up with.
    pub fn lane(&self) -> Lane {
        Lane {
            scenario: self.totals.scenario.clone(),
            shape: self.totals.shape.clone(),
            plant: self.totals.plant.clone(),
            strategy: self.strategy.clone(),
        }
    }
}

/// Why a log can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file can't be used.
    #[error(transparent)]
    Lines(#[from] LinesError),
    /// It does not begin with a header.
    #[error(
        "{path} does not begin as a log of `fuzz` does; name a directory that `fuzz --out` has written"
    )]
    Headless {
        /// The file.
        path: String,
    },
    /// Of another version of this program.
    #[error(
        "{path} is a log of version {found}; this build reads version {LOG_VERSION}: use the build that wrote it, or another directory"
    )]
    Version {
        /// The file.
        path: String,
        /// Its version.
        found: u32,
    },
    /// It is about other seeds.
    #[error(
        "{path} holds the shard {shard} of the seeds from {first} on; go on with `--shard {shard} --from {first}`, or use another directory"
    )]
    Other {
        /// The file.
        path: String,
        /// Its shard.
        shard: Shard,
        /// The first seed of its range.
        first: Seed,
    },
    /// It was written by `merge`.
    #[error(
        "{path} was united from several logs, and cannot be gone on with; name another directory"
    )]
    United {
        /// The file.
        path: String,
    },
    /// Two logs to be united have run the same seeds.
    #[error(
        "{one} and {other} have both run {scenario} with the seed {seed}: their sum would count it twice; leave one of them out"
    )]
    Overlap {
        /// A log.
        one: String,
        /// Another.
        other: String,
        /// What both ran.
        scenario: String,
        /// The first seed that both ran.
        seed: Seed,
    },
}

/// What a long campaign has done so far.
#[derive(Debug)]
pub struct Log {
    /// Which seeds it is about.
    pub header: Header,
    steps: Vec<Step>,
    done: BTreeMap<Lane, u64>,
    /// The command that replays each failure that was told.
    replays: BTreeMap<(Signature, Option<String>), String>,
    writer: Option<Writer>,
}

impl Log {
    /// A log that is kept in memory only.
    pub fn unwritten(header: Header) -> Self {
        Log {
            header,
            steps: Vec::new(),
            done: BTreeMap::new(),
            replays: BTreeMap::new(),
            writer: None,
        }
    }

    /// Goes on with the log in this directory; begins it if there is none.
    ///
    /// # Errors
    ///
    /// When it can't be used, or is about other seeds.
    pub fn open(directory: &Path, header: Header) -> Result<Self, LogError> {
        fs::create_dir_all(directory).map_err(|source| LinesError::io(directory, source))?;
        let path = directory.join(FILE);
        let begun = fs::metadata(&path).is_ok_and(|file| file.len() > 0);
        let lines: Vec<Line> = if begun {
            lines::read(&path)?
        } else {
            Vec::new()
        };
        let mut log = if lines.is_empty() {
            let mut writer = Writer::append(&path)?;
            writer.write(&Line::Header(header.clone()))?;
            Log::unwritten(header)
        } else {
            let log = Log::of(lines, &path)?;
            let path = path.display().to_string();
            match log.header.shard {
                None => return Err(LogError::United { path }),
                Some(shard) if log.header != header => {
                    let first = log.header.first;
                    return Err(LogError::Other { path, shard, first });
                }
                Some(_) => log,
            }
        };
        log.writer = Some(Writer::append(&path)?);
        Ok(log)
    }

    /// Reads the log in this directory.
    ///
    /// # Errors
    ///
    /// When there is none, or it can't be used.
    pub fn read(directory: &Path) -> Result<Self, LogError> {
        let path = directory.join(FILE);
        let lines = lines::read(&path)?;
        Log::of(lines, &path)
    }

    fn of(lines: Vec<Line>, path: &Path) -> Result<Self, LogError> {
        let path = path.display().to_string();
        let mut lines = lines.into_iter();
        let header = match lines.next() {
            Some(Line::Header(header)) => header,
            _ => return Err(LogError::Headless { path }),
        };
        if header.version != LOG_VERSION {
            return Err(LogError::Version {
                path,
                found: header.version,
            });
        }
        let mut log = Log::unwritten(header);
        for line in lines {
            match line {
                Line::Header(_) => return Err(LogError::Headless { path }),
                Line::Step(step) => log.keep(*step),
                Line::Finding(finding) => log.learn(&finding),
            }
        }
        Ok(log)
    }

    /// How many of a lane's seeds are done.
    pub fn done(&self, lane: &Lane) -> u64 {
        self.done.get(lane).copied().unwrap_or(0)
    }

    /// Adds a step. Its failures that are still [to be told](Self::untold) are returned.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    pub fn add(&mut self, step: Step) -> Result<Vec<Failure>, LogError> {
        let fresh = self.untold(&step.totals);
        let line = Line::Step(Box::new(step));
        if let Some(writer) = &mut self.writer {
            writer.write(&line)?;
        }
        if let Line::Step(step) = line {
            self.keep(*step);
        }
        Ok(fresh)
    }

    fn keep(&mut self, step: Step) {
        *self.done.entry(step.lane()).or_default() += step.totals.tally.runs;
        self.steps.push(step);
    }

    /// Adds a finding: its failure is told.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    pub fn tell(&mut self, finding: Finding) -> Result<(), LogError> {
        self.learn(&finding);
        match &mut self.writer {
            Some(writer) => Ok(writer.write(&Line::Finding(Box::new(finding)))?),
            None => Ok(()),
        }
    }

    /// The command that replays a failure, if it was told.
    pub fn replay(&self, signature: &Signature, plant: Option<&str>) -> Option<&str> {
        let finding = (signature.clone(), plant.map(str::to_owned));
        self.replays.get(&finding).map(String::as_str)
    }

    fn learn(&mut self, finding: &Finding) {
        let known = (finding.signature.clone(), finding.plant.clone());
        self.replays.insert(known, finding.replay.clone());
    }

    /// The failures among these of which this log holds no finding: they were not told, even if a step holds them,
    /// because the program may have been killed between the step and its findings.
    pub fn untold(&self, totals: &Totals) -> Vec<Failure> {
        let is_told = |failure: &&Failure| {
            let replay = self.replay(&failure.signature, totals.plant.as_deref());
            replay.is_some()
        };
        let failures = totals.failures.iter();
        failures
            .filter(|failed| !is_told(failed))
            .cloned()
            .collect()
    }

    /// What its lanes gave.
    pub fn totals(&self) -> BTreeMap<Lane, Totals> {
        sum(&self.steps)
    }

    /// Its steps, in the order in which they were done.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Real time of all its steps.
    pub fn elapsed(&self) -> Duration {
        Duration::from_millis(self.steps.iter().map(|step| step.elapsed_ms).sum())
    }
}

fn sum<'a>(steps: impl IntoIterator<Item = &'a Step>) -> BTreeMap<Lane, Totals> {
    let mut all: BTreeMap<Lane, Totals> = BTreeMap::new();
    for step in steps {
        match all.get_mut(&step.lane()) {
            Some(totals) => totals.add(step.totals.clone()),
            None => _ = all.insert(step.lane(), step.totals.clone()),
        }
    }
    all
}

/// What several logs gave together, and the steps that did, in the order of their seeds.
///
/// # Errors
///
/// When two of them have run the same seed of the same lane.
pub fn unite(logs: &[(PathBuf, Log)]) -> Result<(BTreeMap<Lane, Totals>, Vec<Step>), LogError> {
    let mut ran: BTreeMap<(Lane, Seed), (u64, &Path)> = BTreeMap::new();
    for (path, log) in logs {
        for step in &log.steps {
            // A step that was stopped before its first run leaves its seeds to the next.
            let runs = step.totals.tally.runs;
            if runs == 0 {
                continue;
            }
            if let Some((_, other)) = ran.insert((step.lane(), step.from), (runs, path)) {
                return Err(overlap(other, path, &step.lane(), step.from));
            }
        }
    }
    let pairs = ran.iter().zip(ran.iter().skip(1));
    for (((lane, from), (runs, one)), ((next_lane, next), (_, other))) in pairs {
        if lane == next_lane && from.0.saturating_add(*runs) > next.0 {
            return Err(overlap(one, other, lane, *next));
        }
    }
    let mut steps: Vec<Step> = logs.iter().flat_map(|(_, log)| log.steps.clone()).collect();
    steps.sort_by_key(|step| (step.lane(), step.from));
    Ok((sum(&steps), steps))
}

fn overlap(one: &Path, other: &Path, lane: &Lane, seed: Seed) -> LogError {
    LogError::Overlap {
        one: one.display().to_string(),
        other: other.display().to_string(),
        scenario: lane.scenario.clone(),
        seed,
    }
}
