//! Repositories as texts, and the trees that were backed up to them.
//!
//! A text has a line `= NAME` for each file, and below it the bytes in hexadecimal.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lsetxattr, makedev, mknodat,
    utimensat,
};

const LINE_BYTES: usize = 60;
const PAGE: usize = 4096;

/// Everything below a directory as a text.
pub fn text_of(directory: &Path) -> String {
    let mut text = String::new();
    for (name, bytes) in files_below(directory, directory) {
        writeln!(text, "= {name}").expect("texts can grow");
        for line in bytes.chunks(LINE_BYTES) {
            for byte in line {
                write!(text, "{byte:02x}").expect("texts can grow");
            }
            text.push('\n');
        }
    }
    text
}

/// Makes the files of a text below a directory, which is made too.
pub fn unpack(text: &str, directory: &Path) {
    let mut file: Option<(PathBuf, Vec<u8>)> = None;
    for line in text.lines().chain(["= "]) {
        if let Some(name) = line.strip_prefix("= ") {
            let begun = file.replace((directory.join(name), Vec::new()));
            if let Some((path, bytes)) = begun {
                fs::create_dir_all(path.parent().expect("a file is in a directory")).unwrap();
                fs::write(path, bytes).unwrap();
            }
        } else if let Some((_, bytes)) = &mut file {
            let digits = line.as_bytes().chunks(2);
            let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16);
            bytes.extend(digits.map(|two| byte(two).expect("two hexadecimal digits")));
        }
    }
}

fn files_below(root: &Path, directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.append(&mut files_below(root, &path));
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().expect("a plain name").to_owned();
            files.insert(name, fs::read(path).unwrap());
        }
    }
    files
}

/// Makes the tree of version 1 as it was before its first backup. Only root can.
pub fn make_tree(root: &Path) {
    for name in ["text", "links", "special", "owned", "deep/a/b/c/d/e/f/g", "empty"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    for number in 0..40_usize {
        let line = format!("line of file {number}\n");
        fs::write(root.join(format!("text/{number:02}")), line.repeat(number * 20)).unwrap();
    }
    fs::write(root.join("deep/a/b/c/d/e/f/g/file"), b"far down").unwrap();
    let pages = (0..512_usize).flat_map(|page| [u8::try_from(page % 251).unwrap(); PAGE]);
    fs::write(root.join("pages"), pages.collect::<Vec<u8>>()).unwrap();
    islands(&root.join("islands"), 0..150);
    links(&root.join("links"));
    special(&root.join("special"));
    for name in [&b"\xff\xfe not UTF-8"[..], b"new\nline", b"back\\slash", b"-dash"] {
        fs::write(root.join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
    let owned = root.join("owned/program");
    fs::write(&owned, b"#!/bin/sh\n").unwrap();
    chown(&owned, Some(1000), Some(4_000_000_000)).unwrap();
    fs::set_permissions(&owned, Permissions::from_mode(0o4751)).unwrap();
    lsetxattr(&owned, "user.note", b"a\0b", XattrFlags::empty()).unwrap();
    lsetxattr(root.join("empty"), "user.empty", b"", XattrFlags::empty()).unwrap();
    set_times(root);
}

/// Gives everything in the tree the times that it had before its first backup.
pub fn set_times(root: &Path) {
    date(root, 1_000_000_000);
}

/// Changes the tree as it was changed before its second backup.
pub fn change_tree(root: &Path) {
    let pages = OpenOptions::new().write(true).open(root.join("pages")).unwrap();
    for page in [5_usize, 77, 78, 79, 400] {
        pages.write_all_at(&[0xee; PAGE], (page * PAGE) as u64).unwrap();
    }
    pages.write_all_at(&[0xdd; 5000], (512 * PAGE) as u64).unwrap();
    islands(&root.join("islands"), 149..152);
    fs::remove_file(root.join("text/07")).unwrap();
    fs::rename(root.join("text/08"), root.join("text/moved")).unwrap();
    date(root, 1_100_000_000);
}

// A page of data every 64 KiB.
fn islands(path: &Path, numbers: std::ops::Range<u64>) {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).unwrap();
    for number in numbers {
        let byte = u8::try_from(number).unwrap();
        file.write_all_at(&[byte; PAGE], number * 65_536).unwrap();
    }
    file.sync_all().unwrap();
}

fn links(folder: &Path) {
    symlink("nowhere", folder.join("dangling")).unwrap();
    symlink(std::ffi::OsStr::from_bytes(b"\xff\n"), folder.join("bytes")).unwrap();
    lchown(folder.join("bytes"), Some(5), Some(6)).unwrap();
    fs::write(folder.join("first"), b"one file, two names").unwrap();
    fs::hard_link(folder.join("first"), folder.join("second")).unwrap();
}

fn special(folder: &Path) {
    for (name, kind, device) in [
        ("fifo", FileType::Fifo, 0),
        ("null", FileType::CharacterDevice, makedev(1, 3)),
        ("large numbers", FileType::CharacterDevice, makedev(500, 70_000)),
        ("loop", FileType::BlockDevice, makedev(7, 0)),
    ] {
        mknodat(CWD, folder.join(name), kind, Mode::from_raw_mode(0o640), device).unwrap();
    }
}

// Below first: what changes in a directory changes its time.
fn date(path: &Path, second: i64) {
    let metadata = fs::symlink_metadata(path).unwrap();
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            date(&entry.unwrap().path(), second);
        }
        File::open(path).unwrap().sync_all().unwrap();
    }
    // Something that depends on nothing but the name.
    let name = path.file_name().map_or(0, std::ffi::OsStr::len);
    let time = Timespec { tv_sec: second - 1_000 * i64::try_from(name).unwrap(), tv_nsec: 7 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}
