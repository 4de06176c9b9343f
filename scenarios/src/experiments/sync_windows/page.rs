//! The plot: one panel a storm, one curve a way, the share of versions that are shown over the time since their commit.
//! The page is self-contained; how it looks is in `templates/sync_windows.html`.

use std::{fmt::Write, time::Duration};

use askama::Template;

use super::{
    measure::Cell,
    storms::Weather,
    table::{self, HEADINGS, readable},
};
use crate::invariants::sync_windows::Way;

/// A panel's plot, in pixels, and the room around it.
const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 180.0;
const LEFT: f64 = 44.0;
const TOP: f64 = 10.0;
const RIGHT: f64 = 14.0;
const BOTTOM: f64 = 28.0;
/// The ends of the logarithmic time axis.
const FIRST: Duration = Duration::from_millis(1);
const LAST: Duration = Duration::from_secs(1_000);
const TICKS: [(u64, &str); 7] = [
    (1, "1 ms"),
    (10, "10 ms"),
    (100, "100 ms"),
    (1_000, "1 s"),
    (10_000, "10 s"),
    (100_000, "100 s"),
    (1_000_000, ""),
];
const PERCENTS: [u8; 5] = [0, 25, 50, 75, 100];

#[derive(Template)]
#[template(path = "sync_windows.html")]
struct Page<'a> {
    seeds: u64,
    cells: &'a [Cell],
}

impl Page<'_> {
    fn cells_in(&self, weather: &Weather) -> impl Iterator<Item = &Cell> {
        self.cells
            .iter()
            .filter(move |cell| cell.weather == *weather)
    }
}

/// The whole page.
pub(super) fn html(cells: &[Cell], seeds: u64) -> String {
    let page = Page { seeds, cells };
    page.render().expect("writing to a string does not fail")
}

fn colour(way: &Way) -> &'static str {
    match way {
        Way::Live => "var(--live)",
        Way::Cache => "var(--cache)",
        Way::Webhook => "var(--webhook)",
        Way::PubSub => "var(--pubsub)",
        Way::Stream => "var(--stream)",
    }
}

fn longest(cell: &Cell) -> String {
    cell.measured.max().map_or("never".to_owned(), readable)
}

/// The steps of a cumulative distribution, to the end of the axis.
fn curve(cell: &Cell) -> String {
    let all = cell.measured.versions().max(1) as f64;
    let mut path = format!("M{:.1} {:.1}", x(FIRST), y(0.0));
    let mut last = 0.0;
    for (n, window) in cell.measured.windows.iter().enumerate() {
        let (at, share) = (x(*window), (n + 1) as f64 / all);
        // Steps that nobody can see are left out.
        if at - last >= 0.5 || n + 1 == cell.measured.windows.len() {
            let _ = write!(path, "H{at:.1}V{:.1}", y(share));
            last = at;
        }
    }
    let _ = write!(path, "H{:.1}", x(LAST));
    path
}

fn x_of(ms: &u64) -> String {
    format!("{:.1}", x(Duration::from_millis(*ms)))
}

fn y_of(percent: &u8) -> String {
    format!("{:.1}", y(f64::from(*percent) / 100.0))
}

fn x(window: Duration) -> f64 {
    let log = |time: Duration| time.as_secs_f64().log10();
    let window = window.clamp(FIRST, LAST);
    LEFT + WIDTH * (log(window) - log(FIRST)) / (log(LAST) - log(FIRST))
}

fn y(share: f64) -> f64 {
    TOP + HEIGHT * (1.0 - share)
}
