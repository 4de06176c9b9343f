//! Tables of aligned text.

use super::{Paint, Style};

/// Between two columns.
const GAP: &str = "  ";

/// On which side a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// One cell.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    paint: Paint,
}

impl Cell {
    /// A cell in a colour.
    pub fn painted(paint: Paint, text: impl Into<String>) -> Self {
        Cell {
            text: text.into(),
            paint,
        }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell::painted(Paint::Plain, text)
    }
}

/// A table: columns are as wide as their widest cell, and colour does not count.
pub struct Table<const N: usize> {
    sides: [Side; N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Table<N> {
    /// An empty table with these headings.
    pub fn new(columns: [(&str, Side); N]) -> Self {
        Table {
            sides: columns.map(|(_, side)| side),
            rows: vec![columns.map(|(name, _)| Cell::painted(Paint::Heading, name))],
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: [Cell; N]) {
        self.rows.push(cells);
    }

    /// One line a row, the heading first, nothing but a newline after the last cell.
    pub fn render(&self, style: Style) -> String {
        let widths: [usize; N] = std::array::from_fn(|column| {
            let width = |row: &[Cell; N]| row[column].width();
            self.rows.iter().map(width).max().unwrap_or(0)
        });
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            let mut owed = 0;
            for (column, cell) in row.iter().enumerate() {
                let pad = widths[column] - cell.width();
                let (before, after) = match self.sides[column] {
                    Side::Left => (0, pad),
                    Side::Right => (pad, 0),
                };
                if !cell.text.is_empty() {
                    line.push_str(&" ".repeat(owed + before));
                    line.push_str(&style.paint(cell.paint, &cell.text));
                    owed = after + GAP.len();
                } else {
                    owed += pad + GAP.len();
                }
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_with_their_last_cell() {
        let mut table = Table::new([("link", Side::Left), ("n", Side::Right), ("", Side::Left)]);
        table.row(["a→b".into(), "7".into(), "first".into()]);
        table.row(["longer".into(), "1,000".into(), "".into()]);
        table.row(["".into(), "".into(), "last".into()]);
        assert_eq!(
            table.render(Style::PLAIN),
            "link        n\n\
             a→b         7  first\n\
             longer  1,000\n\
             \u{20}              last\n"
        );
    }
}
