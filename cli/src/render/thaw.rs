//! What was thawed.

use std::io::{self, Write};

use service::thaw::Swept;

use super::Answer;

impl Answer for Swept {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for thawed in &self.thawed {
            writeln!(out, "thawed {}", thawed.target)?;
        }
        for failure in &self.failures {
            writeln!(out, "warning: {failure}")?;
        }
        if self.thawed.is_empty() && self.failures.is_empty() {
            writeln!(out, "nothing is frozen")?;
        }
        Ok(())
    }
}
