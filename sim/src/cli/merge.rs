//! `merge`: what several shards found, as one report.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use squall_core::{
    atomic_file,
    seed::{Seed, Seeds},
};
use squall_engine::{
    run::{Options, Signature},
    scenario::variant_exists,
    storm::Plan,
};
use squall_explore::{
    campaign::{Campaign, Failure, Mismatch, NOT_DRAWN, Tally, Totals, guarded},
    failure::{FailureFile, replay_command},
    fuzz::{FAILURES, FILE, Header, LOG_VERSION, Lane, Line, Log, LogError, Step, lines, unite},
    strategy::Strategy,
};
use squall_report::{
    self as report, Style,
    annotation::Finding,
    failure::{self, Told},
    json, junit,
    render::campaign::{Report, Seen},
    summary,
};

use super::{
    Exit, Refusal, Session,
    args::{Format, MergeArgs},
};

impl Session<'_> {
    pub(super) fn merge(&mut self, args: &MergeArgs) -> Result<Exit, Refusal> {
        let read = |directory: &PathBuf| Ok((directory.clone(), Log::read(directory)?));
        let logs: Vec<(PathBuf, Log)> = args
            .logs
            .iter()
            .map(read)
            .collect::<Result<_, LogError>>()?;
        let (lanes, steps) = unite(&logs)?;
        let (lanes, all): (Vec<Lane>, Vec<Totals>) = lanes.into_iter().unzip();
        let elapsed = logs.iter().map(|(_, log)| log.elapsed()).sum();
        let mut smallest = smallest(args.logs.iter().map(|log| log.join(FAILURES)));
        let unwritable = |source: io::Error| {
            let out = args.out.iter().map(|out| out.display().to_string());
            let directory: String = out.collect();
            match source.kind() {
                io::ErrorKind::AlreadyExists => {
                    Refusal::Usage(format!("cannot write into {directory}: {source}"))
                }
                _ => Refusal::Unwritable { directory, source },
            }
        };
        if let Some(out) = &args.out {
            write_log(out, &steps).map_err(unwritable)?;
            for (path, file) in smallest.values_mut() {
                *path = file.write(&out.join(FAILURES)).map_err(unwritable)?;
            }
        }
        let union = Union {
            lanes,
            all,
            elapsed,
            smallest,
        };
        if let Some(out) = &args.out {
            for (name, text) in [
                ("report.txt", self.told(&union, Style::PLAIN)),
                ("report.json", self.for_machines(&union, Format::Json)),
                ("report.xml", self.for_machines(&union, Format::Junit)),
            ] {
                atomic_file::write(&out.join(name), &text).map_err(unwritable)?;
            }
        }
        let text = match args.format {
            Format::Text => self.told(&union, self.style),
            format => self.for_machines(&union, format),
        };
        write!(self.out, "{text}")?;
        self.annotate_with(&self.findings(&union))?;
        if let Some(file) = &args.html {
            self.page(file, &union)?;
        }
        let sum = Tally::sum(union.all.iter().map(|totals| &totals.tally));
        writeln!(
            self.err,
            "{} storms of {} logs, {} of real time",
            report::count(sum.runs),
            logs.len(),
            report::duration(elapsed)
        )?;
        Ok(Exit::survived_if(union.all.iter().all(Totals::is_clean)))
    }

    fn findings(&self, union: &Union) -> Vec<Finding> {
        let lanes = union.lanes.iter().zip(&union.all);
        let findings = lanes.flat_map(|(lane, totals)| {
            totals.failures.iter().map(move |failed| {
                let kept = union.file(lane, &failed.signature);
                let sentence = kept.map(|(_, kept)| &*kept.sentence);
                let replay = self.replay_line(union, lane, failed);
                Finding::new(&totals.scenario, failed, sentence, replay)
            })
        });
        findings.collect()
    }

    /// The report as an HTML page. A failure whose file this build can run, and which fails again, has its own page.
    fn page(&mut self, file: &Path, union: &Union) -> Result<(), Refusal> {
        let Union { lanes, all, .. } = union;
        let mut report = Report::of("merge", all, union.elapsed);
        let failures = lanes.iter().zip(all);
        let failures: Vec<(&Lane, &Failure)> = failures
            .flat_map(|(lane, totals)| totals.failures.iter().map(move |failed| (lane, failed)))
            .collect();
        let seen = failures.iter().map(|(lane, failed)| Seen {
            sentence: (union.file(lane, &failed.signature)).map(|(_, file)| file.sentence.clone()),
            replay: self.replay_line(union, lane, failed),
            page: None,
        });
        report.seen = seen.collect();
        let (runner, catalogue) = (self.runner, self.catalogue);
        self.report_with(file, report, &|place| {
            let (lane, failed) = failures[place];
            let (_, file) = union.file(lane, &failed.signature)?;
            let scenario = catalogue.get(&file.scenario)?;
            variant_exists(scenario, &file.shape, file.plant.as_deref()).ok()?;
            let spec = file.spec();
            let outcome = guarded(runner, scenario, &spec, Options::traced(true));
            outcome.shows(&failed.signature).then_some((spec, outcome))
        })
    }

    /// The report as tables, then each distinct failure.
    fn told(&self, union: &Union, style: Style) -> String {
        let Union { lanes, all, .. } = union;
        let sum = Tally::sum(all.iter().map(|totals| &totals.tally));
        let mut text = summary::tables(all, style);
        if !sum.counts.is_empty() {
            text += "\n";
            text += &summary::counts(&sum.counts, style);
        }
        for (lane, totals) in lanes.iter().zip(all) {
            for failed in &totals.failures {
                text += "\n";
                let replay = [self.replay_line(union, lane, failed)];
                if let Some((_, file)) = union.file(lane, &failed.signature) {
                    text += &format!("the smallest: {}\n", file.sentence);
                }
                text += &failure::failure(totals, failed, &Told::AsFound(None), &replay, style);
            }
            for mismatch in &totals.mismatches {
                let replay = [self.command_of(lane, mismatch.seed, mismatch.plan.as_ref())];
                text += "\n";
                text += &failure::mismatch(totals, mismatch, [None, None], &replay, style);
            }
        }
        text
    }

    fn for_machines(&self, union: &Union, format: Format) -> String {
        let Union { lanes, all, .. } = union;
        let failures = lanes.iter().zip(all).flat_map(|(lane, totals)| {
            totals.failures.iter().map(move |failed| {
                json::failed(totals, failed, None, self.replay_line(union, lane, failed))
            })
        });
        let failures: Vec<_> = failures.collect();
        let replay =
            |place: usize, of: &Mismatch| self.command_of(&lanes[place], of.seed, of.plan.as_ref());
        match format {
            Format::Junit => junit::report(all, &failures, union.elapsed, &replay),
            _ => json::report(all, failures, union.elapsed, &replay),
        }
    }

    /// The command that replays a failure: from its file, if there is one.
    fn replay_line(&self, union: &Union, lane: &Lane, failed: &Failure) -> String {
        match union.file(lane, &failed.signature) {
            Some((path, _)) => replay_command(path),
            None => self.command_of(lane, failed.seed, failed.plan.as_ref()),
        }
    }

    /// The command that replays a run; that of a scenario that this program lacks is for the one that has it, and there
    /// is one only if a seed says all: the plan of a guided storm is in no command.
    fn command_of(&self, lane: &Lane, seed: Seed, plan: Option<&Plan>) -> String {
        let strategy = Strategy::named(&lane.strategy);
        match (self.catalogue.get(&lane.scenario), strategy) {
            (Some(scenario), Some(strategy)) => {
                let mut campaign = Campaign::over(scenario, Seeds::one(seed));
                campaign.shape.clone_from(&lane.shape);
                campaign.plant.clone_from(&lane.plant);
                campaign.strategy = strategy;
                campaign.replay_of(&campaign.trial(seed, plan))
            }
            _ => {
                let told = strategy.filter(|strategy| strategy.is_told());
                if plan.is_some() && told.is_none() {
                    return NOT_DRAWN.to_owned();
                }
                let planted = lane.plant.iter().map(|bug| format!(" --plant {bug}"));
                let explored = told.map(|strategy| format!(" --explore {strategy}"));
                format!(
                    "replay {} --seed {seed} --shape {}{}{} --trace",
                    lane.scenario,
                    lane.shape,
                    planted.collect::<String>(),
                    explored.unwrap_or_default(),
                )
            }
        }
    }
}

/// What several logs come to.
struct Union {
    lanes: Vec<Lane>,
    all: Vec<Totals>,
    elapsed: Duration,
    smallest: Smallest,
}

/// The smallest storm that is known of each failure, and where it is written.
type Smallest = BTreeMap<(Signature, Option<String>), (PathBuf, FailureFile)>;

impl Union {
    fn file(&self, lane: &Lane, signature: &Signature) -> Option<&(PathBuf, FailureFile)> {
        self.smallest.get(&(signature.clone(), lane.plant.clone()))
    }
}

/// Reads all failure files. One that can't be read is only missed: its failure is in the log too.
fn smallest(directories: impl Iterator<Item = PathBuf>) -> Smallest {
    let mut all = Smallest::new();
    let entries = directories.filter_map(|directory| fs::read_dir(directory).ok());
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    for path in paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
    {
        let Ok(file) = FailureFile::read(&path) else {
            continue;
        };
        let size = |file: &FailureFile| (file.after.faults, file.after.requests, file.seed);
        let known = all.entry((file.signature(), file.plant.clone()));
        let known = known.or_insert_with(|| (path.clone(), file.clone()));
        if size(&file) < size(&known.1) {
            *known = (path, file);
        }
    }
    all
}

/// Writes the united log, so that it can be united with others.
fn write_log(out: &Path, steps: &[Step]) -> io::Result<()> {
    fs::create_dir_all(out)?;
    let log = out.join(FILE);
    if log.exists() {
        let reason = format!("{FILE} is there already; name another directory");
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, reason));
    }
    let mut writer = lines::Writer::append(&log).map_err(io::Error::other)?;
    let header = Header {
        version: LOG_VERSION,
        first: steps.iter().map(|step| step.from).min().unwrap_or(Seed(0)),
        shard: None,
    };
    writer
        .write(&Line::Header(header))
        .map_err(io::Error::other)?;
    for step in steps {
        let line = Line::Step(Box::new(step.clone()));
        writer.write(&line).map_err(io::Error::other)?;
    }
    Ok(())
}
