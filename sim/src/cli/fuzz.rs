//! `fuzz`: campaigns that go on until time is up, and can be gone on with.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    time::{Duration, Instant},
};

use squall_core::seed::Seeds;
use squall_explore::{
    campaign::{Campaign, Failure, Tally, Totals},
    failure::Build,
    fuzz::{BLOCK, FAILURES, Finding, Header, LOG_VERSION, Lane, Log, Step},
    shrink::Budget,
    strategy::{Guided, Strategy},
};
use squall_report::{self as report, summary};

use super::{Exit, Refusal, Session, args::FuzzArgs, choice, stop};
use crate::triage::{Triage, Triaged};

/// Where guided exploration keeps its storms, in the directory of the log.
const CORPUS: &str = "corpus";

/// What making a failure small may take when time is up.
const SHRINKING_MIN: Duration = Duration::from_secs(1);

/// How long it goes on if neither a time nor a number of runs is said.
const LONG: Duration = Duration::from_secs(30 * 60);

/// One invocation.
struct Sitting<'a> {
    args: &'a FuzzArgs,
    deadline: Option<Instant>,
}

impl Sitting<'_> {
    /// What is left of its time; `None` if it has no end.
    fn left(&self) -> Option<Duration> {
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        self.deadline.map(left)
    }
}

/// What making a failure small may take when so much of the sitting is left.
pub(super) fn time_to_shrink(left: Option<Duration>) -> Duration {
    let usual = Budget::default().time;
    left.map_or(usual, |left| left.clamp(SHRINKING_MIN, usual))
}

impl Session<'_> {
    pub(super) fn fuzz(&mut self, args: &FuzzArgs) -> Result<Exit, Refusal> {
        if args.corpus.is_some() && args.explore != Strategy::Guided {
            return Err(Refusal::Usage(
                "--corpus is for --explore guided: no other strategy learns".to_owned(),
            ));
        }
        let variant = args.variant();
        let seeds = Seeds::one(args.from);
        let mut lanes = choice::campaigns(self.catalogue, &args.scenarios, &variant, seeds)?;
        let header = Header {
            version: LOG_VERSION,
            first: args.from,
            shard: Some(args.shard),
        };
        let mut log = match &args.out {
            Some(directory) => Log::open(directory, header)?,
            None => Log::unwritten(header),
        };
        let stop = stop::on_signal();
        for lane in &mut lanes {
            lane.stop = Some(stop.clone());
            if let Some(jobs) = args.jobs {
                lane.jobs = usize::from(jobs);
            }
        }
        let limit = args.time.or(args.runs.is_none().then_some(LONG));
        // A time that no clock shows is none.
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        if !log.steps().is_empty() {
            writeln!(self.err, "goes on behind {}", progress(&log))?;
        }
        let sitting = Sitting { args, deadline };
        self.tell_untold(&lanes, &sitting, &mut log)?;
        self.rounds(&mut lanes, &sitting, &stop, &mut log)?;
        self.sum_up(&lanes, &log)?;
        let kept = match &args.out {
            Some(directory) => format!("kept in {}", directory.display()),
            None => "not kept (--out DIR keeps it)".to_owned(),
        };
        writeln!(self.err, "{}, {kept}", progress(&log))?;
        Ok(Exit::survived_if(
            log.totals().values().all(Totals::is_clean),
        ))
    }

    /// Tells what an earlier sitting found and was killed before it told.
    fn tell_untold(
        &mut self,
        lanes: &[Campaign<'_>],
        sitting: &Sitting<'_>,
        log: &mut Log,
    ) -> Result<(), Refusal> {
        let sums = log.totals();
        for lane in lanes {
            let name = lane_of(lane);
            let steps = log.steps().iter().filter(|step| step.lane() == name);
            let untold: Vec<_> = steps
                .flat_map(|step| {
                    let is_mine = step.build.as_ref().is_some_and(Build::is_present);
                    let failures = log.untold(&step.totals).into_iter();
                    failures.map(move |failure| (failure, is_mine))
                })
                .collect();
            for (failure, is_mine) in untold {
                let (signature, plant) = (&failure.signature, lane.plant.as_deref());
                if log.replay(signature, plant).is_some() {
                    continue;
                }
                let triaged = self.make_small(lane, &failure, sitting);
                match triaged {
                    // No build but this one can be accused of it.
                    Triaged::Gone(_) if !is_mine => writeln!(
                        self.err,
                        "{} with the seed {}, which another build has found, does not happen with this one",
                        signature.invariant, failure.seed
                    )?,
                    triaged => self.tell_fresh(lane, &sums[&name], &failure, &triaged, log)?,
                }
            }
        }
        Ok(())
    }

    /// A block of each lane in turn, until time is up, all seeds are done or it is stopped.
    fn rounds(
        &mut self,
        lanes: &mut [Campaign<'_>],
        sitting: &Sitting<'_>,
        stop: &Arc<AtomicBool>,
        log: &mut Log,
    ) -> Result<(), Refusal> {
        let args = sitting.args;
        // What a guided lane has learned, it knows in its later blocks too.
        let mut guides = BTreeMap::new();
        loop {
            let mut due = false;
            for lane in &mut *lanes {
                let left = sitting.left();
                if stop.load(Ordering::Relaxed) || left.is_some_and(|left| left.is_zero()) {
                    return Ok(());
                }
                let done = log.done(&lane_of(lane));
                if let Some(seeds) = args.shard.due(args.from, args.runs, done) {
                    due = true;
                    lane.seeds = seeds;
                    lane.limit = left;
                    let guide = guides.entry(lane_of(lane)).or_default();
                    self.step(lane, sitting, guide, log)?;
                }
            }
            if !due {
                return Ok(());
            }
        }
    }

    /// Runs what is left of a block, writes it down and tells what is new.
    fn step(
        &mut self,
        lane: &Campaign<'_>,
        sitting: &Sitting<'_>,
        guide: &mut Option<Guided>,
        log: &mut Log,
    ) -> Result<(), Refusal> {
        let FuzzArgs { out, corpus, .. } = sitting.args;
        let usual = out.as_ref().map(|out| out.join(CORPUS));
        let corpus = corpus.clone().or(usual);
        let began = Instant::now();
        let totals = match corpus {
            _ if lane.strategy != Strategy::Guided => self.campaign(lane),
            corpus => {
                let guided = match guide {
                    Some(guided) => {
                        guided.go_on(lane.seeds);
                        guided
                    }
                    None => guide.insert(self.guide(lane, corpus.as_deref())?),
                };
                self.guided(lane, guided, corpus.as_deref())?
            }
        };
        let from = lane.seeds.nth(0).expect("a range of seeds is never empty");
        let step = Step {
            strategy: lane.strategy.name().to_owned(),
            build: Some(Build::present()),
            from,
            elapsed_ms: began.elapsed().as_millis() as u64,
            totals: totals.clone(),
        };
        for fresh in log.add(step)? {
            let triaged = self.make_small(lane, &fresh, sitting);
            self.tell_fresh(lane, &totals, &fresh, &triaged, log)?;
        }
        Ok(())
    }

    /// Makes a new failure small and writes it to a file.
    fn make_small(&self, lane: &Campaign<'_>, fresh: &Failure, sitting: &Sitting<'_>) -> Triaged {
        let usual = Budget::default();
        let stopped = lane
            .stop
            .as_ref()
            .is_some_and(|stop| stop.load(Ordering::Relaxed));
        let budget = Budget {
            runs: if stopped { 0 } else { usual.runs },
            time: time_to_shrink(sitting.left()),
            ..usual
        };
        let out = sitting.args.out.as_ref().map(|out| out.join(FAILURES));
        let mut triage = Triage::new(Some(budget), out.as_deref(), &self.failures);
        self.triage(lane, fresh, &mut triage)
    }

    /// Writes a new failure down and prints it.
    fn tell_fresh(
        &mut self,
        lane: &Campaign<'_>,
        totals: &Totals,
        fresh: &Failure,
        triaged: &Triaged,
        log: &mut Log,
    ) -> Result<(), Refusal> {
        log.tell(Finding {
            signature: fresh.signature.clone(),
            plant: lane.plant.clone(),
            seed: fresh.seed,
            message: fresh.message(),
            sentence: triaged.kept().map(|kept| kept.sentence.clone()),
            replay: triaged.replay(lane, fresh),
        })?;
        self.tell_failure(lane, totals, fresh, triaged)?;
        writeln!(self.out)?;
        Ok(self.out.flush()?)
    }

    /// What all steps gave, those of earlier sittings too.
    fn sum_up(&mut self, lanes: &[Campaign<'_>], log: &Log) -> Result<(), Refusal> {
        let all: Vec<Totals> = log.totals().into_values().collect();
        if all.is_empty() {
            writeln!(
                self.out,
                "nothing was run: this shard has no seed left, or no time"
            )?;
            return Ok(());
        }
        self.tables(&all)?;
        let sums = log.totals();
        for lane in lanes {
            for failed in sums
                .get(&lane_of(lane))
                .into_iter()
                .flat_map(|sum| &sum.failures)
            {
                let told = log.replay(&failed.signature, lane.plant.as_deref());
                let replay =
                    told.map_or_else(|| lane.replay_of(&failed.trial(lane)), str::to_owned);
                write!(self.out, "{}", summary::failure_line(failed, &replay))?;
            }
            if let Some(sum) = sums.get(&lane_of(lane)) {
                self.tell_mismatches(lane, sum)?;
            }
        }
        Ok(())
    }
}

fn lane_of(campaign: &Campaign<'_>) -> Lane {
    Lane {
        scenario: campaign.scenario.name().to_owned(),
        shape: campaign.shape.clone(),
        plant: campaign.plant.clone(),
        strategy: campaign.strategy.name().to_owned(),
    }
}

/// `12,345 storms in 30 min 0 s (238/s), in blocks of 1024`.
fn progress(log: &Log) -> String {
    let sum = Tally::sum(log.steps().iter().map(|step| &step.totals.tally));
    let elapsed = log.elapsed();
    format!(
        "{} storms in {} ({}), in blocks of {BLOCK}",
        report::count(sum.runs),
        report::duration(elapsed),
        report::rate(squall_explore::campaign::rate(sum.runs, elapsed))
    )
}
