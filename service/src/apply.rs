//! Another configuration in the place of the one there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use catalog::{EventId, Happening, HistoryFilter};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use crate::config::Config;
use crate::error::ServiceError;
use crate::machine::Machine;

/// What another configuration would change.
#[derive(Clone, Debug, Serialize)]
pub struct ApplyPlan {
    /// The file that would be another one.
    pub file: PathBuf,
    /// Whether what stands there now makes no sense.
    pub is_broken: bool,
    /// What would be otherwise, in the order of the file.
    pub changes: Vec<Difference>,
    #[serde(skip)]
    text: String,
    #[serde(skip)]
    is_there: bool,
}

/// Something that is otherwise in another configuration.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Difference {
    /// The table, such as `policies`.
    pub table: &'static str,
    /// Which of it; absent where it is a single one.
    pub name: Option<String>,
    /// What becomes of it.
    pub change: Change,
}

/// What becomes of something.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new.
    Added,
    /// It is otherwise.
    Changed,
    /// It is gone.
    Removed,
}

/// What a service made of a new configuration.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// There is none; the next one reads it.
    NoService,
    /// It goes by it.
    Follows,
    /// It goes on by the old one, because of this.
    Refuses(String),
    /// It has not said.
    Silent,
}

impl ApplyPlan {
    /// What would change if this text, which says `new`, stood in `file`. Where what stands there now makes
    /// no sense, everything is new.
    pub fn make(new: &Config, text: String, file: &Path) -> Result<Self, ServiceError> {
        // A link stays one.
        let file = match fs::canonicalize(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => absolute(file)?,
            found => found.map_err(|source| failed("look at the configuration", source))?,
        };
        let is_there = file.exists();
        let now = if is_there { Config::read(&file).ok() } else { Some(Config::default()) };
        let is_broken = now.is_none();
        let changes = differences(&now.unwrap_or_default(), new);
        Ok(Self { file, is_broken, changes, text, is_there })
    }

    /// Whether all stays as it is.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && !self.is_broken
    }

    /// Puts it in place, whole or not at all. What stood there before is kept beside it; answers where.
    pub fn carry_out(&self) -> Result<Option<PathBuf>, ServiceError> {
        let written = self.write().map_err(|source| failed("write the configuration", source));
        written.map(|()| self.is_there.then(|| self.before()))
    }

    /// Puts back what stood there before.
    pub fn take_back(&self) -> Result<(), ServiceError> {
        let back = || {
            if self.is_there {
                fs::rename(self.before(), &self.file)?;
            } else {
                fs::remove_file(&self.file)?;
            }
            sync_directory(&self.file)
        };
        back().map_err(|source| failed("put the configuration back", source))
    }

    fn before(&self) -> PathBuf {
        with_suffix(&self.file, ".old")
    }

    fn write(&self) -> io::Result<()> {
        if let Some(directory) = self.file.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let new = with_suffix(&self.file, &format!(".new-{}", std::process::id()));
        let written = self.write_beside(&new);
        if written.is_err() {
            // The error says more than one about this would.
            let _ = fs::remove_file(&new);
        }
        written?;
        sync_directory(&self.file)
    }

    fn write_beside(&self, new: &Path) -> io::Result<()> {
        // For its user only, or for whom the one before is.
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(new)?;
        if self.is_there {
            let before = fs::metadata(&self.file)?;
            fchown(&file, Some(before.uid()), Some(before.gid()))?;
            file.set_permissions(before.permissions())?;
            let (old, kept) = (self.before(), with_suffix(new, ".old"));
            // The same file, with its owner.
            fs::hard_link(&self.file, &kept)?;
            fs::rename(kept, old)?;
        }
        file.write_all(self.text.as_bytes())?;
        file.sync_all()?;
        fs::rename(new, &self.file)
    }
}

fn absolute(file: &Path) -> Result<PathBuf, ServiceError> {
    std::path::absolute(file).map_err(|source| failed("look at the configuration", source))
}

fn sync_directory(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

impl Machine {
    /// Has the service that listens on this socket read its configuration again, and waits for what it makes
    /// of it.
    pub async fn have_configuration_read(&self, socket: &Path) -> Result<Told, ServiceError> {
        use io::ErrorKind::{ConnectionRefused, NotFound};
        let stream = match UnixStream::connect(socket).await {
            Err(error) if [NotFound, ConnectionRefused].contains(&error.kind()) => {
                return Ok(Told::NoService);
            }
            connected => connected.map_err(|source| failed("ask who serves", source))?,
        };
        let peer = stream.peer_cred().map_err(|source| failed("ask who serves", source))?;
        let Some(pid) = peer.pid().and_then(Pid::from_raw) else { return Ok(Told::Silent) };
        let catalog = self.open_catalog().await?;
        let all = HistoryFilter::default();
        let told = async {
            let newest = catalog.event_page(&all, None, 1).await?;
            let mut last = newest.first().map_or_else(EventId::default, |(id, _)| *id);
            kill_process(pid, Signal::HUP)
                .map_err(|error| failed("tell the service", error.into()))?;
            let deadline = Instant::now() + PATIENCE;
            while Instant::now() < deadline {
                for (id, event) in catalog.events_after(&all, last, EVENTS_MAX).await? {
                    last = id;
                    match event.happening {
                        Happening::Reloaded => return Ok(Told::Follows),
                        Happening::NotReloaded { error } => return Ok(Told::Refuses(error)),
                        _ => {}
                    }
                }
                sleep(LOOK_AGAIN).await;
            }
            Ok(Told::Silent)
        };
        let told = told.await;
        catalog.close().await;
        told
    }
}

fn differences(now: &Config, new: &Config) -> Vec<Difference> {
    let single = |table, is_same: bool| {
        let change = Change::Changed;
        (!is_same).then_some(Difference { table, name: None, change })
    };
    let mut found: Vec<_> =
        single("state_dir", now.state_dir == new.state_dir).into_iter().collect();
    found.extend(in_table("repositories", &now.repositories, &new.repositories));
    found.extend(in_table("applications", &now.applications, &new.applications));
    found.extend(in_table("hooks", &now.hooks, &new.hooks));
    found.extend(single("service", now.service == new.service));
    found.extend(single("metrics", now.metrics == new.metrics));
    found.extend(single("api", now.api == new.api));
    found.extend(in_table("notifications", &now.notifications, &new.notifications));
    found.extend(in_table("policies", &now.policies, &new.policies));
    found
}

fn in_table<T: PartialEq>(
    table: &'static str,
    now: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
) -> Vec<Difference> {
    let names: BTreeSet<_> = now.keys().chain(new.keys()).collect();
    let difference = |name: &String| {
        let change = match (now.get(name), new.get(name)) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            (before, after) if before != after => Change::Changed,
            _ => return None,
        };
        Some(Difference { table, name: Some(name.clone()), change })
    };
    names.into_iter().filter_map(difference).collect()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn failed(action: &'static str, source: io::Error) -> ServiceError {
    ServiceError::System { action, source }
}

/// A service looks at its orders between two turns, one of which may wait for an engine.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const EVENTS_MAX: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, text).unwrap();
        Config::read(&path).unwrap()
    }

    #[test]
    fn each_difference_is_named_and_nothing_else() {
        let now = config(
            "[policies.a]\nschedules = [\"daily\"]\n[policies.b]\nschedules = [\"daily\"]\n\
             [policies.c]\nschedules = [\"daily\"]\n[repositories.main]\nurl = \"/a\"",
        );
        let new = config(
            "[policies.c]\nschedules = [\"hourly\"]\n[policies.d]\nschedules = [\"daily\"]\n\
             [policies.a]\nschedules = ['daily']\n[repositories.main]\nurl = \"/a\"\n\
             [metrics]\nlisten = \"127.0.0.1:1\"\n[service]\nruns = 3",
        );
        let named: Vec<_> = differences(&now, &new)
            .into_iter()
            .map(|it| (it.table, it.name.unwrap_or_default(), it.change))
            .collect();
        let policy = |name: &str, change| ("policies", name.to_owned(), change);
        let table = |name| (name, String::new(), Change::Changed);
        let expected = [
            table("service"),
            table("metrics"),
            policy("b", Change::Removed),
            policy("c", Change::Changed),
            policy("d", Change::Added),
        ];
        assert_eq!(named, expected);
        assert_eq!(differences(&now, &now), []);
    }
}
