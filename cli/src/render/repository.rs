//! Repositories and the configuration: made, checked.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use format::ids::RepositoryId;
use serde::Serialize;
use service::Location;
use service::config::Config;
use service::key::PrintedKey;
use service::keys::Initialised;

use super::key::recovery_key;
use super::{Answer, warnings};

/// A new repository.
#[derive(Serialize)]
pub(crate) struct Created {
    repository: RepositoryId,
    location: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_key: Option<PrintedKey>,
    warnings: Vec<String>,
}

impl Created {
    pub(crate) fn new(made: Initialised, location: &Location, key_file: Option<PathBuf>) -> Self {
        let Initialised { repository, recovery_key, warnings } = made;
        Self { repository, location: location.to_string(), key_file, recovery_key, warnings }
    }
}

impl Answer for Created {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "made repository {} in {}", self.repository, self.location)?;
        warnings(&self.warnings, out)?;
        if let Some(path) = &self.key_file {
            writeln!(out, "made the key file {}: give it with --key-file", path.display())?;
        }
        match &self.recovery_key {
            Some(key) => recovery_key(key, out),
            None => {
                writeln!(out, "without its key nobody can restore anything from it: keep it safe")
            }
        }
    }
}

/// What a configuration holds.
#[derive(Serialize)]
pub(crate) struct ConfigChecked {
    file: Option<String>,
    repositories: Vec<String>,
    applications: Vec<String>,
    policies: Vec<String>,
}

impl ConfigChecked {
    pub(crate) fn new(file: Option<&Path>, config: &Config) -> Self {
        Self {
            file: file.map(|path| path.display().to_string()),
            repositories: config.repositories.keys().cloned().collect(),
            applications: config.applications.keys().cloned().collect(),
            policies: config.policies.keys().cloned().collect(),
        }
    }
}

impl Answer for ConfigChecked {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.file {
            Some(file) => writeln!(out, "{file} makes sense")?,
            None => writeln!(out, "there is no configuration file; the defaults hold")?,
        }
        let kinds = [
            ("repositories", &self.repositories),
            ("applications", &self.applications),
            ("policies", &self.policies),
        ];
        for (kind, names) in kinds.into_iter().filter(|(_, names)| !names.is_empty()) {
            writeln!(out, "{kind}: {}", names.join(", "))?;
        }
        Ok(())
    }
}
