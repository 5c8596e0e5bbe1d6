//! Filesystems that hold no data: what they show is made up by the kernel as it is read.

use std::os::fd::AsFd;

/// Magic numbers from `linux/magic.h`.
const MAGICS: [u64; 12] = [
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

/// Whether a directory lies on such a filesystem.
pub(crate) fn is_pseudo(directory: impl AsFd) -> bool {
    rustix::fs::fstatfs(directory)
        .is_ok_and(|stat| u64::try_from(stat.f_type).is_ok_and(|magic| MAGICS.contains(&magic)))
}
