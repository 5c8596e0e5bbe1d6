//! Gives a file its owner, mode, attributes and time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use format::raw::RawPath;
use format::tree::{Attribute, FileTime, Metadata};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, Statx, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags,
    chmod, chownat, fchmod, futimens, removexattr, setxattr, utimensat,
};
use rustix::io::Errno;
use thiserror::Error;

use super::attributes;
use super::directory::Dir;
use super::handle::{path_of, pin, stat};

/// Something that the system would not set; the rest was set nevertheless.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The owner or the group.
    #[error("the owner {uid}:{gid} cannot be set")]
    Owner {
        /// The user that was asked for.
        uid: u32,
        /// The group that was asked for.
        gid: u32,
        /// What the system said.
        source: io::Error,
    },
    /// The permission bits.
    #[error("the mode {mode:04o} cannot be set")]
    Mode {
        /// The mode that was asked for.
        mode: u32,
        /// What the system said.
        source: io::Error,
    },
    /// One extended attribute, or an ACL.
    #[error("the attribute `{name}` cannot be set")]
    Attribute {
        /// Its name.
        name: RawPath,
        /// What the system said.
        source: io::Error,
    },
    /// Attributes that the file has and should not have cannot be found.
    #[error("the present attributes cannot be read")]
    Attributes {
        /// What the system said.
        source: io::Error,
    },
    /// The time of the last modification.
    #[error("the time of modification cannot be set")]
    Times {
        /// What the system said.
        source: io::Error,
    },
}

/// Makes the metadata of a file that of `metadata`, and answers what could not be set.
///
/// Attributes and ACLs that the file has beyond those are removed. To be called after the content
/// is written and, for a directory, after its entries are made.
pub fn apply(dir: &Dir, name: &[u8], metadata: &Metadata) -> io::Result<Vec<Refusal>> {
    apply_to(pin(dir, name)?.as_fd(), metadata)
}

/// The same for an open file or directory.
pub fn apply_open(handle: &impl AsFd, metadata: &Metadata) -> io::Result<Vec<Refusal>> {
    apply_to(handle.as_fd(), metadata)
}

/// What every new file in some directories is born with, so that nobody has to look each time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Birth {
    uid: u32,
    gid: u32,
}

impl Birth {
    /// What files in this new directory, and in those made below it, are born with; `None` where
    /// they inherit more than an owner.
    pub fn below(dir: &Dir) -> io::Result<Option<Self>> {
        let stat = stat(dir)?;
        let inherits = stat.stx_mode & 0o2000 != 0 || !attributes::read(dir)?.is_empty();
        Ok((!inherits).then_some(Self { uid: stat.stx_uid, gid: stat.stx_gid }))
    }
}

/// The same as [`apply_open`] for a file that [`Dir::create_file`] just made, with fewer calls.
pub fn apply_new(file: &impl AsFd, birth: Birth, metadata: &Metadata) -> io::Result<Vec<Refusal>> {
    let owned = (birth.uid, birth.gid) == (metadata.uid, metadata.gid);
    if !owned || !metadata.attributes.is_empty() || metadata.mode > 0o777 {
        return apply_to(file.as_fd(), metadata);
    }
    let mut refusals = Vec::new();
    if let Err(error) = fchmod(file, Mode::from_raw_mode(metadata.mode)) {
        refusals.push(Refusal::Mode { mode: metadata.mode, source: error.into() });
    }
    let set = times(metadata.modified).and_then(|times| Ok(futimens(file, &times)?));
    if let Err(source) = set {
        refusals.push(Refusal::Times { source });
    }
    Ok(refusals)
}

// Owner first, since it clears set-id bits and capabilities. Attributes before the mode, which may
// forbid writing them. ACLs after it, for it would change their mask. Time last.
fn apply_to(handle: BorrowedFd<'_>, metadata: &Metadata) -> io::Result<Vec<Refusal>> {
    let mut refusals = Vec::new();
    let before = stat(handle)?;
    let symlink = FileType::from_raw_mode(before.stx_mode.into()) == FileType::Symlink;
    let (uid, gid) = (metadata.uid, metadata.gid);
    if (before.stx_uid, before.stx_gid) != (uid, gid)
        && let Err(source) = set_owner(handle, uid, gid)
    {
        refusals.push(Refusal::Owner { uid, gid, source });
    }
    set_attributes(handle, metadata, false, &mut refusals);
    if !symlink {
        let present = stat(handle)?;
        let allowed = grantable(metadata, &present);
        let mut result = Ok(());
        // Setting it once more would only change the file's stamp.
        if u32::from(present.stx_mode) & 0o7777 != allowed {
            result = chmod(path_of(handle), Mode::from_raw_mode(allowed));
        }
        set_attributes(handle, metadata, true, &mut refusals);
        // Bits are also dropped without a word, as the set-group-id of a foreign group.
        if u32::from(stat(handle)?.stx_mode) & 0o7777 != metadata.mode {
            result = result.and(Err(Errno::PERM));
        }
        if let Err(error) = result {
            refusals.push(Refusal::Mode { mode: metadata.mode, source: error.into() });
        }
    }
    let modified = before.stx_mtime;
    if (modified.tv_sec, modified.tv_nsec)
        != (metadata.modified.seconds, metadata.modified.nanoseconds)
        && let Err(source) = set_time(handle, metadata.modified)
    {
        refusals.push(Refusal::Times { source });
    }
    Ok(refusals)
}

fn set_owner(handle: BorrowedFd<'_>, uid: u32, gid: u32) -> io::Result<()> {
    if uid == u32::MAX || gid == u32::MAX {
        return Err(Errno::INVAL.into());
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    if let Err(error) = chownat(handle, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH) {
        // Who may not give a file away may still give it to one of their own groups.
        let _ = chownat(handle, "", None, Some(gid), AtFlags::EMPTY_PATH);
        return Err(error.into());
    }
    Ok(())
}

// A set-id bit without its owner would grant what nobody meant to grant.
fn grantable(metadata: &Metadata, stat: &Statx) -> u32 {
    let mut mode = metadata.mode & 0o7777;
    if stat.stx_uid != metadata.uid {
        mode &= !0o4000;
    }
    if stat.stx_gid != metadata.gid {
        mode &= !0o2000;
    }
    mode
}

fn set_attributes(
    handle: BorrowedFd<'_>,
    metadata: &Metadata,
    acls: bool,
    refusals: &mut Vec<Refusal>,
) {
    let path = path_of(handle);
    let present = attributes::read(handle).unwrap_or_else(|source| {
        refusals.push(Refusal::Attributes { source });
        Vec::new()
    });
    let ours = |attribute: &&Attribute| is_acl(&attribute.name) == acls;
    for Attribute { name, .. } in present.iter().filter(ours) {
        let wanted = metadata.attributes.iter().any(|wanted| wanted.name == *name);
        if !wanted
            && is_removable(name)
            && let Err(error) = removexattr(&path, name.as_bytes())
        {
            refusals.push(Refusal::Attribute { name: name.clone(), source: error.into() });
        }
    }
    for attribute in metadata.attributes.iter().filter(ours) {
        let Attribute { name, value } = attribute;
        if !present.contains(attribute)
            && let Err(error) = setxattr(&path, name.as_bytes(), value, XattrFlags::empty())
        {
            refusals.push(Refusal::Attribute { name: name.clone(), source: error.into() });
        }
    }
}

fn is_acl(name: &RawPath) -> bool {
    name.as_bytes().starts_with(b"system.posix_acl_")
}

// The others, such as SELinux labels, are the system's own to give.
fn is_removable(name: &RawPath) -> bool {
    let name = name.as_bytes();
    name.starts_with(b"user.")
        || name.starts_with(b"trusted.")
        || name.starts_with(b"system.posix_acl_")
        || name == b"security.capability"
}

fn set_time(handle: BorrowedFd<'_>, modified: FileTime) -> io::Result<()> {
    Ok(utimensat(CWD, path_of(handle), &times(modified)?, AtFlags::empty())?)
}

fn times(modified: FileTime) -> io::Result<Timestamps> {
    // Above are the values that mean `now` and `leave it`.
    if modified.nanoseconds >= 1_000_000_000 {
        return Err(Errno::INVAL.into());
    }
    Ok(Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec {
            tv_sec: modified.seconds,
            tv_nsec: modified.nanoseconds.into(),
        },
    })
}
