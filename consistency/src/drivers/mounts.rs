//! What is mounted in a volume: a snapshot is of no use when that has changed since it was planned.

use std::path::{Path, PathBuf};

use format::raw::RawPath;
use platform::files::mounts::MountTable;

/// What was mounted in a volume.
#[derive(Clone, Debug)]
pub(super) struct Mounts {
    pub(super) volume: RawPath,
    pub(super) root: PathBuf,
    /// The filesystem that holds the root, and those below it.
    points: Vec<(u64, PathBuf)>,
}

impl Mounts {
    pub(super) fn of(table: &MountTable, volume: &RawPath, root: &Path) -> Self {
        let (volume, root, points) = (volume.clone(), root.to_owned(), look(table, root));
        Self { volume, root, points }
    }

    /// Whether that is the same by this table.
    pub(super) fn are_in(&self, table: &MountTable) -> bool {
        look(table, &self.root) == self.points
    }
}

fn look(table: &MountTable, root: &Path) -> Vec<(u64, PathBuf)> {
    let mounts = table.holding(root).into_iter().chain(table.below(root));
    mounts.map(|mount| (mount.id, mount.point.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_mounted_or_gone_is_noticed() {
        let table = |lines: &str| MountTable::parse(lines.as_bytes()).unwrap();
        let root = "20 1 8:1 / / rw - ext4 /dev/a rw\n";
        let volume = "21 20 8:2 / /srv/volume rw - xfs /dev/b rw\n";
        let inside = "22 21 8:3 / /srv/volume/deep rw - xfs /dev/c rw\n";
        let beside = "23 20 8:4 / /srv/other rw - xfs /dev/d rw\n";
        let name = RawPath::new("volume");
        let mounts = Mounts::of(&table(&[root, volume].concat()), &name, Path::new("/srv/volume"));
        assert!(mounts.are_in(&table(&[root, volume, beside].concat())));
        assert!(!mounts.are_in(&table(&[root, volume, inside].concat())));
        assert!(!mounts.are_in(&table(root)));
        let again = volume.replace("21 20", "31 20");
        assert!(!mounts.are_in(&table(&[root, &again].concat())), "mounted once more");
    }
}
