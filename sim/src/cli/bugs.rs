//! `bugs`: the power of the harness, measured on the bugs that can be planted.

use std::{
    collections::BTreeSet,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Instant,
};

use serde_json::Value;

use squall_engine::scenario::Scenario;
use squall_explore::{
    bug_bench::{MEASURED_VERSION, Measured, Task, Tell, measure, summarise},
    campaign::{Progress, Runner, available_jobs},
    failure::Build,
    fuzz::lines::{self, LinesError, Writer},
    strategy::Strategy,
};
use squall_report::{bugs, count, duration, sentence};

use super::{
    Exit, Refusal, Session,
    args::{BugsArgs, BugsFormat},
    bar::Bar,
    choice, stop,
};

type Job<'a> = (&'a dyn Scenario, Strategy, Task);

impl Session<'_> {
    pub(super) fn bugs(&mut self, args: &BugsArgs) -> Result<Exit, Refusal> {
        let scenarios = choice::scenarios(self.catalogue, &args.scenarios)?;
        let all = jobs(&scenarios, args);
        if all.is_empty() {
            return Err(Refusal::Usage(
                "no bug can be planted into these scenarios".to_owned(),
            ));
        }
        let mut measured = self.earlier(args, &all)?;
        let mut writer = args.resume.as_deref().map(Writer::append).transpose()?;
        let done: BTreeSet<Task> = measured.iter().map(|one| one.task.clone()).collect();
        let due: Vec<Job<'_>> = all
            .iter()
            .filter(|(.., task)| !done.contains(task))
            .cloned()
            .collect();
        let began = Instant::now();
        let stop = stop::on_signal();
        let workers = args.jobs.map_or_else(available_jobs, usize::from);
        let (bars, runner) = (self.bars, self.runner);
        let bar = Bar::new(bars, "bugs", all.len() as u64);
        let mut written = Ok(());
        let tell: Tell<'_> = &sentence::of;
        let tell = (!args.no_shrink).then_some(tell);
        carry_out(runner, &due, workers, tell, &stop, &mut |one| {
            if let Some(writer) = &mut writer
                && written.is_ok()
            {
                written = writer.write(&one);
                if written.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
            }
            measured.push(one);
            bar.show(Progress {
                runs: measured.len() as u64,
                failed: measured.iter().filter(|one| one.found.is_some()).count() as u64,
                planned: Some(all.len() as u64),
                elapsed: began.elapsed(),
            });
        });
        drop(bar);
        written?;
        let powers = summarise(&measured);
        let text = match args.format {
            BugsFormat::Text => bugs::text(&powers, self.style),
            BugsFormat::Markdown => bugs::markdown(&powers),
            BugsFormat::Json => {
                serde_json::to_string_pretty(&powers).expect("figures have only string keys") + "\n"
            }
        };
        write!(self.out, "{text}")?;
        writeln!(
            self.err,
            "{} of {} campaigns measured, {} of them now in {}",
            count(measured.len() as u64),
            count(all.len() as u64),
            count((measured.len() - done.len()) as u64),
            duration(began.elapsed())
        )?;
        let complete = measured.len() == all.len();
        if !complete {
            let how = match &args.resume {
                Some(file) => format!("the same command goes on with {}", file.display()),
                None => "--resume FILE would have kept them".to_owned(),
            };
            writeln!(self.err, "stopped before the end: {how}")?;
        }
        Ok(Exit::survived_if(
            complete && bugs::missed(&powers).is_empty(),
        ))
    }

    /// What the resumed file holds of what is asked for. All of it must be of this build: the figures of several would
    /// be those of none.
    fn earlier(&self, args: &BugsArgs, all: &[Job<'_>]) -> Result<Vec<Measured>, Refusal> {
        let Some(file) = args.resume.as_deref().filter(|file| file.exists()) else {
            return Ok(Vec::new());
        };
        let asked: BTreeSet<&Task> = all.iter().map(|(.., task)| task).collect();
        let mut seen = BTreeSet::new();
        let mut kept = Vec::new();
        for (at, line) in lines::read::<Value>(file)?.into_iter().enumerate() {
            let bad = |reason: String| LinesError::Bad {
                path: file.display().to_string(),
                line: at + 1,
                reason,
            };
            let one = measurement(line).map_err(bad)?;
            if !one.build.is_present() {
                return Err(Refusal::Usage(format!(
                    "{} was measured by another build ({}) than this one ({}), and their figures do not mix: go on \
                     with the build that wrote it, or name another file for this one",
                    file.display(),
                    one.build,
                    Build::present()
                )));
            }
            if !seen.insert(one.task.clone()) {
                let reason = "it was measured by an earlier line already";
                return Err(bad(reason.to_owned()).into());
            }
            if asked.contains(&one.task) {
                kept.push(one);
            }
        }
        Ok(kept)
    }
}

/// Every campaign that is asked for.
fn jobs<'a>(scenarios: &[&'a dyn Scenario], args: &BugsArgs) -> Vec<Job<'a>> {
    let mut all = Vec::new();
    for scenario in scenarios {
        for bug in scenario.bugs() {
            for strategy in strategies(args) {
                all.extend((0..args.campaign_seeds).map(|campaign| {
                    let task = Task {
                        scenario: scenario.name().to_owned(),
                        bug: bug.name.to_owned(),
                        strategy: strategy.name().to_owned(),
                        campaign,
                        cut_off: args.cut_off,
                        damage: args.damage,
                    };
                    (*scenario, strategy, task)
                }));
            }
        }
    }
    all
}

/// The strategies that are named, each once; all if none is.
fn strategies(args: &BugsArgs) -> Vec<Strategy> {
    let mut seen = BTreeSet::new();
    let named = if args.strategies.is_empty() {
        Strategy::ALL
    } else {
        &args.strategies
    };
    named
        .iter()
        .copied()
        .filter(|strategy| seen.insert(*strategy))
        .collect()
}

/// Reads a line, its version first: each version has fields of its own.
fn measurement(line: Value) -> Result<Measured, String> {
    match line.get("version").and_then(Value::as_u64) {
        Some(version) if version != u64::from(MEASURED_VERSION) => Err(format!(
            "a measurement of version {version}; this build reads version {MEASURED_VERSION}"
        )),
        _ => serde_json::from_value(line).map_err(|error| error.to_string()),
    }
}

/// Measures on several threads; tells of each measurement as it is done.
fn carry_out(
    runner: Runner<'_>,
    due: &[Job<'_>],
    workers: usize,
    tell_small: Option<Tell<'_>>,
    stop: &Arc<AtomicBool>,
    tell: &mut dyn FnMut(Measured),
) {
    let next = AtomicUsize::new(0);
    let (results, arrivals) = mpsc::channel();
    thread::scope(|threads| {
        for _ in 0..workers.min(due.len()) {
            let (results, next) = (results.clone(), &next);
            threads.spawn(move || {
                while let Some((scenario, strategy, task)) =
                    due.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let one = measure(runner, *scenario, *strategy, task, tell_small, stop);
                    if one.is_some_and(|one| results.send(one).is_err()) {
                        return;
                    }
                }
            });
        }
        drop(results);
        arrivals.iter().for_each(tell);
    });
}
