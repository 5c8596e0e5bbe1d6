//! What is in the target already, when a restore is done in place.

use std::io;
use std::sync::Arc;

use format::frame::FRAME_BYTES_MAX;
use format::tree::{Content, Extent, Kind, Metadata};
use platform::files::direct::{AlignedBuffer, BLOCK_ALIGNMENT, BlockFile, read_block};
use platform::files::{self, Dir, FileKind, Inspected};
use repository::error::RepositoryError;
use repository::tree::ExtentReader;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use tokio::runtime::Handle;

use crate::block::BLOCK_BYTES;
use crate::site::Site;

/// A regular file that is there, to be compared with what is stored.
#[derive(Debug)]
pub(crate) struct PresentFile {
    file: Arc<BlockFile>,
    size: u64,
    buffer: AlignedBuffer,
}

/// What has this name, if anything.
pub(crate) fn look(dir: &Dir, name: &[u8]) -> io::Result<Option<Inspected>> {
    match files::inspect(dir, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// Whether what is there is of the kind that is wanted, content apart.
pub(crate) fn is_kind(found: &FileKind, wanted: &Kind) -> bool {
    match (found, wanted) {
        (FileKind::File, Kind::File(_))
        | (FileKind::Directory, Kind::Directory { .. })
        | (FileKind::Fifo, Kind::Fifo)
        | (FileKind::Socket, Kind::Socket) => true,
        (FileKind::Symlink { target }, Kind::Symlink { target: wanted }) => target == wanted,
        (
            FileKind::CharacterDevice { major, minor },
            Kind::CharacterDevice { major: wanted_major, minor: wanted_minor },
        )
        | (
            FileKind::BlockDevice { major, minor },
            Kind::BlockDevice { major: wanted_major, minor: wanted_minor },
        ) => (major, minor) == (wanted_major, wanted_minor),
        _ => false,
    }
}

/// Whether the metadata is what is wanted, so that nothing of it has to be set.
pub(crate) fn is_metadata(found: &Metadata, wanted: &Metadata) -> bool {
    let bare = |metadata: &Metadata| Metadata { hard_link: None, stamp: None, ..metadata.clone() };
    bare(found) == bare(wanted)
}

/// Takes what is there out of the way. A directory with files in it is left, unless `delete` says
/// that they may go.
pub(crate) fn clear_way(dir: &Dir, name: &[u8], found: &FileKind, delete: bool) -> io::Result<()> {
    match found {
        FileKind::Directory if delete => dir.remove_all(name),
        FileKind::Directory => dir.remove_dir(name),
        _ => dir.remove_file(name),
    }
}

impl PresentFile {
    pub(crate) fn new(file: std::fs::File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let is_small = size < BLOCK_BYTES as u64;
        let file = if is_small { BlockFile::cached(file) } else { BlockFile::new(file) };
        Ok(Self { file: Arc::new(file), size, buffer: AlignedBuffer::new() })
    }

    pub(crate) fn file(&self) -> &Arc<BlockFile> {
        &self.file
    }

    /// The bytes at `at`, if they are those of this extent.
    pub(crate) fn equal(
        &mut self,
        at: u64,
        extent: &Extent,
        site: &Site,
    ) -> io::Result<Option<&[u8]>> {
        let end = at.saturating_add(extent.length());
        let slice = extent.slice().filter(|slice| slice.length <= FRAME_BYTES_MAX);
        let Some(slice) = slice.filter(|_| end <= self.size) else { return Ok(None) };
        let within = at % BLOCK_ALIGNMENT as u64;
        let length = u64::from(slice.length).saturating_add(within);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        read_block(&self.file, at - within, &mut self.buffer, length)?;
        let bytes = usize::try_from(within).ok().and_then(|within| self.buffer.get(within..));
        let bytes = bytes.filter(|bytes| bytes.len() == slice.length as usize);
        let is_equal = |bytes: &&[u8]| match extent {
            Extent::Whole(slice) => slice.offset == 0 && site.keys().chunk_id(bytes) == slice.chunk,
            Extent::Part { digest, .. } => site.keys().digest(bytes) == *digest,
            Extent::Hole { .. } => false,
        };
        Ok(bytes.filter(is_equal))
    }

    /// Whether there is anything but a hole in this run.
    pub(crate) fn has_data(&self, at: u64, length: u64) -> io::Result<bool> {
        if at >= self.size {
            return Ok(false);
        }
        match seek(self.file.file(), SeekFrom::Data(at)) {
            Ok(data) => Ok(data < at.saturating_add(length)),
            Err(Errno::NXIO) => Ok(false),
            Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it holds exactly this content.
    pub(crate) fn is_all_equal(
        &mut self,
        content: &Content,
        site: &Site,
        runtime: &Handle,
    ) -> io::Result<Result<bool, RepositoryError>> {
        if self.size != content.size {
            return Ok(Ok(false));
        }
        let (mut at, mut extents) = (0_u64, ExtentReader::new(&site.chunks, content.clone()));
        loop {
            let extent = match runtime.block_on(extents.next()) {
                Ok(Some(extent)) => extent,
                Ok(None) => return Ok(Ok(true)),
                Err(error) => return Ok(Err(error)),
            };
            let is_equal = match extent {
                Extent::Hole { length } => !self.has_data(at, length)?,
                _ => self.equal(at, &extent, site)?.is_some(),
            };
            if !is_equal {
                return Ok(Ok(false));
            }
            at = at.saturating_add(extent.length());
        }
    }
}
