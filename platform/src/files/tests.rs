//! Files on a real filesystem; what only root may do is left out for others.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use format::raw::RawPath;
use format::tree::{Attribute, FileTime, Metadata};
use rustix::process::geteuid;
use tempfile::TempDir;

use super::*;

fn scratch() -> (TempDir, Dir) {
    let dir = TempDir::new().unwrap();
    let open = Dir::open(dir.path()).unwrap();
    (dir, open)
}

fn is_root() -> bool {
    geteuid().is_root()
}

fn attribute(name: &str, value: &[u8]) -> Attribute {
    Attribute { name: RawPath::new(name), value: value.to_vec() }
}

fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut value = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

// u::rw-, u:1234:rw-, g::r--, m::rw-, o::---
fn access_acl() -> Attribute {
    let none = u32::MAX;
    let entries = [(1, 6, none), (2, 6, 1234), (4, 4, none), (16, 6, none), (32, 0, none)];
    attribute("system.posix_acl_access", &acl(&entries))
}

fn metadata(mode: u32) -> Metadata {
    let modified = FileTime { seconds: 1_000_000_000, nanoseconds: 123_456_789 };
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    Metadata { mode, uid, gid, modified, ..Metadata::default() }
}

fn refusals(applied: io::Result<Vec<Refusal>>) -> Vec<String> {
    applied.unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn a_tree_is_removed_however_deep_it_is() {
    let (scratch, dir) = scratch();
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("theirs"), "x").unwrap();
    let mut below = dir.create_dir(b"top").unwrap();
    for _ in 0..20_000 {
        below.create_file(b"file").unwrap();
        below.create_symlink(b"link", outside.path().as_os_str().as_encoded_bytes()).unwrap();
        below.create_dir(b"empty").unwrap();
        below = below.create_dir(b"d").unwrap();
    }
    drop(below);
    dir.remove_all(b"top").unwrap();
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    assert!(outside.path().join("theirs").exists());
    assert_eq!(dir.remove_all(b"top").unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn names_are_bytes_in_their_order() {
    let (_scratch, dir) = scratch();
    let long = vec![b'x'; 255];
    let names: [&[u8]; 6] = [b"a\nb", b"\xff\xfe", b"-rf", b" ", "Ü".as_bytes(), &long];
    for name in names {
        dir.create_file(name).unwrap();
    }
    let mut sorted: Vec<Vec<u8>> = names.iter().map(|name| name.to_vec()).collect();
    sorted.sort();
    assert_eq!(dir.names().unwrap(), sorted);
    assert_eq!(dir.names().unwrap(), sorted, "a second listing starts at the beginning");
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    let (_scratch, dir) = scratch();
    let metadata = metadata(0o600);
    for name in [b"".as_slice(), b".", b"..", b"a/b", b"/etc", b"../x", b"a\0b"] {
        assert!(dir.create_file(name).is_err());
        assert!(dir.create_dir(name).is_err());
        assert!(dir.create_symlink(name, b"x").is_err());
        assert!(dir.create_node(name, &FileKind::Fifo).is_err());
        assert!(dir.create_link(name, &dir, name).is_err());
        assert!(dir.open_dir(name).is_err());
        assert!(dir.open_file(name).is_err());
        assert!(dir.modify_file(name).is_err());
        assert!(dir.remove_file(name).is_err());
        assert!(dir.remove_dir(name).is_err());
        assert!(inspect(&dir, name).is_err());
        assert!(apply(&dir, name, &metadata).is_err());
    }
}

#[test]
fn symbolic_links_are_never_followed() {
    let (scratch, dir) = scratch();
    dir.create_dir(b"target").unwrap();
    dir.create_file(b"file").unwrap();
    dir.create_symlink(b"to-dir", b"target").unwrap();
    dir.create_symlink(b"to-file", b"file").unwrap();
    dir.create_symlink(b"nowhere", b"\xffgone").unwrap();
    assert!(dir.open_dir(b"to-dir").is_err());
    assert!(dir.open_file(b"to-file").is_err());
    assert!(dir.modify_file(b"to-file").is_err());
    assert!(dir.create_file(b"nowhere").is_err());
    let target = RawPath::new(b"\xffgone".to_vec());
    assert_eq!(inspect(&dir, b"nowhere").unwrap().kind, FileKind::Symlink { target });
    let before = inspect(&dir, b"file").unwrap();
    apply(&dir, b"to-file", &metadata(0o777)).unwrap();
    assert_eq!(inspect(&dir, b"file").unwrap(), before);
    assert_eq!(inspect(&dir, b"to-file").unwrap().metadata.modified, metadata(0).modified);
    assert_eq!(inspect_path(&scratch.path().join("to-dir")).unwrap().kind, FileKind::Directory);
}

#[test]
fn reading_something_else_than_a_file_is_refused_at_once() {
    let (_scratch, dir) = scratch();
    dir.create_node(b"pipe", &FileKind::Fifo).unwrap();
    dir.create_dir(b"dir").unwrap();
    for name in [b"pipe".as_slice(), b"dir"] {
        assert!(dir.open_file(name).is_err());
        assert!(dir.modify_file(name).is_err());
    }
    assert!(dir.create_node(b"x", &FileKind::File).is_err());
}

#[test]
fn every_kind_of_file_is_made_and_known_again() {
    let (_scratch, dir) = scratch();
    let mut kinds = vec![FileKind::Fifo, FileKind::Socket];
    if is_root() {
        kinds.push(FileKind::CharacterDevice { major: 1, minor: 3 });
        kinds.push(FileKind::BlockDevice { major: 259, minor: 70_000 });
    }
    for (index, kind) in kinds.iter().enumerate() {
        let name = index.to_string().into_bytes();
        dir.create_node(&name, kind).unwrap();
        assert_eq!(refusals(apply(&dir, &name, &metadata(0o640))), [""; 0]);
        let inspected = inspect(&dir, &name).unwrap();
        assert_eq!(inspected.kind, *kind);
        assert_eq!(inspected.metadata, metadata(0o640));
    }
    dir.create_file(b"file").unwrap();
    dir.create_dir(b"dir").unwrap();
    assert_eq!(inspect(&dir, b"file").unwrap().kind, FileKind::File);
    assert_eq!(inspect(&dir, b"dir").unwrap().kind, FileKind::Directory);
}

#[test]
fn names_of_one_file_are_known_by_its_inode() {
    let (scratch, dir) = scratch();
    let sub = dir.create_dir(b"sub").unwrap();
    dir.create_file(b"one").unwrap().write_all(b"hello").unwrap();
    dir.create_symlink(b"link", b"one").unwrap();
    sub.create_link(b"two", &dir, b"one").unwrap();
    sub.create_link(b"link", &dir, b"link").unwrap();
    let (one, two) = (inspect(&dir, b"one").unwrap(), inspect(&sub, b"two").unwrap());
    assert_eq!(one, two);
    assert_eq!((one.links, one.size), (2, 5));
    let std = fs::metadata(scratch.path().join("one")).unwrap();
    assert_eq!((one.device, one.inode, one.allocated), (std.dev(), std.ino(), std.blocks() * 512));
    assert_eq!(
        (one.changed.seconds, i64::from(one.changed.nanoseconds)),
        (std.ctime(), std.ctime_nsec())
    );
    assert!(matches!(inspect(&sub, b"link").unwrap().kind, FileKind::Symlink { .. }));
    sub.remove_file(b"two").unwrap();
    sub.remove_file(b"link").unwrap();
    dir.remove_dir(b"sub").unwrap();
    assert_eq!(inspect_open(&dir.open_file(b"one").unwrap()).unwrap().links, 1);
}

#[test]
fn times_keep_their_nanoseconds_even_before_1970() {
    let (_scratch, dir) = scratch();
    dir.create_dir(b"dir").unwrap();
    for modified in [
        FileTime { seconds: -1, nanoseconds: 999_999_999 },
        FileTime { seconds: 5_000_000_000, nanoseconds: 1 },
    ] {
        apply(&dir, b"dir", &Metadata { modified, ..metadata(0o700) }).unwrap();
        assert_eq!(inspect(&dir, b"dir").unwrap().metadata.modified, modified);
    }
}

#[test]
fn attributes_and_acls_come_back_as_they_were() {
    // The temporary directory and a filesystem in memory, for the two list ACLs in different ways.
    for place in [std::env::temp_dir().as_path(), Path::new("/dev/shm")] {
        let scratch = TempDir::new_in(place).unwrap();
        let dir = Dir::open(scratch.path()).unwrap();
        let mut wanted = metadata(0o660);
        wanted.attributes = vec![
            access_acl(),
            attribute("user.empty", b""),
            attribute("user.page", &[7; 3000]),
            attribute("user.zeta", b"\0\xff"),
        ];
        dir.create_file(b"file").unwrap();
        assert_eq!(refusals(apply(&dir, b"file", &wanted)), [""; 0], "{}", place.display());
        assert_eq!(inspect(&dir, b"file").unwrap().metadata, wanted);

        let mut wanted = metadata(0o2770);
        let default = acl(&[(1, 7, u32::MAX), (4, 5, u32::MAX), (32, 0, u32::MAX)]);
        wanted.attributes = vec![attribute("system.posix_acl_default", &default)];
        let sub = dir.create_dir(b"dir").unwrap();
        assert_eq!(refusals(apply_open(&sub, &wanted)), [""; 0]);
        assert_eq!(inspect_open(&sub).unwrap().metadata, wanted);
    }
}

#[test]
fn an_attribute_above_a_page_is_read_whole() {
    // tmpfs takes 64 KiB, where ext4 takes less than a page.
    let scratch = TempDir::new_in("/dev/shm").unwrap();
    let dir = Dir::open(scratch.path()).unwrap();
    dir.create_file(b"file").unwrap();
    let attributes = vec![attribute("user.big", &vec![3; 65_536])];
    let wanted = Metadata { attributes, ..metadata(0o600) };
    assert_eq!(refusals(apply(&dir, b"file", &wanted)), [""; 0]);
    assert_eq!(inspect(&dir, b"file").unwrap().metadata, wanted);
}

#[test]
fn attributes_beyond_the_wanted_ones_go_away() {
    let (_scratch, dir) = scratch();
    dir.create_file(b"file").unwrap();
    let attributes = vec![access_acl(), attribute("user.old", b"1"), attribute("user.same", b"2")];
    apply(&dir, b"file", &Metadata { attributes, ..metadata(0o660) }).unwrap();
    let attributes = vec![attribute("user.same", b"3")];
    let wanted = Metadata { attributes, ..metadata(0o640) };
    assert_eq!(refusals(apply(&dir, b"file", &wanted)), [""; 0]);
    assert_eq!(inspect(&dir, b"file").unwrap().metadata, wanted);
}

#[test]
fn capabilities_and_set_id_bits_survive_a_change_of_owner() {
    if !is_root() {
        return;
    }
    let (_scratch, dir) = scratch();
    dir.create_file(b"file").unwrap();
    // cap_net_bind_service=ep, revision 2.
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let wanted = Metadata {
        uid: 4321,
        gid: 1234,
        attributes: vec![attribute("security.capability", &capability)],
        ..metadata(0o6755)
    };
    assert_eq!(refusals(apply(&dir, b"file", &wanted)), [""; 0]);
    assert_eq!(inspect(&dir, b"file").unwrap().metadata, wanted);
}

#[test]
fn links_and_pipes_have_owners_and_attributes_too() {
    if !is_root() {
        return;
    }
    let (_scratch, dir) = scratch();
    dir.create_symlink(b"link", b"/nowhere").unwrap();
    dir.create_node(b"pipe", &FileKind::Fifo).unwrap();
    for (name, mode) in [(b"link", 0o777), (b"pipe", 0o606)] {
        let attributes = vec![attribute("trusted.note", b"yes")];
        let wanted = Metadata { uid: 77, gid: 88, attributes, ..metadata(mode) };
        assert_eq!(refusals(apply(&dir, name, &wanted)), [""; 0]);
        assert_eq!(inspect(&dir, name).unwrap().metadata, wanted);
    }
}

#[test]
fn nonsense_is_refused_and_the_rest_is_set() {
    let (_scratch, dir) = scratch();
    dir.create_file(b"file").unwrap();
    let nonsense = Metadata {
        mode: 0o640,
        uid: u32::MAX,
        gid: u32::MAX,
        modified: FileTime { seconds: 0, nanoseconds: 0x3fff_ffff },
        attributes: vec![
            attribute("user.a\0b", b""),
            attribute("none", b""),
            attribute("user.x", b"1"),
        ],
        hard_link: None,
        stamp: None,
    };
    let refused = refusals(apply(&dir, b"file", &nonsense));
    assert_eq!(
        refused,
        [
            "the owner 4294967295:4294967295 cannot be set",
            "the attribute `user.a\\x00b` cannot be set",
            "the attribute `none` cannot be set",
            "the time of modification cannot be set",
        ]
    );
    let inspected = inspect(&dir, b"file").unwrap().metadata;
    assert_eq!((inspected.mode, inspected.attributes), (0o640, vec![attribute("user.x", b"1")]));
}

#[test]
fn an_ordinary_user_learns_what_could_not_be_set() {
    if !is_root() {
        return;
    }
    let (scratch, dir) = scratch();
    rustix::fs::chmod(scratch.path(), rustix::fs::Mode::from_raw_mode(0o777)).unwrap();
    // The identity of one thread only; the other tests stay what they are.
    std::thread::spawn(move || {
        rustix::thread::set_thread_gid(rustix::process::Gid::from_raw(1000)).unwrap();
        rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(1000)).unwrap();
        dir.create_file(b"file").unwrap();
        let wanted = Metadata { uid: 0, gid: 1000, ..metadata(0o6755) };
        let refused = refusals(apply(&dir, b"file", &wanted));
        assert_eq!(refused, ["the owner 0:1000 cannot be set", "the mode 6755 cannot be set"]);
        let inspected = inspect(&dir, b"file").unwrap().metadata;
        assert_eq!(inspected, Metadata { mode: 0o2755, uid: 1000, ..wanted });
        assert!(dir.open_file(b"file").is_ok());
    })
    .join()
    .unwrap();
}

#[test]
fn a_new_file_needs_fewer_calls_and_gets_the_same() {
    let (_scratch, dir) = scratch();
    let below = dir.create_dir(b"below").unwrap();
    let birth = Birth::below(&below).unwrap().unwrap();
    let mut wanted: Vec<Metadata> = [0o600, 0o644, 0o000, 0o4755].map(metadata).into();
    wanted.push(Metadata { attributes: vec![attribute("user.a", b"1")], ..metadata(0o640) });
    if is_root() {
        wanted.push(Metadata { uid: 12, gid: 34, ..metadata(0o640) });
    }
    for (index, wanted) in wanted.iter().enumerate() {
        let name = index.to_string().into_bytes();
        let file = below.create_file(&name).unwrap();
        assert_eq!(refusals(apply_new(&file, birth, wanted)), [""; 0]);
        assert_eq!(inspect(&below, &name).unwrap().metadata, *wanted);
    }
    // What is inherited has to be looked for.
    let default = acl(&[(1, 7, u32::MAX), (4, 5, u32::MAX), (32, 0, u32::MAX)]);
    let attributes = vec![attribute("system.posix_acl_default", &default)];
    for heritage in [Metadata { attributes, ..metadata(0o700) }, metadata(0o2700)] {
        apply_open(&below, &heritage).unwrap();
        assert_eq!(Birth::below(&below).unwrap(), None);
    }
}

#[test]
fn what_is_right_already_is_left_alone() {
    let (_scratch, dir) = scratch();
    dir.create_file(b"file").unwrap();
    let wanted = metadata(0o640);
    apply(&dir, b"file", &wanted).unwrap();
    let before = inspect(&dir, b"file").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(refusals(apply(&dir, b"file", &wanted)), [""; 0]);
    assert_eq!(inspect(&dir, b"file").unwrap(), before);
}

#[test]
fn what_is_removed_is_not_looked_for_elsewhere() {
    let (scratch, dir) = scratch();
    let kept = dir.create_dir(b"kept").unwrap();
    kept.create_file(b"file").unwrap();
    let gone = dir.create_dir(b"gone").unwrap();
    gone.create_dir(b"deep").unwrap().create_file(b"file").unwrap();
    gone.create_symlink(b"link", scratch.path().join("kept").as_os_str().as_encoded_bytes())
        .unwrap();
    dir.create_symlink(b"link", b"kept").unwrap();
    for name in [b"gone".as_slice(), b"link"] {
        dir.remove_all(name).unwrap();
    }
    assert_eq!(dir.names().unwrap(), [b"kept"]);
    assert_eq!(kept.names().unwrap(), [b"file"]);
}

fn runs(file: &File, size: u64) -> Vec<Segment> {
    segments(file, size).collect::<io::Result<_>>().unwrap()
}

const MIB: u64 = 1 << 20;

#[test]
fn holes_are_found_at_both_ends_and_between() {
    let (_scratch, dir) = scratch();
    let file = dir.create_file(b"sparse").unwrap();
    file.set_len(10 * MIB).unwrap();
    assert_eq!(runs(&file, 10 * MIB), [Segment::Hole { offset: 0, length: 10 * MIB }]);
    file.write_all_at(&vec![1; 1 << 20], 2 * MIB).unwrap();
    file.write_all_at(&vec![1; 1 << 20], 5 * MIB).unwrap();
    let expected = [
        Segment::Hole { offset: 0, length: 2 * MIB },
        Segment::Data { offset: 2 * MIB, length: MIB },
        Segment::Hole { offset: 3 * MIB, length: 2 * MIB },
        Segment::Data { offset: 5 * MIB, length: MIB },
        Segment::Hole { offset: 6 * MIB, length: 4 * MIB },
    ];
    assert_eq!(runs(&file, 10 * MIB), expected);
}

#[test]
fn a_file_without_holes_is_one_segment() {
    let (_scratch, dir) = scratch();
    let mut file = dir.create_file(b"full").unwrap();
    file.write_all(b"hello").unwrap();
    assert_eq!(runs(&file, 5), [Segment::Data { offset: 0, length: 5 }]);
    assert_eq!(runs(&file, 0), []);
    // No seeking for holes in there.
    let proc = File::open("/proc/self/status").unwrap();
    assert_eq!(runs(&proc, 7), [Segment::Data { offset: 0, length: 7 }]);
}

#[test]
fn segments_cover_what_was_asked_for_though_the_file_changes() {
    let (_scratch, dir) = scratch();
    let file = dir.create_file(b"file").unwrap();
    file.write_all_at(&vec![1; 1 << 20], 0).unwrap();
    file.set_len(4 * MIB).unwrap();
    for (before, after) in [(4 * MIB, 0), (4 * MIB, MIB / 2), (MIB / 2, 4 * MIB)] {
        let mut sum = 0;
        for segment in segments(&file, before) {
            let (Segment::Data { offset, length } | Segment::Hole { offset, length }) =
                segment.unwrap();
            assert_eq!(offset, sum);
            assert!(length > 0);
            sum += length;
            file.set_len(after).unwrap();
        }
        assert_eq!(sum, before);
    }
}

#[test]
fn a_single_file_can_be_the_root() {
    let (scratch, dir) = scratch();
    dir.create_file(b"file").unwrap();
    dir.create_symlink(b"link", b"file").unwrap();
    let direct = inspect(&dir, b"file").unwrap();
    assert_eq!(inspect_path(&scratch.path().join("link")).unwrap(), direct);
}

#[test]
fn whoever_waits_for_writers_reads_what_they_wrote() {
    const SIZE: usize = 512 << 20;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, vec![1; SIZE]).unwrap();
    let (mut caught, mut value) = (0, 1);
    while caught < 3 {
        value += 1;
        let changed = fs::metadata(&path).unwrap().modified().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        let new = vec![value; SIZE];
        let last = std::thread::scope(|scope| {
            let file = File::options().write(true).open(&path).unwrap();
            // One call, and then the end of the file has it, too.
            scope.spawn(move || assert_eq!(file.write_at(&new, 0).unwrap(), SIZE));
            while fs::metadata(&path).unwrap().modified().unwrap() == changed {
                std::hint::spin_loop();
            }
            let (file, mut last) = (File::open(&path).unwrap(), [0]);
            file.read_exact_at(&mut last, SIZE as u64 - 1).unwrap();
            caught += i32::from(last == [value - 1]);
            wait_for_writers(&file);
            file.read_exact_at(&mut last, SIZE as u64 - 1).unwrap();
            last[0]
        });
        assert_eq!(last, value);
    }
}
