//! A tree with every kind of file that POSIX and Linux know, and everything a file can have.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{PermissionsExt as _, chown, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lsetxattr, makedev, mknodat,
    utimensat,
};

use crate::directory::run;

const MANY_FILES: u32 = 3_000;
const LEVELS: u32 = 60;
const NOISE_BYTES: usize = 10 << 20;

/// Makes the tree; `root` must not exist. Only root can.
pub fn make(root: &Path) {
    let make_dir = |name: &str| fs::create_dir_all(root.join(name)).expect("a new directory");
    for name in ["names", "links/a/b", "holes", "special", "owned", "many", "empty/empty"] {
        make_dir(name);
    }
    contents(root);
    holes(&root.join("holes"));
    links(&root.join("links"));
    special(&root.join("special"));
    names(&root.join("names"));
    many(root);
    // In this order: an owner clears set-id bits, and every change of a file sets its time.
    owners_and_modes(&root.join("owned"));
    attributes(root);
    times(root);
}

/// Bytes that do not compress and never repeat, the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn contents(root: &Path) {
    write(&root.join("empty file"), b"");
    write(&root.join("one byte"), b"x");
    write(&root.join("noise"), &noise(1, NOISE_BYTES));
    write(&root.join("zeros"), &vec![0; 1 << 20]);
    write(&root.join("repeats"), &noise(2, 1 << 20).repeat(3));
}

fn holes(folder: &Path) {
    let piece = noise(3, 100_000);
    for (name, offsets, length) in [
        ("start", &[8 << 20][..], None),
        ("middle", &[0, 8 << 20][..], None),
        ("end", &[0][..], Some(16 << 20)),
        ("many", &[1 << 20, 3 << 20, (5 << 20) + 4096, 7_000_001][..], Some(9_000_001)),
        ("all", &[][..], Some(64 << 20)),
        ("not whole blocks", &[][..], Some(12_345)),
    ] {
        let mut file = File::create(folder.join(name)).expect("a new file");
        for offset in offsets {
            file.seek(SeekFrom::Start(*offset)).expect("files can be sought in");
            file.write_all(&piece).expect("the file can be written");
        }
        if let Some(length) = length {
            file.set_len(length).expect("files can grow");
        }
        file.sync_all().expect("the file can be synced");
    }
}

fn links(folder: &Path) {
    // The longest target there can be, where the filesystem stores one; XFS stores 1023.
    let long = |length: usize| "t/".repeat(2048)[..length].to_owned();
    symlink(long(4095), folder.join("long"))
        .or_else(|_| symlink(long(1023), folder.join("long")))
        .expect("a new link");
    symlink("nowhere", folder.join("dangling")).expect("a new link");
    symlink("/", folder.join("absolute")).expect("a new link");
    symlink("..", folder.join("a/up")).expect("a new link");
    symlink(OsStr::from_bytes(b"\xff\n"), folder.join("bytes")).expect("a new link");
    write(&folder.join("a/first"), b"one file, three names");
    for name in ["second", "a/b/third"] {
        fs::hard_link(folder.join("a/first"), folder.join(name)).expect("a new name");
    }
    fs::hard_link(folder.join("dangling"), folder.join("a/dangling too")).expect("a new name");
    write(&folder.join("no content"), b"");
    fs::hard_link(folder.join("no content"), folder.join("no content too")).expect("a new name");
}

fn special(folder: &Path) {
    let node = |name: &str, kind, device| {
        mknodat(CWD, folder.join(name), kind, Mode::from_raw_mode(0o640), device)
            .expect("root may make nodes");
    };
    node("fifo", FileType::Fifo, 0);
    node("null", FileType::CharacterDevice, makedev(1, 3));
    node("large numbers", FileType::CharacterDevice, makedev(500, 70_000));
    node("loop", FileType::BlockDevice, makedev(7, 0));
    fs::hard_link(folder.join("fifo"), folder.join("fifo too")).expect("a new name");
    // The address of a socket is short, so it is made where the name is short, and moved.
    let short = Path::new("/tmp").join(format!("stillpoint-{}", std::process::id()));
    drop(UnixListener::bind(&short).expect("a new socket"));
    run(Command::new("mv").arg(&short).arg(folder.join("socket")));
}

fn names(folder: &Path) {
    let names: [&[u8]; 15] = [
        b"\xff\xfe invalid UTF-8 \x80",
        b"new\nline",
        b"-dash",
        b"--help",
        b"back\\slash",
        b"\\x41",
        b"*",
        b"?[a]",
        b" ",
        b"...",
        b"~",
        b"quote\"'",
        b"\x01\x7f",
        "combined e\u{301}, composed \u{e9}".as_bytes(),
        &[b'n'; 255],
    ];
    for name in names {
        write(&folder.join(OsStr::from_bytes(name)), name);
    }
    let directory = OsString::from_vec([&[0xc3; 254][..], b"d"].concat());
    fs::create_dir(folder.join(&directory)).expect("a new directory");
    write(&folder.join(directory).join("inside"), b"");
}

fn many(root: &Path) {
    for number in 0..MANY_FILES {
        write(&root.join(format!("many/{number}")), format!("file {number}").as_bytes());
    }
    let mut deep = root.join("deep");
    for level in 0..LEVELS {
        deep.push(level.to_string());
    }
    fs::create_dir_all(&deep).expect("a new directory");
    write(&deep.join("bottom"), b"here");
}

fn owners_and_modes(folder: &Path) {
    for mode in [0o000, 0o400, 0o4755, 0o2755, 0o6711, 0o1644, 0o7777] {
        let path = folder.join(format!("{mode:o}"));
        write(&path, b"mode");
        chown(&path, Some(1234), Some(5678)).expect("root may");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("root may");
    }
    for mode in [0o555, 0o1777, 0o2750, 0o000] {
        let path = folder.join(format!("d{mode:o}"));
        fs::create_dir(&path).expect("a new directory");
        write(&path.join("inside"), b"inside");
        chown(&path, Some(0xffff_fffe), Some(1)).expect("root may");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("root may");
    }
    symlink("0", folder.join("link")).expect("a new link");
    lchown(folder.join("link"), Some(1234), Some(5678)).expect("root may");
}

fn attributes(root: &Path) {
    let set = |path: &str, name: &str, value: &[u8]| {
        lsetxattr(root.join(path), name, value, XattrFlags::empty())
            .unwrap_or_else(|e| panic!("{path}: {name}: {e}"));
    };
    for path in ["", "one byte", "empty", "owned/0", "owned/d555"] {
        set(path, "user.comment", b"a\0b\xff");
        set(path, "user.empty", b"");
        set(path, "trusted.stillpoint", b"trusted");
        set(path, "security.stillpoint", b"security");
    }
    set("noise", "user.long", &[b'v'; 2_000]);
    set("links/dangling", "trusted.link", b"of a link");
    set("special/fifo", "trusted.fifo", b"of a fifo");
    set("special/null", "security.stillpoint", b"of a device");
    // `cap_net_raw=ep` as the kernel stores it.
    let capability = [0x0200_0001_u32, 1 << 13, 0, 0, 0].map(u32::to_le_bytes).concat();
    write(&root.join("capable"), b"");
    set("capable", "security.capability", &capability);
    let acl = |entries: &str, path: &str| {
        run(Command::new("setfacl").args(["-m", entries]).arg(root.join(path)));
    };
    acl("u:1234:rw,g:5678:r,m::rw", "one byte");
    acl("d:u:1234:rwx,d:o::-", "empty");
    acl("u:99:x,d:g:7:rx", "many");
    acl("u:1:r", "special/fifo");
}

fn times(root: &Path) {
    let set = |path: &str, tv_sec, tv_nsec| {
        let time = Timespec { tv_sec, tv_nsec };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, root.join(path), &times, AtFlags::SYMLINK_NOFOLLOW).expect("root may");
    };
    set("one byte", -1, 999_999_999);
    set("empty file", -1_000_000_000, 1);
    set("zeros", 0, 0);
    // What XFS without big time stamps and ext4 with small inodes cannot keep is not asked for.
    set("noise", 8_000_000_000, 123_456_789);
    set("links/dangling", 1_234_567_890, 987_654_321);
    set("special/socket", 1, 2);
    set("owned/d555", 1_700_000_000, 500_000_001);
    set("empty", 1_600_000_000, 7);
    set("", 1_500_000_000, 3);
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
