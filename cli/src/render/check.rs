//! Checks: what was looked at, and what was found.

use std::io::{self, Write};

use format::ids::PointId;
use serde::Serialize;
use service::repair::RepairReport;
use service::{CheckReport, Finding, RepairPlan, Verification};

use super::{Answer, bytes, warnings};

impl Answer for CheckReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "{} restore points, {} records, {} packs ({} read, {}), {} chunks",
            self.points,
            self.records,
            self.packs,
            self.packs_read,
            bytes(self.bytes_read),
            self.chunks
        )?;
        self.findings.iter().try_for_each(|finding| line(finding, out))?;
        if self.unnamed > 0 {
            writeln!(out, "lost: {} more files", self.unnamed)?;
        }
        match self.findings.len() {
            0 => writeln!(out, "no damage found"),
            1 => writeln!(out, "1 finding"),
            count => writeln!(out, "{count} findings"),
        }
    }
}

/// One finding, in one line.
fn line(finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    match finding {
        Finding::DamagedIndex { object, reason } | Finding::DamagedPack { object, reason } => {
            writeln!(out, "damaged: {object}: {reason}")
        }
        Finding::DamagedRecord { object, reason } => writeln!(out, "altered: {object}: {reason}"),
        Finding::MissingPack { object } => writeln!(out, "missing: {object}"),
        Finding::MissingRecord { object, named_by } => {
            writeln!(out, "missing: {object}, which {named_by} leads to")
        }
        Finding::ReplacedRecord { object, named_by } => {
            writeln!(out, "replaced: {object} is not what {named_by} leads to")
        }
        Finding::RolledBack { object, reason } => writeln!(out, "went back: {object}: {reason}"),
        Finding::UnindexedPack { object } => {
            writeln!(out, "not in the index: {object}; `stillpoint repair` puts it back")
        }
        Finding::DamagedPoint { point, reason } => {
            writeln!(out, "damaged: restore point {point}: {reason}")
        }
        Finding::LostFile { point, volume, path, reason } => {
            writeln!(out, "lost: `{path}` of volume {volume} in {point}: {reason}")
        }
    }
}

impl Answer for RepairPlan {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.report.findings.iter().try_for_each(|finding| line(finding, out))?;
        if self.is_empty() {
            return writeln!(out, "plan: nothing to do");
        }
        writeln!(out, "plan: packs that are damaged or missing: {}", self.packs.len())?;
        writeln!(
            out,
            "  what can be read of them is stored again, and nobody relies on them then"
        )?;
        writeln!(
            out,
            "  index segments that are replaced: {}, packs that are put into the index: {}",
            self.segments.len(),
            self.indexed.len()
        )?;
        writeln!(out, "  nothing is deleted")
    }
}

impl Answer for RepairReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "stored {} chunks of damaged packs again, put {} packs into the index",
            self.repaired.salvaged, self.repaired.indexed
        )?;
        for object in &self.repaired.condemned {
            writeln!(out, "condemned: {object}")?;
        }
        if self.healed > 0 {
            writeln!(out, "found {} lost chunks elsewhere and stored them again", self.healed)?;
        }
        warnings(&self.warnings, out)?;
        writeln!(out, "a check finds now:")?;
        self.left.text(out)
    }
}

/// A point that was read.
#[derive(Serialize)]
pub(crate) struct Verified {
    pub(crate) point: PointId,
    #[serde(flatten)]
    pub(crate) verification: Verification,
}

impl Answer for Verified {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Verification { files, bytes: size, read, lost } = &self.verification;
        let (size, read) = (bytes(*size), bytes(*read));
        writeln!(out, "verified {}: {files} files, {size}, of which {read} were read", self.point)?;
        for lost in lost {
            writeln!(out, "lost: `{}` of volume {}: {}", lost.path, lost.volume, lost.reason)?;
        }
        match lost.len() {
            0 => writeln!(out, "everything can be restored"),
            1 => writeln!(out, "1 file is lost"),
            count => writeln!(out, "{count} files are lost"),
        }
    }
}
