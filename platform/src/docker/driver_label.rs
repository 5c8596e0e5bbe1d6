//! The label by which a container says how its volumes shall be snapshotted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::container::Container;
use crate::driver::Driver;

/// `DRIVER`, for all that the container mounts, or `TARGET=DRIVER`; several with commas.
const LABEL: &str = "stillpoint.driver";

/// What a container asks for.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    all: Option<Driver>,
    targets: BTreeMap<PathBuf, Driver>,
}

impl Wanted {
    /// By the label of the container; a sentence when that makes no sense.
    pub(super) fn of(container: &Container) -> Result<Self, String> {
        let mut wanted = Self::default();
        let Some(label) = container.labels.get(LABEL) else { return Ok(wanted) };
        let wrong = |what: String| format!("label `{LABEL}`: {what}");
        for word in label.split(',').map(str::trim) {
            let (target, name) = match word.split_once('=') {
                Some((target, name)) => (Some(Path::new(target.trim())), name.trim()),
                None => (None, word),
            };
            let driver = name.parse().map_err(|error| wrong(format!("{error}")))?;
            let before = match target {
                None => wanted.all.replace(driver),
                Some(target) if container.mounts.iter().any(|mount| mount.target == target) => {
                    wanted.targets.insert(target.to_owned(), driver)
                }
                Some(target) => {
                    return Err(wrong(format!("nothing is mounted at `{}`", target.display())));
                }
            };
            if before.is_some_and(|before| before != driver) {
                return Err(wrong(format!("`{word}` contradicts what comes before it")));
            }
        }
        Ok(wanted)
    }

    /// For what is mounted there.
    pub(super) fn at(&self, target: &Path) -> Option<Driver> {
        self.targets.get(target).copied().or(self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::super::container::ContainerMount;
    use super::*;

    fn wanted(label: &str) -> Result<Wanted, String> {
        let mount = |target: &str| ContainerMount { target: target.into(), ..Default::default() };
        let mounts = ["/data", "/logs"].map(mount).to_vec();
        let labels = BTreeMap::from([(LABEL.to_owned(), label.to_owned())]);
        Wanted::of(&Container { labels, mounts, ..Container::default() })
    }

    #[test]
    fn a_label_names_a_driver_for_all_mounts_or_for_some() {
        let of = |label, target| wanted(label).unwrap().at(Path::new(target));
        assert_eq!(of("copy", "/data"), Some(Driver::Copy));
        assert_eq!(of("/data=copy, /logs=live", "/logs"), Some(Driver::Live));
        assert_eq!(of("/data=copy", "/logs"), None);
        assert_eq!(of("live,/data/=copy", "/data"), Some(Driver::Copy));
        assert_eq!(of("live,/data=copy", "/logs"), Some(Driver::Live));
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (label, told) in [
            ("zfs", "there is no driver `zfs`"),
            ("", "there is no driver ``"),
            ("/data=", "there is no driver ``"),
            ("/dta=copy", "nothing is mounted at `/dta`"),
            ("copy,live", "`live` contradicts"),
            ("/data=copy,/data=live", "`/data=live` contradicts"),
        ] {
            let error = wanted(label).unwrap_err();
            assert!(error.contains(told) && error.contains(LABEL), "{error}");
        }
    }
}
