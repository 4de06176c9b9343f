//! Measuring: every way in every kind of storm, over seeds.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use squall::{
    campaign::available_jobs,
    run::{Spec, Verdict, run},
    seed::Seed,
};

use crate::{
    experiments::sync_windows::storms::Weather,
    invariants::sync_windows::{Measured, Way},
    lock,
    scenarios::product_sync::{Course, Pace, ProductSync},
};

/// Long enough for a copy of five minutes to expire more than once.
const PACE: Pace = Pace {
    span: Duration::from_secs(10 * 60),
    changes: 24,
    reads_every: Duration::from_secs(5),
};

/// One way in one kind of storm.
pub(super) struct Cell {
    pub weather: Weather,
    pub way: Way,
    pub measured: Measured,
}

/// Measures seeds `0..seeds`. `Err` says which run went wrong.
pub(super) fn measure(seeds: u64) -> Result<Vec<Cell>, String> {
    let mut cells: Vec<Cell> = Weather::ALL
        .into_iter()
        .flat_map(|weather| {
            Way::ALL.map(|way| Cell {
                weather,
                way,
                measured: Measured::default(),
            })
        })
        .collect();
    let jobs: Vec<(usize, u64)> = (0..seeds)
        .flat_map(|seed| (0..cells.len()).map(move |cell| (cell, seed)))
        .collect();
    let done: Vec<Mutex<Option<Result<Measured, String>>>> =
        jobs.iter().map(|_| Mutex::default()).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for _ in 0..available_jobs() {
            threads.spawn(|| {
                while let Some((place, (cell, seed))) = {
                    let place = next.fetch_add(1, Relaxed);
                    jobs.get(place).map(|job| (place, *job))
                } {
                    let Cell { weather, way, .. } = &cells[cell];
                    *lock(&done[place]) = Some(one(*weather, *way, Seed(seed)));
                }
            });
        }
    });
    // In the order of the seeds, whichever worker was quicker.
    for ((cell, _), done) in jobs.into_iter().zip(done) {
        let measured = lock(&done).take().expect("every job was carried out")?;
        cells[cell].measured.add(measured);
    }
    for cell in &mut cells {
        cell.measured.windows.sort_unstable();
    }
    Ok(cells)
}

fn one(weather: Weather, way: Way, seed: Seed) -> Result<Measured, String> {
    let report = Arc::new(Mutex::new(Measured::default()));
    let scenario = ProductSync {
        course: Some(Course {
            way,
            pace: PACE,
            report: report.clone(),
        }),
    };
    let spec = Spec::of(&scenario, seed).under(weather.plan(&scenario, seed));
    let outcome = run(&scenario, &spec, false);
    if outcome.verdict != Verdict::Survived {
        let broken = outcome.violations.first().map(ToString::to_string);
        return Err(format!(
            "seed {seed}, {}, {}: {:?} {}",
            weather.name(),
            way.name(),
            outcome.verdict,
            broken.unwrap_or_default()
        ));
    }
    let measured = lock(&report).clone();
    Ok(measured)
}

impl Measured {
    /// The window that `share` of all versions do not exceed (nearest rank); `None` if that one never ended. To be asked
    /// once the windows are sorted.
    pub(super) fn percentile(&self, share: f64) -> Option<Duration> {
        let all = self.windows.len() + self.never as usize;
        let rank = (share * all as f64).ceil() as usize;
        self.windows.get(rank.max(1) - 1).copied()
    }

    pub(super) fn max(&self) -> Option<Duration> {
        self.windows.last().copied()
    }

    /// Versions committed.
    pub(super) fn versions(&self) -> u64 {
        self.windows.len() as u64 + self.never
    }

    /// The share of reads that were refused, in percent.
    pub(super) fn refused_percent(&self) -> f64 {
        100.0 * self.refused as f64 / (self.reads as f64).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_are_never_shown_count_as_the_longest_windows() {
        let measured = Measured {
            windows: (1..=8).map(Duration::from_secs).collect(),
            never: 2,
            reads: 40,
            refused: 1,
        };
        assert_eq!(measured.percentile(0.5), Some(Duration::from_secs(5)));
        assert_eq!(measured.percentile(0.8), Some(Duration::from_secs(8)));
        assert_eq!(measured.percentile(0.99), None);
        assert_eq!(measured.max(), Some(Duration::from_secs(8)));
        assert_eq!((measured.versions(), measured.refused_percent()), (10, 2.5));
    }
}
