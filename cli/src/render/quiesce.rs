//! How a freeze on trial went.

use std::io::{self, Write};

use service::quiesce::QuiesceReport;

use super::{Answer, hooks, milliseconds};

impl Answer for QuiesceReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(window) = self.window_micros {
            writeln!(out, "{} stood still for {}", self.application, milliseconds(window))?;
        }
        if let Some(budget) = &self.budget {
            writeln!(out, "it may for {}, {}", milliseconds(budget.limit_micros), budget.because)?;
        }
        for member in &self.members {
            write!(out, "  {}: {}", member.name, member.method)?;
            if let (Some(asked), Some(frozen)) = (member.freeze_micros, member.frozen_micros) {
                write!(out, ", frozen within {}", milliseconds(frozen.saturating_sub(asked)))?;
            }
            writeln!(out)?;
        }
        for volume in &self.volumes {
            writeln!(out, "  {} ({})", volume.name, volume.driver)?;
        }
        hooks::draw(&self.hooks, out)?;
        self.refused.iter().try_for_each(|why| writeln!(out, "refused: {why}"))?;
        self.slow.iter().try_for_each(|what| writeln!(out, "slow: {what}"))?;
        self.remarks.iter().try_for_each(|remark| writeln!(out, "note: {remark}"))
    }
}
