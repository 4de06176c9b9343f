//! Handing failures over: each is made small, written down, and told with the command that replays it.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use squall_explore::{
    campaign::{Campaign, Failure, Totals},
    failure::{Kept, replay_command},
    shrink::{Budget, NotReproduced},
};
use squall_report::failure::{self, Told};

use super::{Session, bar::Bar};
use crate::triage::keep;

/// So many distinct failures of one invocation are made small, the first ones.
const SHRUNK_MAX: usize = 5;

/// What is to be done with failures.
pub(super) struct Handing {
    /// What making one small may cost; `None` shows them as they were found.
    pub budget: Option<Budget>,
    /// Where they are written.
    pub directory: PathBuf,
    /// Whether they are written as they were found, too: somebody has said where.
    all: bool,
    left: usize,
}

/// What was done with one.
pub(super) enum Handed {
    Kept(Box<Kept>),
    /// It did not happen again.
    Gone(NotReproduced),
    /// It is shown as it was found.
    AsFound,
}

impl Handing {
    /// Failures go to `out` if somebody has said so, to `usual` otherwise.
    pub fn new(budget: Option<Budget>, out: Option<&Path>, usual: &Path) -> Self {
        Handing {
            budget,
            directory: out.unwrap_or(usual).to_owned(),
            all: out.is_some(),
            left: SHRUNK_MAX,
        }
    }
}

impl Handed {
    /// The failure as it was made small.
    pub fn kept(&self) -> Option<&Kept> {
        match self {
            Handed::Kept(kept) => Some(kept),
            _ => None,
        }
    }

    /// The command that replays what is shown of a failure.
    pub fn replay(&self, campaign: &Campaign<'_>, failed: &Failure) -> String {
        let file = self.kept().and_then(Kept::path);
        file.map_or_else(|| campaign.replay_of(&failed.trial()), replay_command)
    }
}

impl Session<'_> {
    /// Makes a failure small and writes it down, if that is wanted. A storm that no seed draws is written down in any
    /// case: nothing else could replay it. So is any where somebody has said where failures go.
    pub(super) fn hand_over(
        &self,
        campaign: &Campaign<'_>,
        failed: &Failure,
        handing: &mut Handing,
    ) -> Handed {
        let spec = campaign.spec_of(&failed.trial());
        let drawn = campaign.draws(&failed.trial());
        let as_found = Budget {
            runs: 0,
            ..Budget::default()
        };
        let budget = match handing.budget {
            Some(budget) if handing.left > 0 => Budget {
                jobs: campaign.jobs,
                ..budget
            },
            _ if drawn && !handing.all => return Handed::AsFound,
            _ => as_found,
        };
        handing.left = handing.left.saturating_sub(1);
        let (signature, directory) = (&failed.signature, Some(&*handing.directory));
        let bar = Bar::shrinking(self.bars, campaign.scenario.name());
        match keep(
            self.runner,
            campaign.scenario,
            &spec,
            signature,
            budget,
            directory,
            &|progress| bar.shrinks(progress),
        ) {
            Ok(kept) => Handed::Kept(Box::new(kept)),
            Err(gone) => Handed::Gone(gone),
        }
    }

    /// Prints a failure with the command that replays it.
    pub(super) fn tell_failure(
        &mut self,
        campaign: &Campaign<'_>,
        totals: &Totals,
        failed: &Failure,
        handed: &Handed,
    ) -> io::Result<()> {
        let trial = failed.trial();
        let traces: Vec<_> = match handed {
            Handed::Kept(_) => Vec::new(),
            Handed::AsFound => vec![self.trace(campaign, &trial)],
            Handed::Gone(_) => vec![self.trace(campaign, &trial), self.trace(campaign, &trial)],
        };
        let mut traces = traces.iter().map(Option::as_ref);
        let told = match handed {
            Handed::Kept(kept) => Told::Small(kept),
            Handed::AsFound => Told::AsFound(traces.next().flatten()),
            Handed::Gone(gone) => {
                Told::Gone(gone, [traces.next().flatten(), traces.next().flatten()])
            }
        };
        let replay = [handed.replay(campaign, failed)];
        let text = failure::failure(totals, failed, &told, &replay, self.style);
        write!(self.out, "{text}")
    }

    /// Prints the seeds of a campaign that gave two different runs.
    pub(super) fn tell_mismatches(
        &mut self,
        campaign: &Campaign<'_>,
        totals: &Totals,
    ) -> io::Result<()> {
        for mismatch in &totals.mismatches {
            let trial = mismatch.trial();
            let traces = [0, 1].map(|_| self.trace(campaign, &trial));
            let traces = traces.each_ref().map(Option::as_ref);
            let replay = [campaign.replay_of(&trial)];
            let text = failure::mismatch(totals, mismatch, traces, &replay, self.style);
            write!(self.out, "\n{text}")?;
        }
        Ok(())
    }
}
