//! The plot: one panel a storm, one curve a way, the share of versions that are shown over the time since their commit. A
//! page that needs nothing else; a curve that stays below 100 % has versions that are never shown.

use std::{fmt::Write, time::Duration};

use crate::{
    experiments::sync_windows::{
        measure::Cell,
        storms::Weather,
        table::{self, readable},
    },
    invariants::sync_windows::Way,
};

/// A panel's plot, in pixels.
const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 180.0;
/// Room around it: left and top, right and bottom.
const MARGIN: (f64, f64, f64, f64) = (44.0, 10.0, 14.0, 28.0);
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

const STYLE: &str = "\
:root{color-scheme:light dark;--bg:#fff;--fg:#1f2328;--dim:#6a737d;--rule:#d8dee4;--live:#0969da;--cache:#bc4c00;\
--webhook:#1a7f37;--pubsub:#cf222e;--stream:#8250df}\
@media (prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--dim:#8b949e;--rule:#30363d;--live:#58a6ff;\
--cache:#f0883e;--webhook:#3fb950;--pubsub:#ff7b72;--stream:#bc8cff}}\
body{background:var(--bg);color:var(--fg);font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1260px;\
padding:0 1rem}h1{font-size:1.4rem}h2{font-size:1rem;margin:0}p{color:var(--dim);max-width:50rem}\
.panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(320px,1fr));gap:1.5rem}svg{width:100%;height:auto}\
text{fill:var(--dim);font-size:10px}.rule{stroke:var(--rule)}.curve{fill:none;stroke-width:2}\
.legend span{margin-right:1.2rem}.legend i{display:inline-block;width:1.2em;height:3px;vertical-align:middle;\
margin-right:.4em}table{border-collapse:collapse;margin-top:2rem;font-variant-numeric:tabular-nums}\
th,td{padding:.15rem .8rem;text-align:right;border-bottom:1px solid var(--rule)}\
th:nth-child(-n+2),td:nth-child(-n+2){text-align:left}";

fn colour(way: Way) -> &'static str {
    match way {
        Way::Live => "var(--live)",
        Way::Cache => "var(--cache)",
        Way::Webhook => "var(--webhook)",
        Way::PubSub => "var(--pubsub)",
        Way::Stream => "var(--stream)",
    }
}

/// The whole page.
pub(super) fn html(all: &[Cell], seeds: u64) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Inconsistency windows of product sync</title><style>{STYLE}</style>\
         <h1>Inconsistency windows of product sync</h1><p>From the instant that the catalog commits a version of a \
         product to the instant from which the challenge service would answer with it or a later one: the share of \
         versions shown, over that time. {seeds} seeds a curve; a curve that ends below 100 % has versions that are \
         never shown.</p><p class=\"legend\">"
    );
    for way in Way::ALL {
        let (colour, name) = (colour(way), way.name());
        let _ = write!(
            page,
            "<span><i style=\"background:{colour}\"></i>{name}</span>"
        );
    }
    page += "</p><div class=\"panels\">";
    for weather in Weather::ALL {
        let cells = all.iter().filter(|cell| cell.weather == weather);
        panel(&mut page, weather, cells);
    }
    page += "</div>";
    rows(&mut page, all);
    page += "</html>\n";
    page
}

fn panel<'a>(page: &mut String, weather: Weather, cells: impl Iterator<Item = &'a Cell>) {
    let (left, top, right, bottom) = MARGIN;
    let (wide, high) = (left + WIDTH + right, top + HEIGHT + bottom);
    let name = weather.name();
    let _ = write!(
        page,
        "<section><h2>{name}</h2><svg viewBox=\"0 0 {wide} {high}\" role=\"img\" aria-label=\"{name}\">"
    );
    for (ms, label) in TICKS {
        let x = x(Duration::from_millis(ms));
        let (end, below) = (top + HEIGHT, top + HEIGHT + 16.0);
        let _ = write!(
            page,
            "<path class=\"rule\" d=\"M{x:.1} {top}V{end}\"/><text x=\"{x:.1}\" y=\"{below}\" \
             text-anchor=\"middle\">{label}</text>"
        );
    }
    for percent in [0, 25, 50, 75, 100] {
        let (y, end) = (y(f64::from(percent) / 100.0), left + WIDTH);
        let (before, line) = (left - 6.0, y + 3.0);
        let _ = write!(
            page,
            "<path class=\"rule\" d=\"M{left} {y:.1}H{end}\"/><text x=\"{before}\" y=\"{line:.1}\" \
             text-anchor=\"end\">{percent} %</text>"
        );
    }
    for cell in cells {
        let (colour, name) = (colour(cell.way), cell.way.name());
        let longest = cell.measured.max().map_or("never".to_owned(), readable);
        let curve = curve(cell);
        let _ = write!(
            page,
            "<path class=\"curve\" style=\"stroke:{colour}\" d=\"{curve}\"><title>{name}, at most \
             {longest}</title></path>"
        );
    }
    *page += "</svg></section>";
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

fn x(window: Duration) -> f64 {
    let log = |time: Duration| time.as_secs_f64().log10();
    let window = window.clamp(FIRST, LAST);
    MARGIN.0 + WIDTH * (log(window) - log(FIRST)) / (log(LAST) - log(FIRST))
}

fn y(share: f64) -> f64 {
    MARGIN.1 + HEIGHT * (1.0 - share)
}

fn rows(page: &mut String, all: &[Cell]) {
    *page += "<table><thead>";
    for (n, row) in table::rows(all).enumerate() {
        let tag = if n == 0 { "th" } else { "td" };
        let cells: String = row.iter().map(|c| format!("<{tag}>{c}</{tag}>")).collect();
        let _ = write!(page, "<tr>{cells}</tr>");
        if n == 0 {
            *page += "</thead><tbody>";
        }
    }
    *page += "</tbody></table>";
}
