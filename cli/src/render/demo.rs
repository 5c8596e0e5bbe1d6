//! The steps of the demonstration, as they happen.

use std::io::{self, Write};

use service::demo::DemoEvent;

use super::{Answer, bytes, milliseconds};

/// Prints one step: a line of JSON, or text.
pub(crate) fn event(event: &DemoEvent, json: bool) {
    let mut out = io::stdout().lock();
    let written = if json {
        serde_json::to_writer(&mut out, event).map_err(io::Error::from).and_then(|()| writeln!(out))
    } else {
        event.text(&mut out)
    };
    // Whoever closed our standard output does not want the rest.
    let _ = written.and_then(|()| out.flush());
}

impl Answer for DemoEvent {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Started { directory, processes } => {
                writeln!(out, "Everything happens in {}.", directory.display())?;
                writeln!(
                    out,
                    "{processes} processes pass one rising number round; each writes it into its own volume."
                )
            }
            Self::Point(report) => {
                let counts = &report.statistics;
                writeln!(
                    out,
                    "restore point {}: level {}, frozen {}; {} scanned, {} read, {} stored",
                    report.point,
                    report.level,
                    report.window_micros.map_or_else(|| "never".to_owned(), milliseconds),
                    bytes(counts.scanned),
                    bytes(counts.read),
                    bytes(counts.stored)
                )?;
                report.remarks.iter().try_for_each(|remark| writeln!(out, "  note: {remark}"))
            }
            Self::Destroyed { last } => {
                writeln!(out, "Killed all processes at number {last}, and deleted their volumes.")
            }
            Self::Restored { directory, report } => writeln!(
                out,
                "Restored the newest point to {}: {} files, {}, every chunk verified.",
                directory.display(),
                report.files,
                bytes(report.bytes)
            ),
            Self::Agreed(agreement) => {
                writeln!(out, "The volumes agree: their last numbers are {:?}.", agreement.last)
            }
            Self::Continued { from, to } => writeln!(
                out,
                "Started the processes on the restored volumes: they went on from {from} to {to} without a gap."
            ),
            Self::Finished { commands } => {
                writeln!(out, "Nothing runs any more. Try:")?;
                commands.iter().try_for_each(|command| writeln!(out, "  {command}"))
            }
        }
    }
}
