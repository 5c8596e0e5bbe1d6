//! Directories and files: entries, their metadata, and where their content lies.
//!
//! A directory is a stream of encoded [`Entry`] values in the order of their names, cut into
//! chunks like any other content, so that a directory of a million files is nothing special.
//! See docs/format.md#trees.

use serde::{Deserialize, Serialize};

use crate::ids::{ChunkId, ContentHash, Digest};
use crate::raw::RawPath;

/// A run of bytes of one chunk.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Slice {
    /// The chunk that holds the bytes.
    pub chunk: ChunkId,
    /// Where the run starts in the chunk's plaintext, in bytes.
    pub offset: u32,
    /// How many bytes the run has.
    pub length: u32,
}

/// One part of a file's content.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Extent {
    /// A whole chunk.
    Whole(Slice),
    /// Part of a chunk: the rest of it was overwritten since it was stored, or belongs elsewhere.
    Part {
        /// Which part.
        slice: Slice,
        /// Of the part's bytes, so that they can be recognised without the rest of the chunk.
        digest: Digest,
    },
    /// Bytes that read as zero and take no space, `length` of them.
    Hole {
        /// How many bytes the hole has.
        length: u64,
    },
}

impl Extent {
    /// How many bytes of the file this part covers.
    pub fn length(&self) -> u64 {
        match self {
            Self::Whole(slice) | Self::Part { slice, .. } => u64::from(slice.length),
            Self::Hole { length } => *length,
        }
    }

    /// Where the bytes are stored; `None` for a hole.
    pub fn slice(&self) -> Option<Slice> {
        match self {
            Self::Whole(slice) | Self::Part { slice, .. } => Some(*slice),
            Self::Hole { .. } => None,
        }
    }
}

/// One name in a directory.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Entry {
    /// The file name, without any slash; empty for the root of a volume.
    pub name: RawPath,
    /// What the file is.
    pub kind: Kind,
    /// Who owns it and how it is marked.
    pub metadata: Metadata,
}

/// What a file is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Kind {
    /// A regular file.
    File(Content),
    /// A directory.
    Directory {
        /// Where the stream of its entries is stored.
        listing: Vec<Slice>,
    },
    /// A symbolic link.
    Symlink {
        /// What it points to, as it was written.
        target: RawPath,
    },
    /// A named pipe.
    Fifo,
    /// A Unix socket that was bound here.
    Socket,
    /// A character device.
    CharacterDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

/// What a regular file holds.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Content {
    /// Its length in bytes, holes included.
    pub size: u64,
    /// Where its bytes are; the extents cover it from the first byte to the last.
    pub extents: Extents,
    /// What its bytes are as a whole; only for files of [`CONTENT_HASH_BYTES_MIN`] and more.
    pub hash: Option<ContentHash>,
}

/// Files of this size and more have a [`ContentHash`].
pub const CONTENT_HASH_BYTES_MIN: u64 = 1 << 20;

/// The extents of a file: in its entry when they are few, stored like a listing when they are many.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Extents {
    /// At most [`EXTENTS_HERE_MAX`].
    Here(#[serde(deserialize_with = "crate::bounded::list::<_, _, EXTENTS_HERE_MAX>")] Vec<Extent>),
    /// Where the stream of the extents is stored.
    Stored(Vec<Slice>),
}

/// How many extents an entry holds itself.
pub const EXTENTS_HERE_MAX: usize = 128;

/// How many extended attributes a file has at the most: Linux lists 64 KiB of names, each of which
/// takes two bytes or more.
pub const ATTRIBUTES_MAX: usize = 32 << 10;

impl Default for Extents {
    fn default() -> Self {
        Self::Here(Vec::new())
    }
}

/// Everything about a file that is neither its name nor its content.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Metadata {
    /// Permission bits, set-id and sticky bits included (`07777`).
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// When the content last changed.
    pub modified: FileTime,
    /// Extended attributes in the order of their names; POSIX ACLs are among them.
    #[serde(deserialize_with = "crate::bounded::list::<_, _, ATTRIBUTES_MAX>")]
    pub attributes: Vec<Attribute>,
    /// Set when the file has more than one name: equal values in one volume are one file.
    pub hard_link: Option<HardLink>,
    /// By what the file is recognised as unchanged; absent where that could not be relied on.
    pub stamp: Option<Stamp>,
}

/// What a filesystem changes whenever anything about a file changes.
///
/// With an equal stamp, size and time of modification, a file is taken for unchanged. A stamp is
/// recorded only where that holds: not when it is so young that a change might leave it as it is,
/// and not on filesystems that are not known to keep it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Stamp {
    /// The file's number on its filesystem.
    pub inode: u64,
    /// When anything about it last changed (`ctime`), which nobody can set at will.
    pub changed: FileTime,
}

/// One extended attribute.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Attribute {
    /// Its name, namespace included, such as `user.comment`.
    pub name: RawPath,
    /// Its value.
    pub value: Vec<u8>,
}

/// A moment as filesystems keep it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct FileTime {
    /// Seconds since 1970, negative before.
    pub seconds: i64,
    /// Nanoseconds of that second, below 1,000,000,000.
    pub nanoseconds: u32,
}

/// Names one of the files of a volume that have several names.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct HardLink {
    /// Which of the filesystems below the volume; the numbers mean nothing but their equality.
    pub filesystem: u32,
    /// The inode number on it.
    pub inode: u64,
}
