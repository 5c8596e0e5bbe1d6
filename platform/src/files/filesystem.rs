//! What the kind of a filesystem says about its files.

use std::os::fd::AsFd;

/// Magic numbers from `linux/magic.h`: what they show is made up by the kernel as it is read.
const PSEUDO: [u64; 12] = [
    0x0000_9fa0, // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x0000_1cd1, // devpts
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x6165_676c, // pstore
    0xcafe_4a11, // bpf
    0x1980_0202, // mqueue
    0x6265_6570, // configfs
];

/// They change a file's number or its time of change whenever anything about it changes.
const STAMPING: [u64; 3] = [
    0x0000_ef53, // ext2, ext3 and ext4
    0x5846_5342, // XFS
    0x9123_683e, // btrfs
];

/// The kinds of filesystems that are treated differently.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Filesystem {
    /// It holds no data.
    Pseudo,
    /// Its stamps can be relied on.
    Stamping,
    /// It holds data, and its files have to be read each time.
    Other,
}

impl Filesystem {
    /// Of an open directory.
    pub fn of(directory: impl AsFd) -> Self {
        let Ok(stat) = rustix::fs::fstatfs(directory) else { return Self::Other };
        match u64::try_from(stat.f_type) {
            Ok(magic) if PSEUDO.contains(&magic) => Self::Pseudo,
            Ok(magic) if STAMPING.contains(&magic) => Self::Stamping,
            _ => Self::Other,
        }
    }
}
