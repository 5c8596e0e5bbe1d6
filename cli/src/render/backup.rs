//! What a backup did.

use std::io::{self, Write};

use service::backup::BackupReport;

use super::{Answer, bytes, milliseconds};

impl Answer for BackupReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let counts = &self.statistics;
        writeln!(
            out,
            "restore point {} of {}, level {}",
            self.point, self.application, self.level
        )?;
        if let Some(window) = self.window_micros {
            writeln!(out, "frozen for {}", milliseconds(window))?;
        }
        writeln!(
            out,
            "{} files: {} scanned, {} read, {} changed, {} stored, {} sent",
            counts.files,
            bytes(counts.scanned),
            bytes(counts.read),
            bytes(counts.changed),
            bytes(counts.stored),
            bytes(counts.sent)
        )?;
        for volume in &self.volumes {
            let size = bytes(volume.bytes);
            writeln!(out, "  {} ({}): {} files, {size}", volume.name, volume.driver, volume.files)?;
        }
        for remark in &self.remarks {
            writeln!(out, "note: {remark}")?;
        }
        for omission in &self.omissions {
            writeln!(
                out,
                "missing: {} of {}: {}",
                omission.path, omission.volume, omission.reason
            )?;
        }
        Ok(())
    }
}
