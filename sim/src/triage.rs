//! What is done with a failure that was found: it is shrunk, saved, and told with the command that replays it. The same
//! for the command line and for tests.

use std::path::{Path, PathBuf};

use squall_engine::{
    run::{Options, Signature},
    trace::Trace,
};
use squall_explore::{
    campaign::{Campaign, Failure, Mismatch, Runner, Totals, guarded},
    failure::{FailureFile, Kept, replay_command},
    shrink::{Budget, NotReproduced, Shrunk, Watch, shrink_watched},
    strategy::Trial,
};
use squall_report::{
    Style,
    failure::{self, Told},
    sentence,
    trace::text,
};

/// How many distinct failures of one invocation are shrunk: the first ones.
const SHRUNK_MAX: usize = 5;

/// What is to be done with the failures of one invocation of the command line.
pub(crate) struct Triage {
    /// What shrinking one may cost; `None` shows them as they were found.
    budget: Option<Budget>,
    /// Where they are saved.
    directory: PathBuf,
    /// Save those that are not shrunk, too: the user has named the directory.
    all: bool,
    left: usize,
}

/// What was done with a failure.
pub(crate) enum Triaged {
    /// It was shrunk, and saved if that was asked for.
    Kept(Box<Kept>),
    /// It did not happen again.
    Gone(NotReproduced),
    /// It is shown as it was found.
    AsFound,
}

impl Triage {
    /// Failures go to `out` if the user has named it, to `usual` otherwise.
    pub fn new(budget: Option<Budget>, out: Option<&Path>, usual: &Path) -> Self {
        Triage {
            budget,
            directory: out.unwrap_or(usual).to_owned(),
            all: out.is_some(),
            left: SHRUNK_MAX,
        }
    }

    /// Shrinks a failure and saves it, if that is wanted. A storm that no seed draws is saved in any case, because
    /// nothing else could replay it; so is any failure if the user has named the directory.
    pub fn failure(
        &mut self,
        runner: Runner<'_>,
        campaign: &Campaign<'_>,
        failed: &Failure,
        watch: Watch<'_>,
    ) -> Triaged {
        let budget = match self.budget {
            Some(budget) if self.left > 0 => Budget {
                jobs: campaign.jobs,
                ..budget
            },
            _ if campaign.draws(&failed.trial(campaign)) && !self.all => return Triaged::AsFound,
            _ => Budget {
                runs: 0,
                ..Budget::default()
            },
        };
        self.left = self.left.saturating_sub(1);
        keep(
            runner,
            campaign,
            failed,
            budget,
            Some(&self.directory),
            watch,
        )
    }
}

impl Triaged {
    /// The failure as it was shrunk.
    pub fn kept(&self) -> Option<&Kept> {
        match self {
            Triaged::Kept(kept) => Some(kept),
            _ => None,
        }
    }

    /// The command that replays what is shown of a failure.
    pub fn replay(&self, campaign: &Campaign<'_>, failed: &Failure) -> String {
        let file = self.kept().and_then(Kept::path);
        file.map_or_else(
            || campaign.replay_of(&failed.trial(campaign)),
            replay_command,
        )
    }

    /// The failure as text, with the commands that replay it.
    pub fn tell(
        &self,
        runner: Runner<'_>,
        campaign: &Campaign<'_>,
        (totals, failed): (&Totals, &Failure),
        replay: &[String],
        style: Style,
    ) -> String {
        let trace = || trace(runner, campaign, &failed.trial(campaign));
        let tell = |told: Told<'_>| failure::failure(totals, failed, &told, replay, style);
        match self {
            Triaged::Kept(kept) => tell(Told::Small(kept)),
            Triaged::AsFound => tell(Told::AsFound(trace().as_ref())),
            Triaged::Gone(gone) => {
                let traces = [trace(), trace()];
                tell(Told::Gone(gone, traces.each_ref().map(Option::as_ref)))
            }
        }
    }
}

/// A seed that gave two different runs as text, with the commands that replay it.
pub(crate) fn tell_mismatch(
    runner: Runner<'_>,
    campaign: &Campaign<'_>,
    (totals, mismatch): (&Totals, &Mismatch),
    replay: &[String],
    style: Style,
) -> String {
    let traces = [0, 1].map(|_| trace(runner, campaign, &mismatch.trial(campaign)));
    let traces = traces.each_ref().map(Option::as_ref);
    failure::mismatch(totals, mismatch, traces, replay, style)
}

/// The whole trace of a trial, by running it once more.
fn trace(runner: Runner<'_>, campaign: &Campaign<'_>, trial: &Trial) -> Option<Trace> {
    let spec = campaign.spec_of(trial);
    guarded(runner, campaign.scenario, &spec, Options::traced(true)).trace
}

/// Shrinks a failure and saves it into a directory.
pub(crate) fn keep(
    runner: Runner<'_>,
    campaign: &Campaign<'_>,
    failed: &Failure,
    budget: Budget,
    directory: Option<&Path>,
    watch: Watch<'_>,
) -> Triaged {
    let spec = campaign.spec_of(&failed.trial(campaign));
    let (scenario, signature) = (campaign.scenario, &failed.signature);
    match shrink_watched(runner, scenario, &spec, signature, budget, watch) {
        Ok(shrunk) => {
            let sentence = sentence::of(scenario, &shrunk.outcome);
            let file = file_of(signature, &shrunk, &sentence);
            let file = directory.map(|directory| file.write(directory));
            Triaged::Kept(Box::new(Kept {
                shrunk,
                sentence,
                file,
            }))
        }
        Err(gone) => Triaged::Gone(gone),
    }
}

/// The file of a failure that was shrunk, with what a person reads of it.
pub(crate) fn file_of(signature: &Signature, shrunk: &Shrunk, sentence: &str) -> FailureFile {
    /// How many lines of the trace's end are saved as text.
    const LINES: usize = 20;
    let options = text::Options {
        last: Some(LINES),
        ..text::Options::default()
    };
    let trace = shrunk.outcome.trace.as_ref();
    let text = trace.map(|trace| text::render(trace, &options));
    FailureFile::of(signature, shrunk).told(sentence, &text.unwrap_or_default())
}
