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
    time::{Duration, Instant},
};

use serde_json::Value;

use squall_engine::scenario::Scenario;
use squall_explore::{
    bug_bench::{MEASURED_VERSION, Measured, Power, Task, measure_by, summarise},
    campaign::{Progress, Runner, available_jobs},
    failure::Build,
    fuzz::lines::{self, LinesError, Writer},
    strategy::Strategy,
};
use squall_report::{
    count, duration,
    table::{Side::*, Table},
};

use super::{
    Exit, Refusal, Session,
    args::{BugsArgs, BugsFormat},
    bar::Bar,
    choice, stop,
};

/// How the figures were measured.
const MEASURED_HOW: &str = "CPU time is that of the runs' own threads";

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
        carry_out(runner, &due, workers, !args.no_shrink, &stop, &mut |one| {
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
            BugsFormat::Text => self.bugs_as_text(&powers),
            BugsFormat::Markdown => as_markdown(&powers),
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
        Ok(Exit::survived_if(complete && missed(&powers).is_empty()))
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

    fn bugs_as_text(&self, powers: &[Power]) -> String {
        let mut table = Table::new([
            ("scenario", Left),
            ("bug", Left),
            ("strategy", Left),
            ("found", Right),
            ("storms", Right),
            ("worst", Right),
            ("CPU", Right),
            ("worst", Right),
            ("faults", Right),
            ("small", Right),
            ("invariant", Left),
        ]);
        for power in powers {
            let cut = format!("> {}", count(power.cut_off));
            let number = |n: Option<u64>| n.map_or(cut.clone(), count);
            let time = |d: Option<Duration>| d.map_or("-".to_owned(), duration);
            table.row([
                power.scenario.as_str().into(),
                power.bug.as_str().into(),
                power.strategy.as_str().into(),
                format!("{}/{}", power.found, power.campaigns).into(),
                number(power.runs.median).into(),
                number(power.runs.worst).into(),
                time(power.cpu.median).into(),
                time(power.cpu.worst).into(),
                power.faults.median.map_or("-".to_owned(), count).into(),
                power.small.median.map_or("-".to_owned(), count).into(),
                what_speaks(power).unwrap_or_default().into(),
            ]);
        }
        let mut text = table.render(self.style);
        text += "\n";
        for sum in sums(powers) {
            text += &format!("{sum}\n");
        }
        text += &format!(
            "storms to the first failure, CPU time, faults of that storm and of the same made small: medians, and the \
             worst of the campaigns; {MEASURED_HOW}\n"
        );
        for bug in missed(powers) {
            text += &format!("NOT FOUND: {bug}: no strategy found it\n");
        }
        text
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
    shrinks: bool,
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
                    let one = measure_by(runner, *scenario, *strategy, task, shrinks, stop);
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

/// Bugs that no strategy found in any campaign.
fn missed(powers: &[Power]) -> BTreeSet<String> {
    let name = |power: &Power| format!("{} + {}", power.scenario, power.bug);
    let found: BTreeSet<String> = powers.iter().filter(|p| p.found > 0).map(name).collect();
    powers
        .iter()
        .map(name)
        .filter(|bug| !found.contains(bug))
        .collect()
}

/// What each strategy comes to over all bugs.
fn sums(powers: &[Power]) -> Vec<String> {
    let strategies: BTreeSet<&str> = powers.iter().map(|power| power.strategy.as_str()).collect();
    let sum = |strategy: &str| {
        let own: Vec<&Power> = powers
            .iter()
            .filter(|power| power.strategy == strategy)
            .collect();
        let median = own
            .iter()
            .filter(|power| power.runs.median.is_some())
            .count();
        let spent: Duration = own.iter().map(|power| power.spent).sum();
        let slowest = own.iter().filter_map(|power| power.cpu.median).max();
        format!(
            "{strategy}: {median} of {} bugs in the median, the slowest of them after {}; {} in all campaigns",
            own.len(),
            slowest.map_or("-".to_owned(), duration),
            duration(spent)
        )
    };
    strategies.into_iter().map(sum).collect()
}

/// A table with a line a bug and a column a strategy, for a README.
fn as_markdown(powers: &[Power]) -> String {
    let strategies: BTreeSet<&str> = powers.iter().map(|power| power.strategy.as_str()).collect();
    let bugs: BTreeSet<(&str, &str)> = powers
        .iter()
        .map(|power| (power.scenario.as_str(), power.bug.as_str()))
        .collect();
    let head: Vec<String> = strategies
        .iter()
        .map(|strategy| format!(" {strategy} |"))
        .collect();
    let mut text = format!(
        "| scenario | bug |{} faults | what speaks | smallest storm |\n",
        head.concat()
    );
    text += &format!("|---|---|{}--:|---|---|\n", "--:|".repeat(strategies.len()));
    for (scenario, bug) in bugs {
        let of = |strategy: &str| {
            powers.iter().find(|p| {
                (p.scenario.as_str(), p.bug.as_str(), p.strategy.as_str())
                    == (scenario, bug, strategy)
            })
        };
        text += &format!("| `{scenario}` | `{bug}` |");
        for strategy in &strategies {
            text += &match of(strategy) {
                Some(power) => format!(" {} |", markdown_cell(power)),
                None => " |".to_owned(),
            };
        }
        let own = || strategies.iter().filter_map(|strategy| of(strategy));
        let faults = own()
            .filter_map(|power| power.small.median.or(power.faults.median))
            .min();
        text += &format!(
            " {} | {} | {} |\n",
            faults.map_or("-".to_owned(), count),
            own()
                .find_map(what_speaks)
                .as_deref()
                .unwrap_or("not found"),
            own()
                .find_map(|power| power.storm.as_deref())
                .unwrap_or("-"),
        );
    }
    text += "\n";
    for sum in sums(powers) {
        text += &format!("* {sum}\n");
    }
    text + &format!(
        "\nStorms to the first failure: median (worst), CPU time of the median; {MEASURED_HOW}.\n"
    )
}

/// The invariant that tells of it, with a word of warning where no damage was seen.
fn what_speaks(power: &Power) -> Option<String> {
    let invariant = power.invariant.as_ref()?;
    Some(match power.damage {
        0 => format!("{invariant} (inside)"),
        _ => invariant.clone(),
    })
}

fn markdown_cell(power: &Power) -> String {
    let cut = format!("> {}", count(power.cut_off));
    let number = |n: Option<u64>| n.map_or(cut.clone(), count);
    let worst = number(power.runs.worst);
    match power.cpu.median {
        Some(cpu) => format!("{} ({worst}) {}", number(power.runs.median), duration(cpu)),
        None => format!("{} ({worst})", number(power.runs.median)),
    }
}
