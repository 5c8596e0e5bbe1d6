//! What was thawed, and which hooks have run.

use std::io::{self, Write};

use service::thaw::MadeGood;

use super::Answer;

impl Answer for MadeGood {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for thawed in &self.thawed {
            writeln!(out, "thawed {}", thawed.target)?;
        }
        for container in &self.hooks {
            writeln!(out, "ran the hook that was owed to {container}")?;
        }
        for failure in &self.failures {
            writeln!(out, "warning: {failure}")?;
        }
        if self.thawed.is_empty() && self.hooks.is_empty() && self.failures.is_empty() {
            writeln!(out, "nothing is frozen")?;
        }
        Ok(())
    }
}
