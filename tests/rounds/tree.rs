//! A tree of files that chance makes and changes.

use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FallocateFlags, Timespec, Timestamps, XattrFlags, fallocate, lsetxattr, utimensat,
};
use tests::chance::Chance;

const FILES: u32 = 60;
const EDITS: u32 = 25;

/// A directory with everything below it.
#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
    chance: Chance,
    names: u64,
    /// What was done, to be shown when a test fails.
    pub(crate) log: Vec<String>,
}

impl Tree {
    /// Makes the tree of a seed in a new directory.
    pub(crate) fn make(root: &Path, seed: u64) -> Self {
        fs::create_dir(root).unwrap();
        let chance = Chance::new(seed);
        let mut tree = Self { root: root.to_owned(), chance, names: 0, log: Vec::new() };
        for _ in 0..12 {
            fs::create_dir(tree.new_path()).unwrap();
        }
        for _ in 0..FILES {
            tree.new_file();
        }
        for _ in 0..2 {
            let length = tree.chance.below(15 << 20) + (5 << 20);
            let (path, bytes) = (tree.new_path(), tree.bytes(length));
            fs::write(path, bytes).unwrap();
        }
        for _ in 0..4 {
            tree.new_link();
            tree.hard_link();
            tree.set_attribute();
            tree.set_length();
            tree.set_times();
        }
        tree
    }

    /// Changes it here and there.
    pub(crate) fn change(&mut self) {
        for _ in 0..EDITS {
            match self.chance.below(18) {
                0 => self.new_file(),
                1 => fs::create_dir(self.new_path()).unwrap(),
                2 => self.new_link(),
                3 => self.hard_link(),
                4 => self.append(),
                5 => self.insert(),
                6 => self.set_length(),
                7 => self.punch(),
                8 => self.rename(),
                9 => self.delete(),
                10 => self.file_to_directory(),
                11 => self.directory_to_file(),
                12 => self.set_times(),
                13 => self.set_mode(),
                14 => self.set_attribute(),
                15 => self.touch(),
                16 => self.overwrite(),
                _ => self.rewrite_unnoticed(),
            }
        }
    }

    /// Overwrites a file, keeping its size and its time of modification.
    pub(crate) fn rewrite_unnoticed(&mut self) {
        let Some(path) = self.file("rewrite unnoticed") else { return };
        let before = fs::metadata(&path).unwrap();
        self.overwrite_at(&path, before.len());
        let modified = Timespec { tv_sec: before.mtime(), tv_nsec: before.mtime_nsec() };
        set_times(&path, modified);
    }

    fn new_file(&mut self) {
        let longest = [0, 1, 100, 5_000, 70_000, 300_000, 3 << 20][self.chance.index(7)];
        let length = self.chance.below(longest + 1);
        let (path, bytes) = (self.new_path(), self.bytes(length));
        fs::write(path, bytes).unwrap();
    }

    fn new_link(&mut self) {
        let path = self.new_path();
        let target = PathBuf::from(format!("../{}", self.chance.below(100)));
        symlink(target, path).unwrap();
    }

    fn hard_link(&mut self) {
        let Some(file) = self.file("hard link") else { return };
        let path = self.new_path();
        fs::hard_link(file, path).unwrap();
    }

    fn overwrite(&mut self) {
        let Some(path) = self.file("overwrite") else { return };
        let length = fs::metadata(&path).unwrap().len();
        self.overwrite_at(&path, length);
    }

    // In place, in up to three ranges, and never beyond the end.
    fn overwrite_at(&mut self, path: &Path, length: u64) {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        for _ in 0..=self.chance.below(3) {
            let offset = self.chance.below(length);
            let count = (self.chance.below(100_000) + 1).min(length - offset);
            let bytes = self.bytes(count);
            file.write_all_at(&bytes, offset).unwrap();
        }
    }

    fn append(&mut self) {
        let Some(path) = self.file("append") else { return };
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let count = self.chance.below(500_000);
        let bytes = self.bytes(count);
        file.write_all_at(&bytes, file.metadata().unwrap().len()).unwrap();
    }

    fn insert(&mut self) {
        let Some(path) = self.file("insert") else { return };
        let mut bytes = fs::read(&path).unwrap();
        let offset = self.chance.index(bytes.len() + 1);
        let count = self.chance.below(10_000);
        let more = self.bytes(count);
        bytes.splice(offset..offset, more);
        fs::write(&path, bytes).unwrap();
    }

    // Shorter, or longer with a hole at the end.
    fn set_length(&mut self) {
        let Some(path) = self.file("set length") else { return };
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let length = file.metadata().unwrap().len();
        let more = if self.chance.once_in(2) { 3 << 20 } else { 0 };
        let new = self.chance.below(length + more + 1);
        file.set_len(new).unwrap();
    }

    fn punch(&mut self) {
        let Some(path) = self.file("punch") else { return };
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let offset = self.chance.below(file.metadata().unwrap().len());
        let count = self.chance.below(2 << 20) + 1;
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&file, flags, offset, count).unwrap();
    }

    fn rename(&mut self) {
        let Some(from) = self.any("rename", |_| true) else { return };
        let to = self.new_path();
        if !to.starts_with(&from) {
            fs::rename(from, to).unwrap();
        }
    }

    fn delete(&mut self) {
        let deletable = |path: &Path| !path.is_dir() || entries(path).len() < 6;
        let Some(path) = self.any("delete", deletable) else { return };
        remove(&path);
    }

    fn file_to_directory(&mut self) {
        let Some(path) = self.file("file to directory") else { return };
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "inside").unwrap();
    }

    fn directory_to_file(&mut self) {
        let small = |path: &Path| is_directory(path) && entries(path).len() < 3;
        let Some(path) = self.any("directory to file", small) else { return };
        remove(&path);
        let bytes = self.bytes(1_000);
        fs::write(&path, bytes).unwrap();
    }

    fn touch(&mut self) {
        let Some(path) = self.file("touch") else { return };
        let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        set_times(&path, now);
    }

    fn set_times(&mut self) {
        let Some(path) = self.any("set times", |_| true) else { return };
        let seconds = [-1, 0, 1_234_567_890, 4_000_000_000][self.chance.index(4)];
        let nanoseconds = [0, 1, 999_999_999][self.chance.index(3)];
        set_times(&path, Timespec { tv_sec: seconds, tv_nsec: nanoseconds });
    }

    fn set_mode(&mut self) {
        let Some(path) = self.any("set mode", |path| !path.is_symlink()) else { return };
        let mode = [0o000, 0o400, 0o4755, 0o2750, 0o1777, 0o600][self.chance.index(6)];
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn set_attribute(&mut self) {
        let Some(path) = self.any("set attribute", |path| !path.is_symlink()) else { return };
        let length = self.chance.index(300);
        let value = self.chance.noise(length);
        let name = ["user.one", "user.two", "trusted.three"][self.chance.index(3)];
        lsetxattr(&path, name, &value, XattrFlags::empty()).unwrap();
    }

    // Of two kinds, and some of both: what compresses and what does not.
    fn bytes(&mut self, length: u64) -> Vec<u8> {
        let length = usize::try_from(length).unwrap();
        if self.chance.once_in(3) {
            let word = self.chance.noise(7);
            word.into_iter().cycle().take(length).collect()
        } else {
            self.chance.noise(length)
        }
    }

    /// A name that was never there, in some directory.
    fn new_path(&mut self) -> PathBuf {
        self.names += 1;
        let mut name = self.names.to_string().into_bytes();
        if self.chance.once_in(4) {
            name.extend_from_slice(b" \xff\n\xc3");
        }
        let directory = self.any("in", is_directory).unwrap_or_else(|| self.root.clone());
        directory.join(OsString::from_vec(name))
    }

    fn file(&mut self, what: &str) -> Option<PathBuf> {
        self.any(what, |path| !path.is_symlink() && path.is_file())
    }

    fn any(&mut self, what: &str, fitting: impl Fn(&Path) -> bool) -> Option<PathBuf> {
        let mut found = Vec::new();
        below(&self.root, &mut found);
        found.retain(|path| fitting(path));
        // The filesystem has its own order, which chance must not depend on.
        found.sort();
        if found.is_empty() {
            return None;
        }
        let path = found.swap_remove(self.chance.index(found.len()));
        self.log.push(format!("{what}: {}", path.display()));
        Some(path)
    }
}

fn is_directory(path: &Path) -> bool {
    !path.is_symlink() && path.is_dir()
}

fn entries(path: &Path) -> Vec<PathBuf> {
    fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn below(directory: &Path, found: &mut Vec<PathBuf>) {
    for path in entries(directory) {
        if is_directory(&path) {
            below(&path, found);
        }
        found.push(path);
    }
}

fn remove(path: &Path) {
    if is_directory(path) { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
}

fn set_times(path: &Path, time: Timespec) {
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}
