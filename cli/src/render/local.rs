//! Snapshots that stay on this host.

use std::io::{self, Write};

use format::ids::PointId;
use serde::Serialize;
use service::local::{LocalRow, PutBackReport, SnapshotReport};
use service::{LocalPlan, PutBack};

use super::{Answer, milliseconds, moment, table};

impl Answer for SnapshotReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let snapshot = &self.snapshot;
        write!(out, "local snapshot {} of {}", snapshot.id, snapshot.application)?;
        writeln!(out, " (level {})", snapshot.level)?;
        if let Some(window) = snapshot.window_micros {
            writeln!(out, "it stood still for {}", milliseconds(window))?;
        }
        for volume in &snapshot.volumes {
            writeln!(out, "  {} ({})", volume.name, volume.driver)?;
        }
        snapshot.remarks.iter().try_for_each(|remark| writeln!(out, "note: {remark}"))?;
        self.removed.iter().try_for_each(|id| writeln!(out, "removed: {id}"))?;
        self.left.iter().try_for_each(|left| writeln!(out, "left: {left}"))
    }
}

impl Answer for Vec<LocalRow> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let row = |row: &LocalRow| {
            let mut remarks = Vec::new();
            if !row.missing.is_empty() {
                remarks.push("some of it is not there".to_owned());
            }
            remarks.extend(row.remarks.iter().cloned());
            [
                row.id.to_string().chars().take(8).collect(),
                moment(row.taken),
                row.application.clone(),
                row.level.to_string(),
                row.volumes.len().to_string(),
                remarks.join("; "),
            ]
        };
        let headings = ["SNAPSHOT", "TAKEN (UTC)", "APPLICATION", "LEVEL", "VOLUMES", ""];
        table::write(out, headings, &self.iter().map(row).collect::<Vec<_>>())
    }
}

impl Answer for LocalPlan {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (id, application) = (&self.snapshot, &self.application);
        writeln!(out, "plan: put local snapshot {id} of {application} back")?;
        for volume in &self.volumes {
            writeln!(out, "  {}: {} is made as it was", volume.name, volume.source)?;
        }
        for name in &self.untouched {
            writeln!(out, "  {name}: stays as it is")?;
        }
        writeln!(out, "  what is there now is snapshotted first")?;
        self.conflicts.iter().try_for_each(|conflict| writeln!(out, "  conflict: {conflict}"))
    }
}

impl Answer for PutBackReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "local snapshot {} was put back", self.plan.snapshot)?;
        let PutBack { replaced, removed, unchanged } = self.done;
        writeln!(
            out,
            "{replaced} files replaced, {removed} names removed, {unchanged} files unchanged"
        )?;
        writeln!(out, "what was there before is local snapshot {}", self.before)
    }
}

/// Local snapshots that were removed, or would be.
#[derive(Serialize)]
pub(crate) struct LocalForgotten {
    pub(crate) snapshots: Vec<PointId>,
    pub(crate) dry_run: bool,
    pub(crate) left: Vec<String>,
}

impl Answer for LocalForgotten {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let what = if self.dry_run { "would be removed" } else { "removed" };
        self.snapshots.iter().try_for_each(|id| writeln!(out, "{what}: local snapshot {id}"))?;
        self.left.iter().try_for_each(|left| writeln!(out, "left: {left}"))
    }
}
