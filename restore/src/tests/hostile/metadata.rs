//! Owners, modes, times and attributes that no filesystem has, and devices that no system has.
//!
//! The attack: numbers that wrap, are cut, or mean `leave it as it is` to the system.

use format::raw::RawPath;
use format::tree::{Attribute, FileTime, Kind, Metadata};

use super::arena::{Case, model, raw, run};

/// Three files, of which the one in the middle is spoiled.
fn marked(
    title: &'static str,
    says: &[&'static str],
    mark: impl FnOnce(&mut Metadata) + 'static,
) -> Case {
    Case::new(title, says, move |point, _| {
        let model = model(point, 3);
        let file = point.file("x", &model).kind;
        let mut bad = raw(b"b", file.clone());
        mark(&mut bad.metadata);
        point.directory(&[raw(b"a", file.clone()), bad, raw(b"c", file)])
    })
    .there(&["bad/a", "bad/b", "bad/c"])
}

fn attribute(title: &'static str, says: &[&'static str], name: &str, length: usize) -> Case {
    let name = RawPath::new(name);
    marked(title, says, move |m| {
        m.attributes = vec![Attribute { name, value: vec![0xa5; length] }];
    })
}

#[test]
fn modes_and_owners_beyond_all_bounds_are_named() {
    let cases = [
        marked("set-user-id of root", &[], |m| m.mode = 0o4755),
        marked("all bits", &[], |m| m.mode = 0o7777),
        marked("bits beyond those", &["bad/b: the mode"], |m| m.mode = 0o10_644),
        marked("all bits there are", &["bad/b: the mode"], |m| m.mode = u32::MAX),
        marked("nobody", &["bad/b: the owner"], |m| m.uid = u32::MAX),
        marked("no group", &["bad/b: the owner"], |m| m.gid = u32::MAX),
        marked("set-user-id of nobody", &["bad/b: the owner", "bad/b: the mode"], |m| {
            (m.mode, m.uid) = (0o4755, u32::MAX);
        }),
    ];
    run(cases);
}

#[test]
fn times_beyond_all_bounds_do_no_harm() {
    let time = |title, seconds| {
        marked(title, &[], move |m| m.modified = FileTime { seconds, nanoseconds: 999_999_999 })
    };
    let impossible = |title, nanoseconds| {
        let mut case = marked(title, &["bad: ", "`b` has an impossible time"], move |m| {
            m.modified = FileTime { seconds: 1, nanoseconds };
        });
        case = case.there(&["bad/a"]);
        case
    };
    let cases = [
        time("before 1970", -1),
        time("before all", i64::MIN),
        time("after all", i64::MAX),
        impossible("a second of nanoseconds", 1_000_000_000),
        // What `utimensat` takes for `now` and for `leave it`.
        impossible("now", (1 << 30) - 1),
        impossible("leave it", (1 << 30) - 2),
        impossible("the most nanoseconds", u32::MAX),
    ];
    run(cases);
}

#[test]
fn attributes_that_cannot_be_are_named() {
    let unset = "bad/b: the attribute `";
    let cases = [
        attribute("garbage for an ACL", &[unset, "posix_acl_access"], "system.posix_acl_access", 9),
        attribute("garbage for capabilities", &[unset], "security.capability", 100),
        attribute("without a name", &[unset], "", 1),
        attribute("without a namespace", &[unset, "plain"], "plain", 1),
        attribute("a namespace alone", &[unset, "user."], "user.", 1),
        attribute("unknown namespace", &[unset, "none.x"], "none.x", 1),
        attribute("NUL", &[unset], "user.a\0b", 1),
        attribute("65,537 bytes", &[unset, "user.a"], "user.a", 65_537),
        attribute("4 MiB", &[unset, "user.a"], "user.a", 4 << 20),
        marked("a name of 100,000 bytes", &[unset], |m| {
            let name = RawPath::new(format!("user.{}", "x".repeat(100_000)));
            m.attributes = vec![Attribute { name, value: Vec::new() }];
        }),
        marked("30,000 of them", &[unset], |m| {
            let attribute = |number| Attribute {
                name: RawPath::new(format!("user.{number:06}")),
                value: vec![7; 20],
            };
            m.attributes = (0..30_000).map(attribute).collect();
        }),
    ];
    run(cases);
}

#[test]
fn devices_that_no_system_has_are_lost() {
    let device = |title, kind: Kind| {
        Case::new(title, &["bad/b: cannot be made here"], move |point, _| {
            point.directory(&[raw(b"a", Kind::Fifo), raw(b"b", kind), raw(b"c", Kind::Socket)])
        })
        .there(&["bad/a", "bad/c"])
    };
    let cases = [
        device("all bits", Kind::CharacterDevice { major: u32::MAX, minor: u32::MAX }),
        // Cut to what the kernel takes, it would be /dev/sda.
        device("a cut major", Kind::BlockDevice { major: 0x1000 + 8, minor: 0 }),
        device("a cut minor", Kind::BlockDevice { major: 8, minor: 0x10_0000 }),
    ];
    run(cases);
}
