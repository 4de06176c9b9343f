//! `list`: what there is.

use std::io::Write;

use squall_report::{
    Paint,
    table::{Cell, Side::Left, Table},
};

use super::{Exit, Refusal, Session};

impl Session<'_> {
    pub(super) fn list(&mut self) -> Result<Exit, Refusal> {
        let mut table = Table::new([("scenario", Left), ("", Left), ("", Left), ("", Left)]);
        for scenario in &self.catalogue.scenarios {
            let name = Cell::painted(Paint::Heading, scenario.name());
            table.row([name, "".into(), "".into(), scenario.about().into()]);
            for shape in scenario.shapes() {
                let about = if shape.must_survive {
                    shape.about.to_owned()
                } else {
                    format!("{} (need not survive)", shape.about)
                };
                table.row(["".into(), "shape".into(), shape.name.into(), about.into()]);
            }
            for bug in scenario.bugs() {
                table.row(["".into(), "bug".into(), bug.name.into(), bug.about.into()]);
            }
        }
        write!(self.out, "{}", table.render(self.style))?;
        Ok(Exit::Survived)
    }
}
