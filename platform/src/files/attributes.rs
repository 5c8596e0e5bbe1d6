//! Extended attributes of every kind of file.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use format::raw::RawPath;
use format::tree::Attribute;
use rustix::fs::{getxattr, listxattr};
use rustix::io::Errno;

use super::handle::path_of;

/// All attributes in the order of their names; none where the filesystem has no such thing.
pub(super) fn read(handle: impl AsFd) -> io::Result<Vec<Attribute>> {
    let path = path_of(handle);
    let names = match whole(|buffer| listxattr(&path, buffer)) {
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut attributes = Vec::new();
    for name in names.split(|byte| *byte == 0) {
        // XFS lists ACLs a second time, in the form in which it stores them.
        if name.is_empty() || name.starts_with(b"trusted.SGI_ACL_") {
            continue;
        }
        if let Some(value) = value(&path, name)? {
            attributes.push(Attribute { name: RawPath::new(name), value });
        }
    }
    attributes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(attributes)
}

// An attribute may vanish between the list and this.
fn value(path: &Path, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    match whole(|buffer| getxattr(path, name, buffer)) {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        Err(error) => Err(error.into()),
    }
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
