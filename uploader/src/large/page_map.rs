//! The digests of a file's pages, as they are kept on this machine between two backups.
//!
//! A cache: a map is trusted only while the hash over it equals the [`ContentHash`] that the
//! repository records for the file, and without it the next backup looks closer. The file is
//!
//! ```text
//! 8   magic "SPpages" and the version, 1
//! 8   size of the file
//!     runs: number of the first page (8), count of the pages (8), their digests (16 each)
//! ```
//! with all numbers little-endian.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use format::content::ContentHasher;
use format::ids::{ContentHash, Digest};
use format::keys::Keys;

use super::map_cache::Temporary;

const MAGIC: [u8; 8] = *b"SPpages\x01";
const BUFFER_BYTES: usize = 64 << 10;
const DIGEST_BYTES: usize = 16;
/// A run is written when it has this many bytes of digests, so that memory is bounded.
const RUN_BYTES_MAX: usize = 4096 * DIGEST_BYTES;

/// Writes the map of one file while the file is read. Dropped, it leaves nothing.
#[derive(Debug)]
pub(crate) struct PageMapWriter {
    output: BufWriter<File>,
    temporary: Temporary,
    first: u64,
    run: Vec<u8>,
}

impl PageMapWriter {
    pub(super) fn new(file: File, temporary: Temporary) -> io::Result<Self> {
        let mut output = BufWriter::with_capacity(BUFFER_BYTES, file);
        output.write_all(&MAGIC)?;
        // In place of the size, which is known at the end; nobody trusts a map without it.
        output.write_all(&[0; 8])?;
        Ok(Self { output, temporary, first: 0, run: Vec::new() })
    }

    /// Adds a page; they come in the order of their numbers.
    pub(crate) fn page(&mut self, number: u64, digest: Digest) -> io::Result<()> {
        let next = self.first + (self.run.len() / DIGEST_BYTES) as u64;
        if number != next || self.run.len() >= RUN_BYTES_MAX {
            self.end_run()?;
            self.first = number;
        }
        self.run.extend_from_slice(digest.as_bytes());
        Ok(())
    }

    /// Ends the map of a file with this size and this hash.
    pub(crate) fn finish(mut self, size: u64, hash: ContentHash) -> io::Result<NewPageMap> {
        self.end_run()?;
        self.output.flush()?;
        self.output.get_ref().write_all_at(&size.to_le_bytes(), MAGIC.len() as u64)?;
        Ok(NewPageMap { temporary: self.temporary, hash })
    }

    fn end_run(&mut self) -> io::Result<()> {
        if self.run.is_empty() {
            return Ok(());
        }
        let count = (self.run.len() / DIGEST_BYTES) as u64;
        self.output.write_all(&self.first.to_le_bytes())?;
        self.output.write_all(&count.to_le_bytes())?;
        self.output.write_all(&self.run)?;
        self.run.clear();
        Ok(())
    }
}

/// A map that is written and that nobody can find yet. Dropped, it is removed.
#[derive(Debug)]
pub(crate) struct NewPageMap {
    temporary: Temporary,
    hash: ContentHash,
}

impl NewPageMap {
    /// What the file holds.
    pub(crate) fn hash(&self) -> ContentHash {
        self.hash
    }

    /// Where its place is.
    pub(crate) fn place(&self) -> PathBuf {
        self.temporary.target(self.hash)
    }

    /// Puts the map in its place. To be called when the point that has the file is committed.
    pub(crate) fn keep(self) -> io::Result<()> {
        fs::rename(self.temporary.path(), self.place())
    }
}

/// A map that was verified, to be read once, in the order of the file.
#[derive(Debug)]
pub(crate) struct PageMap {
    runs: Option<Runs>,
    ahead: Option<(u64, Digest)>,
}

impl PageMap {
    /// The map at `path` if it is that of the content with this hash. Anything else is removed.
    pub(super) fn open(path: &Path, hash: ContentHash, keys: &Keys) -> Option<Self> {
        let file = File::open(path).ok()?;
        if let Ok(runs) = Runs::verified(file, hash, keys) {
            return Some(Self { runs: Some(runs), ahead: None });
        }
        // If it cannot be removed, it is refused next time too.
        let _ = fs::remove_file(path);
        None
    }

    /// The digest of a page, if the map has it. Pages are asked for in the order of their
    /// numbers.
    pub(crate) fn digest(&mut self, number: u64) -> Option<Digest> {
        while self.ahead.is_none_or(|(ahead, _)| ahead < number) {
            // A map that cannot be read any more has no more pages: they count as changed.
            self.ahead = self.runs.as_mut().and_then(|runs| runs.page().ok().flatten());
            if self.ahead.is_none() {
                self.runs = None;
                return None;
            }
        }
        self.ahead.filter(|(ahead, _)| *ahead == number).map(|(_, digest)| digest)
    }
}

#[derive(Debug)]
struct Runs {
    input: BufReader<File>,
    next: u64,
    left: u64,
}

impl Runs {
    // The whole map is read once for its hash; it is then at its start again.
    fn verified(file: File, hash: ContentHash, keys: &Keys) -> io::Result<Self> {
        let input = BufReader::with_capacity(BUFFER_BYTES, file);
        let mut runs = Self { input, next: 0, left: 0 };
        if runs.bytes::<8>()? != MAGIC {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let size = u64::from_le_bytes(runs.bytes()?);
        let mut hasher = ContentHasher::new(keys);
        while let Some((number, digest)) = runs.page()? {
            hasher.page(number, digest);
        }
        if hasher.finish(size) != hash {
            return Err(io::ErrorKind::InvalidData.into());
        }
        runs.input.seek(io::SeekFrom::Start(MAGIC.len() as u64 + 8))?;
        Ok(Self { next: 0, ..runs })
    }

    fn page(&mut self) -> io::Result<Option<(u64, Digest)>> {
        if self.left == 0 {
            if self.input.fill_buf()?.is_empty() {
                return Ok(None);
            }
            let first = u64::from_le_bytes(self.bytes()?);
            let count = u64::from_le_bytes(self.bytes()?);
            if first < self.next || count == 0 || first.checked_add(count).is_none() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            (self.next, self.left) = (first, count);
        }
        let page = (self.next, Digest::new(self.bytes()?));
        self.next += 1;
        self.left -= 1;
        Ok(Some(page))
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

pub(super) fn file_name(hash: ContentHash) -> PathBuf {
    format!("{hash}{FILE_SUFFIX}").into()
}

pub(super) const FILE_SUFFIX: &str = ".pages";
