//! What the configuration says about an application of this host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::driver::Driver;
use crate::error::PlatformError;

/// An application of this host, as its operator declares it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// The trees of files that it writes, as absolute paths.
    #[serde(default)]
    pub directories: Vec<PathBuf>,
    /// How some of these directories shall be snapshotted; the others as their filesystem allows.
    #[serde(default)]
    pub drivers: BTreeMap<PathBuf, Driver>,
    /// What has to stand still while they are snapshotted.
    #[serde(default)]
    pub processes: Vec<DeclaredProcess>,
}

/// One service of an application: in TOML `{ name = "db", pid_file = "/run/db.pid" }`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "ProcessTable")]
pub struct DeclaredProcess {
    /// Its name, unique in the application.
    pub name: String,
    /// How it is found.
    #[serde(flatten)]
    pub source: ProcessSource,
    /// How long a lease or a watchdog's time lasts that it has to renew, such as `30s`.
    pub lease: Option<String>,
}

/// How the processes of a service are found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessSource {
    /// The name of a systemd unit, such as `nginx.service`; without a suffix it is a service.
    Unit(String),
    /// A cgroup, as an absolute path in its hierarchy.
    Cgroup(PathBuf),
    /// A file with the number of a process, whose descendants belong to it.
    PidFile(PathBuf),
}

impl Declared {
    /// Refuses what can never be found or would be ambiguous.
    pub(super) fn check(&self) -> Result<(), PlatformError> {
        let refuse = |reason: String| {
            Err(PlatformError::Declaration { application: self.name.clone(), reason })
        };
        if let Some(path) = self.directories.iter().find(|path| !path.is_absolute()) {
            return refuse(format!("the directory `{}` is no absolute path", path.display()));
        }
        if let Some(path) = self.drivers.keys().find(|path| !self.directories.contains(path)) {
            return refuse(format!(
                "`{}` has a driver and is none of the directories",
                path.display()
            ));
        }
        let mut names = BTreeSet::new();
        for DeclaredProcess { name, source, lease: _ } in &self.processes {
            if name.is_empty() {
                return refuse("a process has an empty name".to_owned());
            }
            if !names.insert(name) {
                return refuse(format!("two processes are called `{name}`"));
            }
            if !source.is_sound() {
                return refuse(format!("the source of process `{name}` leads nowhere"));
            }
        }
        Ok(())
    }
}

impl ProcessSource {
    fn is_sound(&self) -> bool {
        match self {
            Self::Unit(unit) => {
                !unit.contains(['/', '\0']) && !matches!(unit.as_str(), "" | "." | "..")
            }
            Self::Cgroup(path) => {
                let mut parts = path.components();
                parts.next() == Some(Component::RootDir)
                    && path != Path::new("/")
                    && parts.all(|part| matches!(part, Component::Normal(_)))
            }
            Self::PidFile(path) => path.is_absolute(),
        }
    }
}

// A flattened enum would let unknown keys pass.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProcessTable {
    name: String,
    unit: Option<String>,
    cgroup: Option<PathBuf>,
    pid_file: Option<PathBuf>,
    lease: Option<String>,
}

impl TryFrom<ProcessTable> for DeclaredProcess {
    type Error = String;

    fn try_from(table: ProcessTable) -> Result<Self, String> {
        let ProcessTable { name, unit, cgroup, pid_file, lease } = table;
        let source = match (unit, cgroup, pid_file) {
            (Some(unit), None, None) => ProcessSource::Unit(unit),
            (None, Some(path), None) => ProcessSource::Cgroup(path),
            (None, None, Some(path)) => ProcessSource::PidFile(path),
            _ => {
                return Err(format!(
                    "process `{name}` needs exactly one of `unit`, `cgroup` and `pid_file`"
                ));
            }
        };
        Ok(Self { name, source, lease })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        name = "shop"
        directories = ["/srv/db"]
        processes = [
            { name = "db", pid_file = "/run/db.pid" },
            { name = "web", unit = "nginx.service" },
            { name = "x", cgroup = "/x" },
        ]"#;

    fn process(name: &str, source: ProcessSource) -> DeclaredProcess {
        DeclaredProcess { name: name.to_owned(), source, lease: None }
    }

    #[test]
    fn a_declaration_is_read_from_toml_and_survives_json() {
        let declared: Declared = toml::from_str(TEXT).unwrap();
        assert_eq!(declared.directories, [PathBuf::from("/srv/db")]);
        let expected = [
            process("db", ProcessSource::PidFile("/run/db.pid".into())),
            process("web", ProcessSource::Unit("nginx.service".into())),
            process("x", ProcessSource::Cgroup("/x".into())),
        ];
        assert_eq!(declared.processes, expected);
        let json = serde_json::to_value(&declared).unwrap();
        assert_eq!(json["processes"][0]["pid_file"], "/run/db.pid");
        assert_eq!(serde_json::from_value::<Declared>(json).unwrap(), declared);
        assert!(declared.check().is_ok());
    }

    #[test]
    fn unknown_missing_and_double_keys_are_refused() {
        for process in [
            r#"{ name = "a" }"#,
            r#"{ name = "a", unit = "b", cgroup = "/c" }"#,
            r#"{ name = "a", unit = "b", colour = "red" }"#,
            r#"{ unit = "b" }"#,
        ] {
            let text = format!("name = \"shop\"\nprocesses = [{process}]");
            assert!(toml::from_str::<Declared>(&text).is_err(), "{process}");
        }
        assert!(toml::from_str::<Declared>("name = \"shop\"\ndirectory = []").is_err());
    }

    #[test]
    fn sources_that_lead_nowhere_are_refused() {
        let unit = |name: &str| ProcessSource::Unit(name.to_owned());
        let cgroup = |path: &str| ProcessSource::Cgroup(path.into());
        for source in [
            unit(""),
            unit(".."),
            unit("a/b"),
            cgroup("/"),
            cgroup("x"),
            cgroup("/a/../.."),
            ProcessSource::PidFile("run/db.pid".into()),
        ] {
            let processes = vec![process("a", source.clone())];
            let declared = Declared { name: "shop".into(), processes, ..Declared::default() };
            assert!(declared.check().is_err(), "{source:?}");
        }
    }
}
