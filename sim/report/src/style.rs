//! Colour, where it is wanted.

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// As the terminal shows it by itself.
    Plain,
    /// The title of what follows.
    Heading,
    /// All is well.
    Good,
    /// A failure.
    Bad,
    /// Something to look at.
    Warning,
    /// An aside.
    Faint,
}

/// Whether there is colour.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// No colour.
    pub const PLAIN: Style = Style { colour: false };

    /// Colour if stdout is a terminal that has some, or as `NO_COLOR` and `CLICOLOR_FORCE` say.
    pub fn of_stdout() -> Self {
        let choice = anstream::AutoStream::choice(&std::io::stdout());
        Style {
            colour: choice != anstream::ColorChoice::Never,
        }
    }

    /// Whether there is any.
    pub fn has_colour(self) -> bool {
        self.colour
    }

    /// The text in the colour of what it is, where there is colour.
    pub fn paint(self, paint: Paint, text: &str) -> String {
        let code = match paint {
            Paint::Plain => return text.to_owned(),
            Paint::Heading => "1",
            Paint::Good => "32",
            Paint::Bad => "1;31",
            Paint::Warning => "1;33",
            Paint::Faint => "2",
        };
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_left_out_where_it_is_not_wanted() {
        assert_eq!(Style::PLAIN.paint(Paint::Bad, "broken"), "broken");
        assert_eq!(
            Style { colour: true }.paint(Paint::Bad, "broken"),
            "\x1b[1;31mbroken\x1b[0m"
        );
    }
}
