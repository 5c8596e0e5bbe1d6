//! The configuration: one TOML file, in which an unknown key is an error.

mod error;
mod nearest;
mod policy;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};

use catalog::Task;
use consistency::hooks::Declaration;
use jiff::Timestamp;
use platform::driver::Driver;
use platform::host::{Declared, DeclaredProcess, Host};
use repository::location::Location;
use scheduler::retention::is_reserved;
use scheduler::zone::Zone;
use serde::Deserialize;

pub use self::error::ConfigError;
pub use self::policy::PolicyConfig;
use crate::key::KeySource;
use crate::notices::ChannelConfig;
use crate::secret::SecretSource;

/// What the file says; an absent file says nothing.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The directory of the catalog.
    pub state_dir: Option<PathBuf>,
    /// The repositories, by name.
    #[serde(default)]
    pub repositories: BTreeMap<String, RepositoryConfig>,
    /// The applications, by name. Those of Docker are found by their labels, and need not be named.
    #[serde(default)]
    pub applications: BTreeMap<String, ApplicationConfig>,
    /// The hooks of applications, by the names of the application and of the container.
    #[serde(default)]
    pub hooks: BTreeMap<String, BTreeMap<String, Declaration>>,
    /// How much the service does at once.
    #[serde(default)]
    pub service: ServiceConfig,
    /// Where the service tells what it counts.
    #[serde(default)]
    pub metrics: MetricsConfig,
    /// Where the service is asked from elsewhere.
    pub api: Option<ApiConfig>,
    /// Who is told of what, by the names of the channels.
    #[serde(default)]
    pub notifications: BTreeMap<String, ChannelConfig>,
    /// The policies, by name.
    #[serde(default)]
    pub policies: BTreeMap<String, PolicyConfig>,
}

/// One repository.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RepositoryConfig {
    /// Where it lies: a path, `file:///..` or `s3://..`.
    pub url: String,
    /// Where its passphrase is.
    pub passphrase: Option<SecretSource>,
    /// Its key file; instead of a passphrase.
    pub key_file: Option<PathBuf>,
}

impl RepositoryConfig {
    /// Where the key is that unlocks it.
    pub fn key(&self) -> Option<KeySource> {
        let file = self.key_file.clone().map(KeySource::File);
        file.or_else(|| self.passphrase.clone().map(KeySource::Passphrase))
    }
}

/// How much the service does at once.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceConfig {
    /// How many runs go on at once. With one, a prune of hours holds up every backup.
    pub runs: NonZeroU8,
    /// How many of them work on one repository.
    pub runs_per_repository: NonZeroU8,
}

// Two backups keep two cores busy.
impl Default for ServiceConfig {
    fn default() -> Self {
        let two = NonZeroU8::MIN.saturating_add(1);
        Self { runs: two, runs_per_repository: two }
    }
}

/// Where the service tells what it counts, and whether it is well.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct MetricsConfig {
    /// A loopback address, for nobody is asked who he is; such as `127.0.0.1:9417`.
    pub listen: Option<SocketAddr>,
}

/// Where the service is asked from elsewhere, by whoever has a token.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ApiConfig {
    /// The address, such as `0.0.0.0:9418`.
    pub listen: SocketAddr,
    /// A PEM file with the certificate, and those that lead to a known authority.
    pub certificate: PathBuf,
    /// A PEM file with the key to it.
    pub key: PathBuf,
}

/// One application of this host.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ApplicationConfig {
    /// What runs it.
    pub platform: DeclaredPlatform,
    /// The trees of files that it writes.
    #[serde(default)]
    pub directories: Vec<PathBuf>,
    /// How some of these are snapshotted: `btrfs`, `reflink`, `live` or `copy`.
    #[serde(default)]
    pub drivers: BTreeMap<PathBuf, Driver>,
    /// What has to stand still while they are snapshotted.
    #[serde(default)]
    pub processes: Vec<DeclaredProcess>,
    /// The policies by which it is backed up, besides those that its containers' labels name.
    #[serde(default)]
    pub policies: Vec<String>,
}

impl ApplicationConfig {
    fn describes_files(&self) -> bool {
        !(self.directories.is_empty() && self.drivers.is_empty() && self.processes.is_empty())
    }
}

/// What runs an application.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum DeclaredPlatform {
    /// A Docker engine; what belongs to the application is said by labels.
    Docker,
    /// Processes of this host.
    Host,
}

impl Config {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&read_text(path)?, path)
    }

    /// Reads the file at `path`, once, and answers its text with what it says: it may be a pipe.
    pub fn read_with_text(path: &Path) -> Result<(String, Self), ConfigError> {
        let text = read_text(path)?;
        let config = Self::parse(&text, path)?;
        Ok((text, config))
    }

    /// Reads the text of a file.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let meant = nearest::meant(error.message()).map(ToOwned::to_owned);
            ConfigError::Wrong { path: path.to_owned(), meant, source: Box::new(error) }
        })?;
        config.check_repositories()?;
        config.check_metrics()?;
        config.check_policies()?;
        config.check_hooks()?;
        config.check_notifications()?;
        Host::new(config.declared())?;
        Ok(config)
    }

    /// The applications of the host itself, as their platform takes them.
    pub fn declared(&self) -> Vec<Declared> {
        let declared = |(name, application): (&String, &ApplicationConfig)| Declared {
            name: name.clone(),
            directories: application.directories.clone(),
            drivers: application.drivers.clone(),
            processes: application.processes.clone(),
        };
        let on_host = |it: &(&String, &ApplicationConfig)| it.1.platform == DeclaredPlatform::Host;
        self.applications.iter().filter(on_host).map(declared).collect()
    }

    /// The repository to use when none is named: the only one, or the one called `main`.
    pub fn default_repository(&self) -> Option<&RepositoryConfig> {
        let only = (self.repositories.len() == 1).then(|| self.repositories.values().next());
        only.flatten().or_else(|| self.repositories.get("main"))
    }

    fn check_repositories(&self) -> Result<(), ConfigError> {
        for (name, repository) in &self.repositories {
            repository
                .url
                .parse::<Location>()
                .map_err(|source| ConfigError::Repository { name: name.clone(), source })?;
            if repository.passphrase.is_some() && repository.key_file.is_some() {
                return Err(ConfigError::TwoKeys(name.clone()));
            }
        }
        Ok(())
    }

    fn check_metrics(&self) -> Result<(), ConfigError> {
        match self.metrics.listen.filter(|address| !address.ip().is_loopback()) {
            Some(address) => Err(ConfigError::NotLoopback(address)),
            None => Ok(()),
        }
    }

    fn check_notifications(&self) -> Result<(), ConfigError> {
        for (name, channel) in &self.notifications {
            channel
                .check()
                .map_err(|source| ConfigError::Channel { name: name.clone(), source })?;
            let is_unknown = |policy: &&String| !self.policies.contains_key(*policy);
            if let Some(unknown) = channel.policies.iter().find(is_unknown) {
                return Err(undeclared(name, "policy", unknown));
            }
        }
        Ok(())
    }

    fn check_hooks(&self) -> Result<(), ConfigError> {
        for (application, containers) in &self.hooks {
            for (container, declaration) in containers {
                declaration.check().map_err(|reason| {
                    let (application, container) = (application.clone(), container.clone());
                    ConfigError::Hook { application, container, reason }
                })?;
            }
        }
        Ok(())
    }

    fn check_policies(&self) -> Result<(), ConfigError> {
        for (name, policy) in &self.policies {
            let is_unknown = |name: &&String| !self.repositories.contains_key(*name);
            if let Some(unknown) = policy.repositories.iter().find(is_unknown) {
                return Err(undeclared(name, "repository", unknown));
            }
            if policy.repositories.len() > 1 {
                return Err(ConfigError::SeveralRepositories(name.clone()));
            }
            if let Some(tag) = policy.tags.iter().find(|tag| is_reserved(tag)) {
                let (policy, tag) = (name.clone(), tag.clone());
                return Err(ConfigError::ReservedTag { policy, tag });
            }
            if let Some(key) = policy.meaningless() {
                let (policy, task) = (name.clone(), policy.task);
                return Err(ConfigError::NotForTask { policy, task, key });
            }
            let timing = policy.timing(&Zone::UTC);
            if timing.free(Timestamp::UNIX_EPOCH).is_none() {
                return Err(ConfigError::NoTime(name.clone()));
            }
        }
        for (name, application) in &self.applications {
            for policy in &application.policies {
                let known = self.policies.get(policy);
                let known = known.ok_or_else(|| undeclared(name, "policy", policy))?;
                if known.task != Task::Backup {
                    let (application, policy) = (name.clone(), policy.clone());
                    return Err(ConfigError::NoBackups { application, policy });
                }
            }
            if application.platform == DeclaredPlatform::Docker && application.describes_files() {
                return Err(ConfigError::NotOnHost(name.clone()));
            }
        }
        Ok(())
    }
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    let text = fs::read_to_string(path);
    text.map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

fn undeclared(user: &str, kind: &'static str, name: &str) -> ConfigError {
    ConfigError::Undeclared { user: user.to_owned(), kind, name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    #[test]
    fn a_whole_configuration_is_understood() {
        let config = read(
            r#"
            [repositories.main]
            url = "s3://backups/prod"
            passphrase = { file = "/run/secrets/stillpoint" }

            [applications.shop]
            platform = "host"
            directories = ["/srv/shop"]
            processes = [{ name = "db", pid_file = "/run/db.pid" }]
            policies = ["nightly"]

            [applications.wiki]
            platform = "docker"
            policies = ["nightly"]

            [policies.nightly]
            schedules = ['daily "02:00"', "weekly=sunday@12:00,4"]
            zone = "Europe/Berlin"
            jitter = "10m"
            blackouts = ["mon-fri 08:00-18:00"]
            catch_up = false
            keep = { daily = 7, within_hourly = "2d" }
            repositories = ["main"]

            [metrics]
            listen = "[::1]:9417"

            [api]
            listen = "0.0.0.0:9418"
            certificate = "/etc/stillpoint/tls.crt"
            key = "/etc/stillpoint/tls.key"

            [notifications.chat]
            webhook = { url = { file = "/etc/stillpoint/chat" }, body = '{"text": {{ text | tojson }}}' }
            policies = ["nightly"]

            [notifications.mail]
            mail = { server = "smtps://mail.example", from = "Backup <backup@example.org>", to = ["ops@example.org"] }

            [notifications.watch]
            ping = { url = "https://ping.example/0a1b" }
            on = ["run_succeeded", "run_failed"]

            [policies.proof]
            task = "check"
            schedules = ["daily 05:00"]
            read_data_within = "30d"
            limit_time = "2h"

            [hooks.shop.db]
            profile = "postgresql"
            post = ["rm", "-f", "/tmp/dump"]
            timeout = "90s"
            on_error = "continue"
            "#,
        )
        .unwrap();
        assert_eq!(config.declared().len(), 1);
        assert!(config.hooks["shop"]["db"].post.is_some());
        let policy = &config.policies["nightly"];
        assert_eq!((policy.jitter.as_secs(), policy.keep.counts.len()), (600, 1));
        let proof = &config.policies["proof"];
        assert_eq!(proof.limit_time, Some(Duration::from_hours(2)));
        assert_eq!(proof.read_data_within, Some(Duration::from_hours(30 * 24)));
        assert_eq!(config.default_repository().unwrap().url, "s3://backups/prod");
    }

    #[test]
    fn a_repository_opens_with_a_key_file_as_well() {
        let config = read("[repositories.a]\nurl = \"/x\"\nkey_file = \"/etc/key\"").unwrap();
        let key = config.default_repository().unwrap().key();
        assert_eq!(key, Some(KeySource::File("/etc/key".into())));
    }

    #[test]
    fn the_example_in_deploy_makes_sense() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/config.toml");
        let config = Config::read(&example).unwrap();
        assert_eq!(config.declared()[0].processes.len(), 3);
    }

    #[test]
    fn the_nearest_key_is_named() {
        for (text, nearest) in [
            ("[polices.p]\nschedules = []", "policies"),
            ("[policies.p]\nshedules = []", "schedules"),
            ("[policies.p]\nschedules = []\nkeep = { dayly = 7 }", "daily"),
            ("[policies.p]\nschedules = []\ntask = \"verfy\"", "verify"),
            ("[repositories.main]\nulr = \"/x\"", "url"),
            ("[applications.a]\nplatform = \"dokcer\"", "docker"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(&format!("did you mean `{nearest}`?")), "{text}: {error}");
        }
    }

    #[test]
    fn unknown_keys_zones_and_schedules_are_refused() {
        for text in [
            "colour = 1",
            "[metrics]\nlisten = \"0.0.0.0:9417\"",
            "[metrics]\nlisten = \"9417\"",
            "[api]\nlisten = \"0.0.0.0:9418\"",
            "[repositories.main]\nurl = \"x\"\ncolour = 1",
            "[repositories.main]\nurl = \"x\"\npassphrase = \"secret\"",
            "[repositories.main]\nurl = \"az://x\"",
            "[repositories.main]\nurl = \"x\"\npassphrase = { env = \"X\" }\nkey_file = \"y\"",
            "[applications.a]\nplatform = \"mainframe\"",
            "[hooks.a.b]\nbefore = \"x\"",
            "[hooks.a.b]\nprofile = \"oracle\"",
            "[hooks.a.b]\npre = \"x\"\ntimeout = \"-1s\"",
            "[hooks.a.b]\npre = []",
            "[applications.a]\nplatform = \"host\"\ndirectories = [\"relative\"]",
            "[notifications.a]",
            "[notifications.a]\non = [\"failure\"]",
            "[notifications.a]\nping = { url = \"http://x\" }\non = [\"sunset\"]",
            "[notifications.a]\nping = { url = \"http://x\" }\npolicies = [\"none\"]",
            "[notifications.a]\nping = { url = \"http://x\" }\nwebhook = { url = \"http://x\" }",
            "[notifications.a]\nwebhook = { url = \"http://x\", body = \"{{ colour }}\" }",
            "[notifications.a]\nmail = { server = \"nowhere\", from = \"a@b\", to = [\"a@b\"] }",
            "[notifications.a]\nmail = { server = \"smtp://x\", from = \"a\", to = [\"a@b\"] }",
            "[notifications.a]\nmail = { server = \"smtp://x\", user = \"a\", password = { env = \"P\" }, from = \"a@b\", to = [\"a@b\"] }",
            "[policies.p]\nschedules = [\"now and then\"]",
            "[policies.p]\nschedules = []\nzone = \"Europe/Atlantis\"",
            "[policies.p]\nschedules = []\njitter = \"25h\"",
            "[policies.p]\nschedules = []\njitter = \"-1s\"",
            "[policies.p]\nschedules = []\nkeep = { dayly = 7 }",
            "[policies.p]\nschedules = []\nrepositories = [\"nowhere\"]",
            "[policies.p]\nschedules = []\nblackouts = [\"00:00-24:00\"]",
            "[policies.p]\nschedules = []\ntask = \"dance\"",
            "[policies.p]\nschedules = []\ntask = \"prune\"\nkeep = { daily = 7 }",
            "[policies.p]\nschedules = [\"daily keep 7\"]\ntask = \"prune\"",
            "[policies.p]\nschedules = []\ntask = \"verify\"\ntags = [\"a\"]",
            "[policies.p]\nschedules = []\ntask = \"prune\"\nlimit_time = \"2h\"",
            "[policies.p]\nschedules = []\ntask = \"check\"\nlimit_time = \"soon\"",
            "[policies.p]\nschedules = []\ntask = \"check\"\nlimit_time = \"2h\"",
            "[policies.p]\nschedules = []\ntask = \"check\"\n[applications.a]\nplatform = \"docker\"\npolicies = [\"p\"]",
            "[applications.a]\nplatform = \"docker\"\npolicies = [\"none\"]",
            "[applications.a]\nplatform = \"docker\"\ndirectories = [\"/a\"]",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
