//! The catalog: what a rebuild would do and has done, and backups of it.

use std::io::{self, Write};

use service::Condition;
use service::catalog_backups::CatalogBackup;
use service::rebuild::{RebuildPlan, Rebuilt};

use super::{Answer, moment};

impl Answer for RebuildPlan {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let catalog = self.catalog.display();
        match &self.condition {
            Condition::Sound => writeln!(out, "catalog {catalog} is sound and stays")?,
            Condition::Absent => writeln!(out, "there is no catalog {catalog}")?,
            Condition::Damaged { reason } => {
                writeln!(
                    out,
                    "catalog {catalog} is damaged, and is set aside: {}",
                    reason.replace('\n', " ")
                )?;
            }
        }
        match (&self.condition, self.backups.first()) {
            (Condition::Sound, _) => {}
            (_, Some(newest)) => {
                writeln!(out, "its backup from {} takes its place", moment(newest.made))?;
            }
            (_, None) => {
                writeln!(out, "there is no backup of it: what it knew of earlier runs is lost")?;
            }
        }
        for repository in &self.repositories {
            writeln!(out, "the restore points of {repository} are read anew")?;
        }
        Ok(())
    }
}

impl Answer for Rebuilt {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(aside) = &self.set_aside {
            writeln!(out, "the damaged catalog is now {}", aside.display())?;
        }
        match (&self.condition, &self.backup) {
            (Condition::Sound, _) => {}
            (_, Some(backup)) => writeln!(out, "its backup from {} is used", moment(backup.made))?,
            (_, None) => writeln!(out, "a new catalog is used, without what was run before")?,
        }
        for repository in &self.repositories {
            match &repository.error {
                None => {
                    writeln!(out, "{}: {} restore points", repository.location, repository.points)?;
                }
                Some(error) => writeln!(out, "{}: not read: {error}", repository.location)?,
            }
            if repository.unreadable > 0 {
                writeln!(out, "  {} are damaged: run `stillpoint check`", repository.unreadable)?;
            }
        }
        Ok(())
    }
}

impl Answer for CatalogBackup {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "backed the catalog up to {}", self.path.display())
    }
}
