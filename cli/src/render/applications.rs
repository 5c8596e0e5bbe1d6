//! The applications that can be backed up.

use std::io::{self, Write};

use serde::{Serialize, Serializer};
use service::applications::{ApplicationSummary, Overview};

use super::Answer;

/// The applications as they are answered: as JSON, the bare list.
pub(crate) struct Applications(pub(crate) Overview);

impl Serialize for Applications {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.applications.serialize(serializer)
    }
}

impl Answer for Applications {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.0.applications.is_empty() {
            writeln!(out, "no applications: label containers with stillpoint.app=NAME,")?;
            writeln!(out, "start them with Compose, or declare them in the configuration")?;
        }
        self.0.applications.iter().try_for_each(|application| describe(application, out))?;
        self.0.remark.iter().try_for_each(|remark| writeln!(out, "note: {remark}"))
    }
}

fn describe(application: &ApplicationSummary, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} ({})", application.name, application.platform)?;
    for member in &application.members {
        let freezer = member.freezer.map(|method| format!(", frozen by {method}"));
        write!(out, "  {}: {}{}", member.name, member.activity, freezer.unwrap_or_default())?;
        if !member.hooks.is_empty() {
            write!(out, "; hooks: {}", member.hooks.join(", "))?;
        }
        writeln!(out)?;
    }
    for volume in &application.volumes {
        let driver = volume.driver.unwrap_or("no filesystem holds it");
        writeln!(out, "  {} at {}: {}", volume.name, volume.source, driver)?;
        for writer in &volume.outside_writers {
            writeln!(out, "    also written by {writer}, which is not part of the application")?;
        }
    }
    application.refused.iter().try_for_each(|why| writeln!(out, "  refused: {why}"))?;
    application.missing.iter().try_for_each(|missing| writeln!(out, "  missing: {missing}"))?;
    application.left_out.iter().try_for_each(|why| writeln!(out, "  note: {why}"))
}
