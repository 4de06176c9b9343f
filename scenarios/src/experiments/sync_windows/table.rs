//! What was measured, as text, Markdown and JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::measure::Cell;

pub(super) const HEADINGS: [&str; 8] = [
    "storm",
    "sync",
    "versions",
    "p50",
    "p99",
    "max",
    "never",
    "refused reads",
];
/// Columns of words; the others are numbers.
const WORDS: usize = 2;

fn cells(cell: &Cell) -> [String; 8] {
    let measured = &cell.measured;
    let or_never = |window: Option<Duration>| window.map_or("never".to_owned(), readable);
    [
        cell.weather.name().to_owned(),
        cell.way.name().to_owned(),
        measured.versions().to_string(),
        or_never(measured.percentile(0.5)),
        or_never(measured.percentile(0.99)),
        or_never(measured.max()),
        measured.never.to_string(),
        format!("{:.1} %", measured.refused_percent()),
    ]
}

/// A duration in the unit that suits it.
pub(super) fn readable(window: Duration) -> String {
    let ms = window.as_secs_f64() * 1_000.0;
    match ms {
        0.0..9.95 => format!("{ms:.1} ms"),
        0.0..999.5 => format!("{ms:.0} ms"),
        0.0..99_950.0 => format!("{:.1} s", ms / 1_000.0),
        _ => format!("{:.0} s", ms / 1_000.0),
    }
}

/// A row a cell.
pub(super) fn rows(all: &[Cell]) -> impl Iterator<Item = [String; 8]> {
    all.iter().map(cells)
}

/// For a terminal.
pub(super) fn text(all: &[Cell]) -> String {
    let headings = HEADINGS.map(str::to_owned);
    let rows: Vec<[String; 8]> = [headings].into_iter().chain(rows(all)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..HEADINGS.len()).filter_map(width).collect();
    let line = |row: &[String; 8]| {
        let padded = row.iter().zip(&widths).enumerate();
        let padded = padded.map(|(column, (cell, &width))| match column < WORDS {
            true => format!("{cell:<width$}"),
            false => format!("{cell:>width$}"),
        });
        padded.collect::<Vec<_>>().join("  ") + "\n"
    };
    rows.iter().map(line).collect()
}

/// For a README.
pub(super) fn markdown(all: &[Cell]) -> String {
    let line = |row: [String; 8]| format!("| {} |\n", row.join(" | "));
    let rule = std::array::from_fn(|column| match column < WORDS {
        true => "---".to_owned(),
        false => "---:".to_owned(),
    });
    let rows = all.iter().map(|cell| line(cells(cell)));
    [line(HEADINGS.map(str::to_owned)), line(rule)]
        .into_iter()
        .chain(rows)
        .collect()
}

/// For scripts: windows in milliseconds, `null` for never.
pub(super) fn json(all: &[Cell], seeds: u64) -> Value {
    let ms = |window: Option<Duration>| window.map(|window| window.as_secs_f64() * 1_000.0);
    let row = |cell: &Cell| {
        let measured = &cell.measured;
        json!({
            "storm": cell.weather.name(),
            "sync": cell.way.name(),
            "versions": measured.versions(),
            "p50_ms": ms(measured.percentile(0.5)),
            "p99_ms": ms(measured.percentile(0.99)),
            "max_ms": ms(measured.max()),
            "never": measured.never,
            "reads": measured.reads,
            "refused": measured.refused,
        })
    };
    json!({ "seeds": seeds, "windows": all.iter().map(row).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_the_unit_that_suits_them() {
        let told = [0.0, 0.0042, 0.25, 42.0, 300.0]
            .map(|seconds| readable(Duration::from_secs_f64(seconds)));
        assert_eq!(told, ["0.0 ms", "4.2 ms", "250 ms", "42.0 s", "300 s"]);
    }
}
