//! `merge`: what several shards found, as one report.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Exit, Refusal, Session,
    args::{Format, MergeArgs},
};
use crate::{
    campaign::{Campaign, Seeds, Tally, Totals},
    explore::Way,
    fuzz::{FILE, Header, LOG_VERSION, Lane, Line, Log, LogError, Shard, Step, lines, unite},
    report::{self, Style, failure, json, summary},
    seed::Seed,
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
        if let Some(out) = &args.out {
            self.keep(out, &steps, &lanes, &all, elapsed)
                .map_err(|source| {
                    Refusal::Usage(format!("cannot write {}: {source}", out.display()))
                })?;
        }
        let text = match args.format {
            Format::Text => self.told(&lanes, &all, self.style),
            Format::Json => self.as_json(&lanes, &all, elapsed),
        };
        write!(self.out, "{text}")?;
        let sum = Tally::sum(all.iter().map(|totals| &totals.tally));
        writeln!(
            self.err,
            "{} storms of {} logs, {} of real time",
            report::count(sum.runs),
            logs.len(),
            report::duration(elapsed)
        )?;
        Ok(Exit::survived_if(all.iter().all(Totals::is_clean)))
    }

    /// The report as tables, then each distinct failure.
    fn told(&self, lanes: &[Lane], all: &[Totals], style: Style) -> String {
        let sum = Tally::sum(all.iter().map(|totals| &totals.tally));
        let mut text = summary::campaigns(all, style)
            + "\n"
            + &summary::faults(&sum, style)
            + "\n"
            + &summary::watch(&sum);
        if !sum.counts.is_empty() {
            text += "\n";
            text += &summary::counts(&sum.counts, style);
        }
        for (lane, totals) in lanes.iter().zip(all) {
            for failed in &totals.failures {
                let replay = [self.replay_line(lane, failed.seed)];
                text += "\n";
                text += &failure::failure(totals, failed, None, &replay, style);
            }
            for mismatch in &totals.mismatches {
                let replay = [self.replay_line(lane, mismatch.seed)];
                text += "\n";
                text += &failure::mismatch(totals, mismatch, [None, None], &replay, style);
            }
        }
        text
    }

    fn as_json(&self, lanes: &[Lane], all: &[Totals], elapsed: Duration) -> String {
        json::report(all, elapsed, &|place, seed| {
            self.replay_line(&lanes[place], seed)
        })
    }

    /// The command that replays a seed; that of a scenario that this program lacks is for the one that has it.
    fn replay_line(&self, lane: &Lane, seed: Seed) -> String {
        let way = Way::ALL.iter().find(|way| way.name() == lane.way);
        match (self.catalogue.get(&lane.scenario), way) {
            (Some(scenario), Some(way)) => {
                let mut campaign = Campaign::over(scenario, Seeds::one(seed));
                campaign.shape.clone_from(&lane.shape);
                campaign.plant.clone_from(&lane.plant);
                campaign.way = *way;
                campaign.replay_command(seed)
            }
            _ => {
                let planted = lane.plant.iter().map(|bug| format!(" --plant {bug}"));
                format!(
                    "replay {} --seed {seed} --shape {}{} --explore {} --trace",
                    lane.scenario,
                    lane.shape,
                    planted.collect::<String>(),
                    lane.way
                )
            }
        }
    }

    /// Writes the united log and both reports, so that the result can be merged again.
    fn keep(
        &self,
        out: &Path,
        steps: &[Step],
        lanes: &[Lane],
        all: &[Totals],
        elapsed: Duration,
    ) -> io::Result<()> {
        fs::create_dir_all(out)?;
        let log = out.join(FILE);
        if log.exists() {
            return Err(io::Error::other(format!(
                "{FILE} is there already; name another directory"
            )));
        }
        let mut writer = lines::Writer::append(&log).map_err(io::Error::other)?;
        let header = Header {
            version: LOG_VERSION,
            first: steps.iter().map(|step| step.from).min().unwrap_or(Seed(0)),
            shard: Shard::WHOLE,
        };
        writer
            .write(&Line::Header(header))
            .map_err(io::Error::other)?;
        for step in steps {
            let line = Line::Step(Box::new(step.clone()));
            writer.write(&line).map_err(io::Error::other)?;
        }
        fs::write(out.join("report.txt"), self.told(lanes, all, Style::PLAIN))?;
        fs::write(out.join("report.json"), self.as_json(lanes, all, elapsed))
    }
}
