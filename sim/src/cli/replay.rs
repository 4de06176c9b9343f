//! `replay`: one seed again, told in full. The same bytes every time.

use std::{io::Write, slice, time::Instant};

use super::{Exit, Refusal, Session, args::ReplayArgs, choice};
use crate::{
    campaign::{Seeds, guarded},
    report::{self, Paint, failure, summary},
    run::{Options, Outcome, Verdict},
};

impl Session<'_> {
    pub(super) fn replay(&mut self, args: &ReplayArgs) -> Result<Exit, Refusal> {
        let names = slice::from_ref(&args.scenario);
        let seeds = Seeds::one(args.seed);
        let campaigns = choice::campaigns(self.catalogue, names, &args.variant, seeds)?;
        let campaign = campaigns.first().expect("one scenario is named");
        let began = Instant::now();
        let spec = campaign.spec(args.seed);
        let outcome = guarded(
            self.runner,
            campaign.scenario,
            &spec,
            Options::traced(args.trace),
        );
        let took = began.elapsed();

        let planted = spec
            .plant
            .map(|bug| format!(" + {bug}"))
            .unwrap_or_default();
        writeln!(
            self.out,
            "{} ({}{planted}), seed {}",
            args.scenario, spec.shape, args.seed
        )?;
        self.outcome(&outcome)?;
        if let Some(trace) = &outcome.trace {
            let heading = self.style.paint(Paint::Heading, "trace");
            write!(
                self.out,
                "\n{heading}\n{}",
                report::trace::whole(trace, self.style)
            )?;
        }
        let survived = outcome.signature(&args.scenario, &spec.shape).is_none();
        if !survived {
            let command = [campaign.replay_command(args.seed)];
            write!(
                self.out,
                "\n{}",
                failure::replay_lines(&command, self.style)
            )?;
        }
        writeln!(
            self.err,
            "{} of virtual time in {}",
            report::duration(outcome.ended.since_start()),
            report::duration(took)
        )?;
        Ok(Exit::survived_if(survived))
    }

    fn outcome(&mut self, outcome: &Outcome) -> Result<(), Refusal> {
        let paint = match outcome.verdict {
            Verdict::Survived => Paint::Good,
            _ => Paint::Bad,
        };
        let verdict = self.style.paint(paint, failure::label(&outcome.verdict));
        match &outcome.verdict {
            Verdict::Stuck(why) | Verdict::HarnessFailed(why) => {
                writeln!(self.out, "{verdict} at {}: {why}", outcome.ended)?;
            }
            Verdict::Survived | Verdict::Violated => {
                writeln!(self.out, "{verdict}, ended at {}", outcome.ended)?;
            }
        }
        for broken in &outcome.violations {
            write!(self.out, "{}", failure::violation(broken, self.style))?;
        }
        writeln!(self.out, "hash {:016x}", outcome.hash)?;
        if outcome.faults.is_empty() {
            writeln!(self.out, "\nno fault was planned")?;
        } else {
            write!(
                self.out,
                "\n{}",
                failure::storm(&outcome.faults, self.style)
            )?;
        }
        if !outcome.counts.is_empty() {
            let counts = summary::counts(&outcome.counts, self.style);
            write!(self.out, "\n{counts}")?;
        }
        Ok(())
    }
}
