//! This host without any engine: applications are what the configuration declares.

mod declared;
mod members;
mod session;

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use format::raw::RawPath;

pub use self::declared::{Declared, DeclaredProcess, ProcessSource};
use self::members::Finder;
use self::session::HostSession;
use crate::Platform;
use crate::application::{Application, Member, MissingVolume, Mount, NoVolume, Volume, Watch};
use crate::cgroup::Hierarchies;
use crate::error::PlatformError;
use crate::files::mounts::MountTable;
use crate::kernel;
use crate::session::{Command, Session, Standing};

/// The applications that were declared for this host.
#[derive(Clone, Debug)]
pub struct Host {
    declared: BTreeMap<String, Declared>,
}

impl Host {
    /// A platform with these applications.
    pub fn new(declared: Vec<Declared>) -> Result<Self, PlatformError> {
        let mut by_name = BTreeMap::new();
        for declared in declared {
            declared.check()?;
            let application = declared.name.clone();
            if by_name.insert(application.clone(), declared).is_some() {
                let reason = "it is declared twice".to_owned();
                return Err(PlatformError::Declaration { application, reason });
            }
        }
        Ok(Self { declared: by_name })
    }
}

#[async_trait]
impl Platform for Host {
    fn name(&self) -> &'static str {
        PLATFORM
    }

    async fn applications(&self) -> Result<Vec<Application>, PlatformError> {
        self.declared.values().map(examine).collect()
    }

    async fn application(&self, name: &str) -> Result<Application, PlatformError> {
        let unknown =
            || PlatformError::UnknownApplication { platform: PLATFORM, name: name.to_owned() };
        examine(self.declared.get(name).ok_or_else(unknown)?)
    }

    fn address(&self) -> &'static str {
        ""
    }

    async fn standing(&self, _: &str) -> Result<Standing, PlatformError> {
        Ok(Standing::Runs)
    }

    async fn command(&self, _: &str, command: &Command) -> Result<Box<dyn Session>, PlatformError> {
        Ok(Box::new(HostSession::start(command)?))
    }
}

const PLATFORM: &str = "host";

fn examine(declared: &Declared) -> Result<Application, PlatformError> {
    let proc = |source| PlatformError::Unreadable { path: PathBuf::from("/proc/self"), source };
    let finder = Finder {
        application: &declared.name,
        hierarchies: &Hierarchies::among(&MountTable::read().map_err(proc)?),
        lineage: &kernel::own_lineage().map_err(proc)?,
    };
    let mut members = Vec::new();
    for process in &declared.processes {
        let watch = Watch { lease: process.lease.clone(), ..Watch::default() };
        let found = finder.members(process)?.into_iter();
        members.extend(found.map(|member| Member { watch: watch.clone(), ..member }));
    }
    members.sort_by(|a, b| a.name.cmp(&b.name));
    let (mut left_out, mut missing) = (Vec::new(), Vec::new());
    let mut volumes = BTreeMap::new();
    for directory in &declared.directories {
        match volume(declared, directory, &members) {
            Ok(volume) => drop(volumes.entry(volume.source.clone()).or_insert(volume)),
            Err(NoVolume::LeftOut(reason)) => {
                left_out.push(format!("`{}` is left out: {reason}", directory.display()));
            }
            Err(NoVolume::Missing(reason)) => {
                let name = RawPath::new(directory.as_os_str().as_bytes());
                missing.push(MissingVolume { name, reason });
            }
        }
    }
    let mut volumes: Vec<Volume> = volumes.into_values().collect();
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    let definition = serde_json::to_value(declared).map_err(|error| {
        PlatformError::Declaration { application: declared.name.clone(), reason: error.to_string() }
    })?;
    let name = declared.name.clone();
    Ok(Application {
        name,
        platform: PLATFORM,
        members,
        volumes,
        left_out,
        missing,
        mistakes: Vec::new(),
        definition,
    })
}

// Every process may write every directory: nobody declared otherwise.
fn volume(declared: &Declared, directory: &Path, members: &[Member]) -> Result<Volume, NoVolume> {
    let source = directory.canonicalize().map_err(|error| NoVolume::Missing(error.to_string()))?;
    if let Some(tree) = kernel::KERNEL_TREES.iter().find(|tree| source.starts_with(tree)) {
        return Err(NoVolume::LeftOut(format!("{tree} belongs to the kernel")));
    }
    let mount = |member: &Member| Mount {
        member: member.name.clone(),
        target: directory.to_owned(),
        read_only: false,
    };
    Ok(Volume {
        name: RawPath::new(directory.as_os_str().as_bytes()),
        mounts: members.iter().map(mount).collect(),
        outside_writers: Vec::new(),
        driver: declared.drivers.get(directory).copied(),
        source,
    })
}

#[cfg(test)]
mod tests;
