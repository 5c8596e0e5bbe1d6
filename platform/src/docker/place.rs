//! Where a path of the host really lies, and whether two of them are the same files.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::files::mounts::MountTable;

/// What lies at a path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Place {
    /// The path without symbolic links.
    pub(super) path: PathBuf,
    /// Whether there is a directory or a regular file; a text says what else it is.
    pub(super) content: Result<(), &'static str>,
    /// Device and path within the filesystem: the same for every mount of it.
    inside: Option<((u32, u32), PathBuf)>,
}

impl Place {
    /// Looks there.
    pub(super) fn find(path: &Path, mounts: &MountTable) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let kind = path.metadata()?.file_type();
        let content = if kind.is_dir() || kind.is_file() {
            Ok(())
        } else if kind.is_socket() {
            Err("a socket")
        } else if kind.is_fifo() {
            Err("a pipe")
        } else {
            Err("a device")
        };
        let inside =
            mounts.holding(&path).and_then(|mount| Some((mount.device, mount.inside(&path)?)));
        Ok(Self { path, content, inside })
    }

    /// Whether files of the one are files of the other.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let inside = match (&self.inside, &other.inside) {
            (Some((device, path)), Some((other_device, other_path))) => {
                device == other_device && nested(path, other_path)
            }
            _ => false,
        };
        inside || nested(&self.path, &other.path)
    }
}

fn nested(a: &Path, b: &Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn place(path: &str, device: u32, inside: &str) -> Place {
        Place { path: path.into(), content: Ok(()), inside: Some(((8, device), inside.into())) }
    }

    #[test]
    fn parents_children_and_other_mounts_of_the_same_files_overlap() {
        let data = place("/srv/db", 1, "/db");
        assert!(data.overlaps(&place("/srv", 0, "/srv")));
        assert!(data.overlaps(&place("/srv/db/wal", 2, "/")));
        assert!(data.overlaps(&place("/mnt/again", 1, "/db/base")));
        assert!(!data.overlaps(&place("/mnt/again", 2, "/db/base")));
        assert!(!data.overlaps(&place("/srv/db2", 1, "/db2")));
    }

    #[test]
    fn links_are_resolved_and_sockets_known() {
        let scratch = tempfile::TempDir::new().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        let mounts = MountTable::read().unwrap();
        fs::create_dir(root.join("real")).unwrap();
        std::os::unix::fs::symlink("real", root.join("link")).unwrap();
        let real = Place::find(&root.join("real"), &mounts).unwrap();
        assert_eq!(Place::find(&root.join("link"), &mounts).unwrap(), real);
        assert!(real.inside.is_some());
        let _listener = UnixListener::bind(root.join("socket")).unwrap();
        let socket = Place::find(&root.join("socket"), &mounts).unwrap();
        assert_eq!(socket.content, Err("a socket"));
        assert!(Place::find(&root.join("missing"), &mounts).is_err());
    }
}
