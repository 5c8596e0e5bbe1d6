//! Another configuration: what it changes, and what became of it.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;
use service::apply::{ApplyPlan, Change, Told};

use super::Answer;

impl Answer for ApplyPlan {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.is_empty() {
            return writeln!(out, "{} says the same already", self.file.display());
        }
        writeln!(out, "plan: {}", self.file.display())?;
        if self.is_broken {
            writeln!(out, "  what stands there makes no sense, and is replaced")?;
        }
        for difference in &self.changes {
            let sign = match difference.change {
                Change::Added => '+',
                Change::Changed => '~',
                Change::Removed => '-',
            };
            let name = difference.name.as_ref().map(|name| format!(".{name}")).unwrap_or_default();
            writeln!(out, "  {sign} {}{name}", difference.table)?;
        }
        Ok(())
    }
}

/// A configuration that was put in place.
#[derive(Serialize)]
pub(crate) struct Applied {
    pub(crate) plan: ApplyPlan,
    /// Where the one before is.
    pub(crate) before: Option<PathBuf>,
    pub(crate) service: Told,
}

impl Answer for Applied {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let file = self.plan.file.display();
        if let Told::Refuses(error) = &self.service {
            writeln!(out, "the service goes on as before: {error}")?;
            return writeln!(out, "{file} is as it was");
        }
        writeln!(out, "{file} is in place")?;
        if let Some(before) = &self.before {
            writeln!(out, "the one before is {}", before.display())?;
        }
        match &self.service {
            Told::NoService => writeln!(out, "no service runs here: the next one reads it"),
            Told::Follows => writeln!(out, "the service goes by it"),
            Told::Refuses(_) | Told::Silent => {
                writeln!(out, "the service has not said yet whether it goes by it")
            }
        }
    }
}
