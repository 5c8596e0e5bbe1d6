//! Directories for one test alone, on a filesystem of its choice.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The inode number of the root of every btrfs subvolume.
const SUBVOLUME_INODE: u64 = 256;

/// A new directory; dropping it removes it with everything inside, mounts and subvolumes included.
#[must_use = "the directory is removed when this is dropped"]
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// A directory where temporary files go.
    pub fn new() -> Self {
        Self::inside(&std::env::temp_dir())
    }

    /// A directory on the filesystem of `parent`; on btrfs it is a subvolume.
    pub fn inside(parent: &Path) -> Self {
        // The name is reserved in this way even where the directory itself cannot be used.
        let reserved = tempfile::Builder::new()
            .prefix("stillpoint-test-")
            .tempdir_in(parent)
            .unwrap_or_else(|e| panic!("{}: {e}", parent.display()))
            .keep();
        if is_btrfs(parent) {
            fs::remove_dir(&reserved).expect("the directory is empty");
            subvolume(&reserved);
        }
        Self(reserved)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of something inside it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A new directory inside it; on btrfs it is a subvolume.
    pub fn volume(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        if is_btrfs(&self.0) {
            subvolume(&path);
        } else {
            fs::create_dir(&path).expect("a new directory");
        }
        path
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let targets = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for target in targets.map(Path::new).filter(|target| target.starts_with(&self.0)).rev() {
            let _ = Command::new("umount").arg("--lazy").arg(target).status();
        }
        if is_btrfs(&self.0) {
            remove_subvolumes(&self.0);
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How many bytes the files below a directory have.
pub fn bytes_of(directory: &Path) -> u64 {
    let entries =
        fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry"));
    let bytes = |path: PathBuf| match fs::metadata(&path).expect("it is there") {
        metadata if metadata.is_dir() => bytes_of(&path),
        metadata => metadata.len(),
    };
    entries.map(|entry| bytes(entry.path())).sum()
}

/// A new filesystem in a file, mounted; dropping it removes it.
#[must_use = "the filesystem is removed when this is dropped"]
#[derive(Debug)]
pub struct Filesystem {
    mount: PathBuf,
    _directory: Directory,
}

impl Filesystem {
    /// A btrfs of that many MiB.
    pub fn btrfs(mebibytes: u64) -> Self {
        let directory = Directory::new();
        let (image, mount) = (directory.join("image"), directory.join("mount"));
        let file = fs::File::create(&image).expect("a new file");
        file.set_len(mebibytes << 20).expect("files can grow");
        fs::create_dir(&mount).expect("a new directory");
        run(Command::new("mkfs.btrfs").args(["--quiet", "--mixed"]).arg(&image));
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mount));
        Self { mount, _directory: directory }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }
}

/// Makes a btrfs subvolume at `path`.
pub fn subvolume(path: &Path) {
    run(Command::new("btrfs").args(["--quiet", "subvolume", "create"]).arg(path));
}

/// Runs a command that has to succeed, and returns what it wrote.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn is_btrfs(path: &Path) -> bool {
    const MAGIC: i64 = 0x9123_683e;
    rustix::fs::statfs(path).is_ok_and(|stat| stat.f_type == MAGIC)
}

// The deepest first. An ordinary removal fails for those that are read-only.
fn remove_subvolumes(path: &Path) {
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries.filter_map(Result::ok) {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_subvolumes(&entry.path());
        }
    }
    if fs::symlink_metadata(path).is_ok_and(|found| found.ino() == SUBVOLUME_INODE) {
        let mut delete = Command::new("btrfs");
        let _ = delete.args(["--quiet", "subvolume", "delete"]).arg(path).output();
    }
}
