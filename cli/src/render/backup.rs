//! What a backup did.

use std::io::{self, Write};

use format::manifest::{Omission, Statistics};
use service::backup::{BackupReport, RehearsalReport, VolumeReport};
use service::client::Ended;

use super::{Answer, bytes, milliseconds, warnings};

impl Answer for BackupReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "restore point {} of {}, level {}",
            self.point, self.application, self.level
        )?;
        if let Some(window) = self.window_micros {
            writeln!(out, "frozen for {}", milliseconds(window))?;
        }
        counts(out, &self.statistics)?;
        details(out, &self.volumes, &self.remarks, &self.omissions)?;
        warnings(&self.warnings, out)
    }
}

impl Answer for Ended {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let point = self.point.as_deref().unwrap_or_default();
        writeln!(out, "restore point {point}, made by run {} of the service", self.run)?;
        if self.is_partial {
            writeln!(out, "something is missing: `stillpoint show {point}` says what")?;
        }
        Ok(())
    }
}

impl Answer for RehearsalReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "a rehearsal of {}: nothing was stored", self.application)?;
        counts(out, &self.statistics)?;
        details(out, &self.volumes, &self.remarks, &self.omissions)
    }
}

fn counts(out: &mut dyn Write, counts: &Statistics) -> io::Result<()> {
    writeln!(
        out,
        "{} files: {} scanned, {} read, {} changed, {} stored, {} sent",
        counts.files,
        bytes(counts.scanned),
        bytes(counts.read),
        bytes(counts.changed),
        bytes(counts.stored),
        bytes(counts.sent)
    )
}

fn details(
    out: &mut dyn Write,
    volumes: &[VolumeReport],
    remarks: &[String],
    omissions: &[Omission],
) -> io::Result<()> {
    for volume in volumes {
        let size = bytes(volume.bytes);
        writeln!(out, "  {} ({}): {} files, {size}", volume.name, volume.driver, volume.files)?;
    }
    for remark in remarks {
        writeln!(out, "note: {remark}")?;
    }
    for omission in omissions {
        writeln!(out, "missing: {} of {}: {}", omission.path, omission.volume, omission.reason)?;
    }
    Ok(())
}
