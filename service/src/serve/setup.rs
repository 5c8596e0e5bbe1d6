//! What a service works with: the configuration, the machine, and where backups go.

use std::path::PathBuf;

use repository::location::Location;
use scheduler::zone::Zone;

use crate::config::{Config, PolicyConfig};
use crate::engine::Settings;
use crate::error::ServiceError;
use crate::key::KeySource;
use crate::machine::Machine;
use crate::secret::SecretError;

/// What a service works with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The configuration.
    pub config: Config,
    /// This machine.
    pub machine: Machine,
    /// The directory of what can be had again; see [`Settings`].
    pub cache_dir: Option<PathBuf>,
    /// Where backups go whose policy names no repository, and the key to it.
    pub repository: Option<(Location, KeySource)>,
    /// The time zone of policies that name none.
    pub here: Zone,
}

impl Setup {
    /// What opens the repository of a policy. Its secret is fetched each time.
    pub(crate) fn settings(&self, policy: &PolicyConfig) -> Result<Settings, ServiceError> {
        let (location, key) = match policy.repositories.first() {
            Some(name) => {
                let repository =
                    self.config.repositories.get(name).ok_or(ServiceError::NoRepository)?;
                (repository.url.parse()?, repository.key().ok_or(SecretError::Missing)?)
            }
            None => self.repository.clone().ok_or(ServiceError::NoRepository)?,
        };
        let (cache_dir, machine) = (self.cache_dir.clone(), self.machine.clone());
        Ok(Settings { location, key: key.read()?, cache_dir, machine })
    }
}
