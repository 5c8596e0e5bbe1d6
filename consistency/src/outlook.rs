//! How a volume would be snapshotted, told without touching it.

use std::path::Path;

use platform::files::mounts::MountTable;

/// The driver that a backup of this path would most likely choose, from the type of its
/// filesystem alone; `None` when no mounted filesystem holds it.
///
/// A backup itself tries whether files can be cloned, which this does not.
pub fn likely_driver(source: &Path) -> Option<&'static str> {
    let table = MountTable::read().ok()?;
    let path = source.canonicalize().ok()?;
    Some(match table.holding(&path)?.filesystem.as_str() {
        "btrfs" => "btrfs",
        "xfs" | "bcachefs" | "ocfs2" => "reflink",
        _ => "copy",
    })
}
