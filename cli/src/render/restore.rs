//! Restores: the plan, and what was done.

use std::io::{self, Write};

use serde::Serialize;
use service::{Plan, RestoreReport};

use super::{Answer, bytes};

impl Answer for Plan {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "plan: restore point {} of {} (level {}) to {}",
            self.point,
            self.application,
            self.level,
            self.target.display()
        )?;
        for volume in &self.volumes {
            let size = bytes(volume.bytes);
            writeln!(
                out,
                "  {} -> {}: {} files, {size}",
                volume.name, volume.destination, volume.files
            )?;
        }
        writeln!(
            out,
            "  {} files, {} to write, {} free",
            self.files,
            bytes(self.bytes),
            bytes(self.free)
        )?;
        if self.omissions > 0 {
            writeln!(out, "  {} files were missing when the point was taken", self.omissions)?;
        }
        if let Some(found) = &self.in_place {
            writeln!(
                out,
                "  in place: {} of these files exist already; those that differ are overwritten",
                found.present
            )?;
            let fate = if found.delete { "removed" } else { "kept" };
            writeln!(out, "  {} names that are not in the point are {fate}", found.extra)?;
        }
        self.conflicts.iter().try_for_each(|conflict| writeln!(out, "  conflict: {conflict}"))
    }
}

/// A restore that was carried out.
#[derive(Serialize)]
pub(crate) struct Restored {
    pub(crate) plan: Plan,
    pub(crate) report: RestoreReport,
}

impl Answer for Restored {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (files, size) = (self.report.files, bytes(self.report.bytes));
        writeln!(out, "restored {files} files, {size}, to {}", self.plan.target.display())?;
        if self.plan.in_place.is_some() {
            let (written, removed) = (bytes(self.report.written), self.report.removed);
            writeln!(out, "{written} differed and were written, {removed} names were removed")?;
        }
        if self.plan.omissions > 0 {
            let missing = self.plan.omissions;
            writeln!(out, "{missing} files were missing when the point was taken, and still are")?;
        }
        for lost in &self.report.lost {
            writeln!(out, "lost: `{}` of volume {}: {}", lost.path, lost.volume, lost.reason)?;
        }
        for unset in &self.report.unset {
            writeln!(
                out,
                "not set: `{}` of volume {}: {}",
                unset.path, unset.volume, unset.reason
            )?;
        }
        Ok(())
    }
}
