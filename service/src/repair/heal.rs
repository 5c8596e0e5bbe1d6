//! Looking for lost chunks in files that may still have them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use format::chunker::{CHUNK_BYTES_MAX, Chunker};
use format::raw::RawPath;
use platform::files::{Segment, segments};
use repository::blocking;
use repository::repair::{Cutter, Healing};
use tokio::sync::mpsc;

use crate::error::ServiceError;

/// How many chunks wait to be looked at.
const CHUNKS_WAITING: usize = 8;

/// Cuts all files at these paths as a backup does, and offers each chunk. Ends when nothing is
/// wanted any more. Files that cannot be read are passed over.
pub(super) async fn look(healing: &mut Healing, paths: &[PathBuf]) -> Result<(), ServiceError> {
    for path in paths {
        let path = path.canonicalize().map_err(|source| {
            let path = RawPath::new(path.as_os_str().as_encoded_bytes());
            ServiceError::Path { path, source }
        })?;
        let (sender, mut chunks) = mpsc::channel(CHUNKS_WAITING);
        let chunker = Chunker::new(healing.cut_key());
        // It ends when nobody takes its chunks any more.
        let reading = blocking::run(move || drop(cut_all(&path, &chunker, &sender)));
        let mut reading = std::pin::pin!(reading);
        let mut is_read = false;
        loop {
            tokio::select! {
                () = &mut reading, if !is_read => is_read = true,
                chunk = chunks.recv() => match chunk {
                    Some(chunk) => healing.offer(&chunk).await?,
                    None => break,
                },
            }
            if healing.is_done() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Nobody takes chunks any more.
struct Ended;

fn cut_all(path: &Path, chunker: &Chunker, sender: &mpsc::Sender<Vec<u8>>) -> Result<(), Ended> {
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(found) = std::fs::symlink_metadata(&path) else { continue };
        if found.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            open.extend(entries.map(|entry| entry.path()));
        } else if found.is_file() {
            match cut_file(&path, chunker, sender) {
                Ok(sent) => sent?,
                Err(error) => tracing::warn!(path = %path.display(), %error, "not looked at"),
            }
        }
    }
    Ok(())
}

// Holes are no part of any chunk.
fn cut_file(
    path: &Path,
    chunker: &Chunker,
    sender: &mpsc::Sender<Vec<u8>>,
) -> io::Result<Result<(), Ended>> {
    let file = File::open(path)?;
    for segment in segments(&file, file.metadata()?.len()) {
        let Segment::Data { offset, length } = segment? else { continue };
        if cut_run(&file, (offset, length), chunker, sender)?.is_err() {
            return Ok(Err(Ended));
        }
    }
    Ok(Ok(()))
}

fn cut_run(
    file: &File,
    (mut offset, mut left): (u64, u64),
    chunker: &Chunker,
    sender: &mpsc::Sender<Vec<u8>>,
) -> io::Result<Result<(), Ended>> {
    let mut cutter = Cutter::new(chunker);
    let mut part = vec![0; PART_BYTES];
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(PART_BYTES);
        let part = part.get_mut(..wanted).unwrap_or_default();
        file.read_exact_at(part, offset)?;
        cutter.push(part);
        offset = offset.saturating_add(wanted as u64);
        left = left.saturating_sub(wanted as u64);
        while let Some(chunk) = if left == 0 { cutter.end() } else { cutter.cut() } {
            if sender.blocking_send(chunk).is_err() {
                return Ok(Err(Ended));
            }
        }
    }
    Ok(Ok(()))
}

const PART_BYTES: usize = CHUNK_BYTES_MAX;
