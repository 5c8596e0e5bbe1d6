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
    /// Where the service listens to this machine.
    pub socket: PathBuf,
    /// The time zone of policies that name none.
    pub here: Zone,
}

impl Setup {
    /// Whether every policy has a repository, and that a key.
    ///
    /// # Errors
    /// Names one that has not.
    pub fn check(&self) -> Result<(), ServiceError> {
        for (name, policy) in &self.config.policies {
            self.repository(policy).map_err(|error| {
                let (name, source) = (name.clone(), Box::new(error));
                ServiceError::Policy { name, source }
            })?;
        }
        Ok(())
    }

    /// What opens the repository of a policy. Its secret is fetched each time.
    pub async fn settings(&self, policy: &PolicyConfig) -> Result<Settings, ServiceError> {
        let repository = self.repository(policy)?;
        Settings::fetch(repository, self.cache_dir.clone(), self.machine.clone()).await
    }

    /// What opens the repository that somebody names, or the one by default. Its secret is fetched each
    /// time.
    pub(crate) async fn settings_at(&self, name: Option<&str>) -> Result<Settings, ServiceError> {
        let repository = self.repository_at(name)?;
        Settings::fetch(repository, self.cache_dir.clone(), self.machine.clone()).await
    }

    /// Where the points of a policy go, and what the key to that is: what the configuration says, or else
    /// that of the same place.
    pub(crate) fn repository(
        &self,
        policy: &PolicyConfig,
    ) -> Result<(Location, KeySource), ServiceError> {
        self.repository_at(policy.repositories.first().map(String::as_str))
    }

    /// Where a repository is that somebody names, or the one by default, and what the key to it is.
    pub(crate) fn repository_at(
        &self,
        name: Option<&str>,
    ) -> Result<(Location, KeySource), ServiceError> {
        let Some(name) = name else {
            return self.repository.clone().ok_or(ServiceError::NoRepository);
        };
        let unknown = || ServiceError::UnknownRepository(name.to_owned());
        let repository = self.config.repositories.get(name).ok_or_else(unknown)?;
        let location: Location = repository.url.parse()?;
        let same = self.repository.iter().find(|(other, _)| *other == location);
        let key = repository.key().or_else(|| same.map(|(_, key)| key.clone()));
        Ok((location, key.ok_or(SecretError::Missing)?))
    }
}
