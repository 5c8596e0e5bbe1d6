use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags, lsetxattr, utimensat};

use super::*;
use crate::directory::Directory;

const MODIFIED: i64 = 1_000_000_000;

fn make(root: &Path) {
    fs::create_dir_all(root.join("d/empty")).unwrap();
    fs::write(root.join("d/file"), vec![7; 3 << 20]).unwrap();
    fs::write(root.join("one"), "same").unwrap();
    fs::hard_link(root.join("one"), root.join("two")).unwrap();
    symlink("one", root.join("link")).unwrap();
    let sparse = File::create(root.join("sparse")).unwrap();
    sparse.set_len(4 << 20).unwrap();
    lsetxattr(root.join("d"), "user.colour", b"red", XattrFlags::empty()).unwrap();
    for path in ["", "d", "d/empty", "d/file", "one", "link", "sparse"] {
        modify(&root.join(path), 5);
    }
}

fn modify(path: &Path, nanoseconds: i64) {
    let time = Timespec { tv_sec: MODIFIED, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// What is different after `change` was made to the second of two equal trees.
fn after(change: impl FnOnce(&Path)) -> Vec<(String, Aspect)> {
    let directory = Directory::new();
    let (a, b) = (directory.join("a"), directory.join("b"));
    make(&a);
    make(&b);
    assert_eq!(compare(&a, &b), []);
    change(&b);
    for path in ["", "d"] {
        modify(&b.join(path), 5);
    }
    let found = compare(&a, &b);
    found.into_iter().map(|d| (d.path.display().to_string(), d.aspect)).collect()
}

#[track_caller]
fn only(change: impl FnOnce(&Path), path: &str, aspect: Aspect) {
    assert_eq!(after(change), [(path.to_owned(), aspect)]);
}

#[test]
fn one_flipped_bit_is_seen() {
    let flip = |b: &Path| {
        let path = b.join("d/file");
        let mut bytes = fs::read(&path).unwrap();
        bytes[(2 << 20) + 1] ^= 1;
        fs::write(&path, bytes).unwrap();
        modify(&path, 5);
    };
    only(flip, "d/file", Aspect::Content);
}

#[test]
fn one_more_byte_is_seen() {
    let grow = |b: &Path| {
        fs::write(b.join("d/file"), vec![7; (3 << 20) + 1]).unwrap();
        modify(&b.join("d/file"), 5);
    };
    only(grow, "d/file", Aspect::Content);
}

#[test]
fn one_changed_attribute_is_seen() {
    let change = |b: &Path| {
        lsetxattr(b.join("d"), "user.colour", b"rad", XattrFlags::REPLACE).unwrap();
    };
    only(change, "d", Aspect::Attributes);
    let add = |b: &Path| {
        lsetxattr(b.join("link"), "trusted.new", b"", XattrFlags::CREATE).unwrap();
    };
    only(add, "link", Aspect::Attributes);
}

#[test]
fn one_nanosecond_is_seen() {
    only(|b| modify(&b.join("d/empty"), 6), "d/empty", Aspect::Modified);
    only(|b| modify(&b.join("link"), 4), "link", Aspect::Modified);
}

#[test]
fn one_mode_bit_is_seen() {
    let sticky = Permissions::from_mode(0o1755);
    only(|b| fs::set_permissions(b.join("d"), sticky).unwrap(), "d", Aspect::Mode);
}

#[test]
fn one_owner_is_seen() {
    only(|b| chown(b.join("d/empty"), None, Some(7)).unwrap(), "d/empty", Aspect::Owner);
}

#[test]
fn a_hard_link_that_became_a_file_is_seen() {
    let part = |b: &Path| {
        fs::remove_file(b.join("two")).unwrap();
        fs::write(b.join("two"), "same").unwrap();
        modify(&b.join("two"), 5);
    };
    let links = |name: &str| (name.to_owned(), Aspect::HardLinks);
    assert_eq!(after(part), [links("one"), links("two")]);
}

#[test]
fn a_link_that_leads_elsewhere_is_seen() {
    let swap = |b: &Path| {
        fs::remove_file(b.join("link")).unwrap();
        symlink("two", b.join("link")).unwrap();
        modify(&b.join("link"), 5);
    };
    only(swap, "link", Aspect::Target);
}

#[test]
fn missing_and_extra_files_are_seen() {
    only(|b| fs::remove_dir(b.join("d/empty")).unwrap(), "d/empty", Aspect::Missing);
    only(|b| fs::write(b.join("d/new"), "").unwrap(), "d/new", Aspect::Extra);
}

#[test]
fn another_kind_is_seen() {
    let swap = |b: &Path| {
        fs::remove_file(b.join("d/file")).unwrap();
        fs::create_dir(b.join("d/file")).unwrap();
    };
    only(swap, "d/file", Aspect::Kind);
}

#[test]
fn a_filled_hole_is_seen() {
    let fill = |b: &Path| {
        fs::write(b.join("sparse"), vec![0; 4 << 20]).unwrap();
        modify(&b.join("sparse"), 5);
    };
    only(fill, "sparse", Aspect::Holes);
}
