//! `sweep`: every kind of fault at every site of a scenario, then pairs.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    slice,
    time::Instant,
};

use super::{
    Exit, Refusal, Session,
    args::{Format, SweepArgs, Variant},
    bar::Bar,
    choice,
};
use crate::{
    campaign::{Campaign, Failure, Mismatch, Seeds, guarded},
    explore::{Sweep, Trial, Way},
    report::{
        Paint,
        failure::{self, Told},
        sweep,
    },
    run::Options,
    storm::Plan,
};

/// Where a plan goes that nobody asked to be written.
const BY_HAND: &str = "storm.json";

impl Session<'_> {
    pub(super) fn sweep(&mut self, args: &SweepArgs) -> Result<Exit, Refusal> {
        let variant = Variant {
            shape: args.shape.clone(),
            plant: args.plant.clone(),
            plan: None,
            explore: Way::default(),
        };
        let seeds = args.seeds.unwrap_or(Seeds::one(args.seed));
        let names = slice::from_ref(&args.scenario);
        let campaigns = choice::campaigns(self.catalogue, names, &variant, seeds)?;
        let mut campaign = campaigns.into_iter().next().expect("one scenario is named");
        campaign.way = Way::Sweep;
        campaign.stop_at_first = args.stop_at_first;
        if let Some(jobs) = args.jobs {
            campaign.jobs = usize::from(jobs);
        }
        if let Some(folder) = &args.out {
            fs::create_dir_all(folder).map_err(|source| unwritable(folder, source))?;
        }

        let began = Instant::now();
        let mut explorer = Sweep::new(campaign.scenario, seeds, args.pairs as usize);
        let bar = Bar::new(self.bars, campaign.scenario.name(), seeds.len());
        let totals = campaign.explore_by(self.runner, &mut explorer, &mut |now| bar.show(now));
        drop(bar);
        let elapsed = began.elapsed();

        let matrix = explorer.matrix();
        let mut files = Vec::new();
        for failed in &totals.failures {
            files.push(write_plan(args.out.as_deref(), failed)?);
        }
        match args.format {
            Format::Json => {
                let failures = totals.failures.iter().zip(&files);
                let failures = failures.map(|(failed, file)| sweep::Failed {
                    invariant: failed.signature.invariant.clone(),
                    tag: failed.signature.tag.clone(),
                    message: failed.message(),
                    count: failed.count,
                    seed: failed.seed.0,
                    plan: failed.plan.clone(),
                    plan_file: file.clone(),
                    replay: replay_command(&campaign, &failed.trial(), file.as_deref()),
                });
                let text = sweep::json(&totals, &matrix, failures.collect(), elapsed);
                write!(self.out, "{text}")?;
            }
            Format::Text => {
                write!(self.out, "{}", sweep::text(&totals, &matrix, self.style))?;
                for (failed, file) in totals.failures.iter().zip(&files) {
                    let spec = campaign.spec_of(&failed.trial());
                    let run = Options::traced(true);
                    let trace = guarded(self.runner, campaign.scenario, &spec, run).trace;
                    let replay = replay_command(&campaign, &failed.trial(), file.as_deref());
                    let told = Told::AsFound(trace.as_ref());
                    let text = failure::failure(&totals, failed, &told, &[replay], self.style);
                    write!(self.out, "\n{text}")?;
                    if file.is_none() {
                        self.plan_by_hand(failed.plan.as_ref())?;
                    }
                }
                for mismatch in &totals.mismatches {
                    let Mismatch { seed, plan, .. } = mismatch.clone();
                    let replay = replay_command(&campaign, &Trial { seed, plan }, None);
                    let text =
                        failure::mismatch(&totals, mismatch, [None, None], &[replay], self.style);
                    write!(self.out, "\n{text}")?;
                    self.plan_by_hand(mismatch.plan.as_ref())?;
                }
            }
        }
        self.timing(slice::from_ref(&totals), elapsed)?;
        Ok(Exit::survived_if(totals.is_clean()))
    }

    /// The plan that the replay command names, for whoever wants to save it.
    fn plan_by_hand(&mut self, plan: Option<&Plan>) -> io::Result<()> {
        let Some(plan) = plan else { return Ok(()) };
        let title = format!("{BY_HAND} (written by --out DIR)");
        let title = self.style.paint(Paint::Heading, &title);
        write!(self.out, "{title}\n{}", plan.to_json())
    }
}

/// Writes the storm of a failure, if there is a folder for it.
fn write_plan(folder: Option<&Path>, failed: &Failure) -> Result<Option<PathBuf>, Refusal> {
    let (Some(folder), Some(plan)) = (folder, &failed.plan) else {
        return Ok(None);
    };
    let signature = &failed.signature;
    let words = [
        &signature.scenario,
        &signature.shape,
        &signature.invariant,
        &signature.tag,
    ];
    let name = words.map(|words| slug(words)).join("-");
    let file = folder.join(format!("{name}.plan.json"));
    fs::write(&file, plan.to_json()).map_err(|source| unwritable(&file, source))?;
    Ok(Some(file))
}

fn unwritable(path: &Path, source: io::Error) -> Refusal {
    Refusal::Usage(format!(
        "cannot write {}: {source}; name another folder with --out",
        path.display()
    ))
}

/// Words as part of a file's name.
fn slug(words: &str) -> String {
    let parts = words.split(|c: char| !c.is_alphanumeric());
    let parts = parts.filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_lowercase()
}

fn replay_command(campaign: &Campaign<'_>, trial: &Trial, file: Option<&Path>) -> String {
    let file = file.unwrap_or(Path::new(BY_HAND));
    let seed = Campaign {
        scenario: campaign.scenario,
        shape: campaign.shape.clone(),
        plant: campaign.plant.clone(),
        plan_file: Some(file.to_owned()),
        ..Campaign::over(campaign.scenario, campaign.seeds)
    };
    seed.replay_command(trial.seed)
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn a_slug_is_a_files_name() {
        assert_eq!(slug("no money / is lost: ever"), "no-money-is-lost-ever");
    }
}
