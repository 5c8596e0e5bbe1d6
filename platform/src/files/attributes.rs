//! Extended attributes of every kind of file.

use std::io;
use std::os::fd::AsFd;

use format::raw::RawPath;
use format::tree::Attribute;
use rustix::fs::{fgetxattr, flistxattr, getxattr, listxattr};
use rustix::io::Errno;

use super::handle::path_of;

/// All attributes in the order of their names; none where the filesystem has no such thing.
pub(super) fn read(handle: impl AsFd) -> io::Result<Vec<Attribute>> {
    let path = path_of(handle);
    collect(whole(|buffer| listxattr(&path, buffer)), |name| {
        whole(|buffer| getxattr(&path, name, buffer))
    })
}

/// The same of a file or directory that is open for more than its name.
pub(super) fn read_open(handle: impl AsFd) -> io::Result<Vec<Attribute>> {
    let handle = handle.as_fd();
    collect(whole(|buffer| flistxattr(handle, buffer)), |name| {
        whole(|buffer| fgetxattr(handle, name, buffer))
    })
}

fn collect(
    names: rustix::io::Result<Vec<u8>>,
    value: impl Fn(&[u8]) -> rustix::io::Result<Vec<u8>>,
) -> io::Result<Vec<Attribute>> {
    let names = match names {
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut attributes = Vec::new();
    for name in names.split(|byte| *byte == 0) {
        // XFS lists ACLs a second time, in the form in which it stores them.
        if name.is_empty() || name.starts_with(b"trusted.SGI_ACL_") {
            continue;
        }
        match value(name) {
            Ok(value) => attributes.push(Attribute { name: RawPath::new(name), value }),
            // An attribute may vanish between the list and this.
            Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    attributes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(attributes)
}

// The kernel allows neither a list nor a value above 64 KiB, and most are far below 1 KiB.
fn whole(
    mut read: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>,
) -> rustix::io::Result<Vec<u8>> {
    let mut small = [0; 1024];
    match read(&mut small) {
        Err(Errno::RANGE) => {
            let mut large = vec![0; 64 * 1024];
            let length = read(&mut large)?;
            large.truncate(length);
            Ok(large)
        }
        length => Ok(small.get(..length?).unwrap_or_default().to_vec()),
    }
}
