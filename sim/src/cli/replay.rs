//! `replay`: one seed, or the failure of a file, again and told in full. The same bytes every time.

use std::{
    io::Write,
    path::Path,
    slice,
    time::{Duration, Instant},
};

use squall_core::{names::Unknown, seed::Seeds};
use squall_engine::{
    run::{Options, Outcome, Spec},
    scenario::{Scenario, variant_exists},
};
use squall_explore::{
    campaign::guarded,
    failure::{self as kept, FailureFile},
    strategy::Strategy,
};
use squall_report::{self as report, Paint, again, failure, render::Subject, words::system};

use super::{Exit, Refusal, Session, args::ReplayArgs, choice};

impl<'a> Session<'a> {
    pub(super) fn replay(&mut self, args: &ReplayArgs) -> Result<Exit, Refusal> {
        match is_file(&args.what) && self.catalogue.get(&args.what).is_none() {
            true => self.replay_file(args),
            false => self.replay_seed(args),
        }
    }

    fn replay_seed(&mut self, args: &ReplayArgs) -> Result<Exit, Refusal> {
        let names = slice::from_ref(&args.what);
        let usual = args.seed.unwrap_or(squall_core::seed::Seed(0));
        let campaigns = choice::campaigns(self.catalogue, names, &args.variant, Seeds::one(usual))?;
        let campaign = campaigns.first().expect("one scenario is named");
        let Some(seed) = args.seed else {
            let usage = "replay of a scenario needs its seed: say --seed S, or name a failure file";
            return Err(Refusal::Usage(usage.to_owned()));
        };
        if campaign.plan.is_none() && !campaign.strategy.draws_by_seed() {
            let usage = format!(
                "a seed alone is no storm of a {} campaign: use the command that was printed with the failure",
                campaign.strategy
            );
            return Err(Refusal::Usage(usage));
        }
        let spec = campaign.spec(seed);
        let full = args.trace || args.at.is_some() || args.render.wanted();
        let (outcome, took) = self.run_again(campaign.scenario, &spec, full);
        self.title(campaign.scenario, &spec, "")?;
        write!(self.out, "{}", report::outcome::text(&outcome, self.style))?;
        self.particulars(args, &outcome)?;
        let survived = outcome.signature(&args.what, &spec.shape).is_none();
        let replay = campaign.replay_command(seed);
        if !survived {
            let lines = failure::replay_lines(slice::from_ref(&replay), self.style);
            write!(self.out, "\n{lines}")?;
        }
        let subject = Subject {
            scenario: &args.what,
            spec: &spec,
            outcome: &outcome,
            sentence: None,
            replay: &replay,
        };
        self.render(&args.render, &subject)?;
        self.took(&outcome, took)?;
        Ok(Exit::survived_if(survived))
    }

    fn replay_file(&mut self, args: &ReplayArgs) -> Result<Exit, Refusal> {
        let path = Path::new(&args.what);
        let variant = &args.variant;
        if args.seed.is_some()
            || variant.shape.is_some()
            || variant.plant.is_some()
            || variant.plan.is_some()
            || variant.explore != Strategy::default()
        {
            let usage = "a failure file has its own seed, shape, bug and plan: leave --seed, --shape, --plant, --plan and --explore out";
            return Err(Refusal::Usage(usage.to_owned()));
        }
        let (file, scenario) = self.failure(path)?;
        let spec = file.spec();
        let (outcome, took) = self.run_again(scenario, &spec, true);
        self.title(scenario, &spec, &format!(", from {}", path.display()))?;
        write!(self.out, "{}", report::outcome::text(&outcome, self.style))?;
        writeln!(self.out, "\n{}", file.sentence)?;
        self.particulars(args, &outcome)?;
        let compared = again::compare(&file, &outcome, self.style);
        write!(self.out, "\n{}", compared.text)?;
        let replay = kept::replay_command(path);
        if compared.fails {
            let lines = failure::replay_lines(slice::from_ref(&replay), self.style);
            write!(self.out, "{lines}")?;
        }
        let subject = Subject {
            scenario: &file.scenario,
            spec: &spec,
            outcome: &outcome,
            sentence: Some(&file.sentence),
            replay: &replay,
        };
        self.render(&args.render, &subject)?;
        self.took(&outcome, took)?;
        Ok(Exit::survived_if(!compared.fails))
    }

    /// A failure file, and its scenario, which must have all that the file speaks of.
    pub(super) fn failure(&self, path: &Path) -> Result<(FailureFile, &'a dyn Scenario), Refusal> {
        let file = FailureFile::read(path)?;
        let all: Vec<&str> = self.catalogue.scenarios.iter().map(|s| s.name()).collect();
        Unknown::unless_known("there is", "scenario", &file.scenario, &all)?;
        let scenario = self.catalogue.get(&file.scenario).expect("it is known");
        variant_exists(scenario, &file.shape, file.plant.as_deref())?;
        scenario
            .profile()
            .check(&file.plan)
            .map_err(|wrong| Refusal::Misplaced {
                scenario: file.scenario.clone(),
                wrong,
            })?;
        Ok((file, scenario))
    }

    fn run_again(&self, scenario: &dyn Scenario, spec: &Spec, full: bool) -> (Outcome, Duration) {
        let began = Instant::now();
        let outcome = guarded(self.runner, scenario, spec, Options::traced(full));
        (outcome, began.elapsed())
    }

    fn title(&mut self, scenario: &dyn Scenario, spec: &Spec, whence: &str) -> Result<(), Refusal> {
        let system = system(scenario.name(), &spec.shape, spec.plant.as_deref());
        writeln!(self.out, "{system}, seed {}{whence}", spec.seed)?;
        Ok(())
    }

    fn took(&mut self, outcome: &Outcome, took: Duration) -> Result<(), Refusal> {
        writeln!(
            self.err,
            "{} of virtual time in {}",
            report::duration(outcome.ended.since_start()),
            report::duration(took)
        )?;
        Ok(())
    }

    /// What was asked for beside the outcome.
    fn particulars(&mut self, args: &ReplayArgs, outcome: &Outcome) -> Result<(), Refusal> {
        let Some(trace) = &outcome.trace else {
            return Ok(());
        };
        if let Some(at) = args.at {
            let stores = report::stores::at(trace, at, outcome.ended, self.style);
            write!(self.out, "\n{stores}")?;
        }
        if args.trace {
            let heading = self.style.paint(Paint::Heading, "trace");
            let whole = report::excerpt::whole(trace, self.style);
            write!(self.out, "\n{heading}\n{whole}")?;
        }
        Ok(())
    }
}

/// Whether a word of the command line means a file rather than a scenario.
fn is_file(word: &str) -> bool {
    word.ends_with(".json") || word.contains(std::path::MAIN_SEPARATOR) || Path::new(word).is_file()
}
