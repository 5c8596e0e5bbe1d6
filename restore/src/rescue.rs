//! When a frame cannot be used: a prune may have moved its chunks, or another pack has them too.

use std::collections::HashSet;
use std::sync::Arc;

use format::pack::{FrameAddress, OpenedFrame};
use repository::chunks::open_frame;
use repository::error::RepositoryError;
use tokio::runtime::Handle;

use crate::pieces::SEALED_BYTES_MAX;
use crate::pipeline::deliver;
use crate::site::Site;
use crate::window::{FrameKey, FrameWork, Piece, Window};

/// What became of the pieces of a frame.
pub(crate) struct Rescue {
    /// Whether any of them was found elsewhere.
    pub(crate) any: bool,
    /// Those that were found nowhere.
    pub(crate) lost: Vec<Piece>,
}

/// Takes the pieces of a frame, which failed so, from wherever else they are.
///
/// One frame at a time, and nothing is kept of it: who restores a repository without damage, and
/// without a prune beside, never comes here.
pub(crate) fn rescue(
    site: &Site,
    runtime: &Handle,
    frame: FrameWork,
    failure: &RepositoryError,
) -> Rescue {
    let mut tried = HashSet::from([frame.key()]);
    let waiting = site.frames.failed(frame.key());
    let mut pieces: Vec<Piece> = frame.pieces.into_iter().chain(waiting).collect();
    let mut rescue = Rescue { any: false, lost: Vec::new() };
    let mut latest = None;
    while !pieces.is_empty() && !site.is_stopped() {
        let why = latest.as_ref().unwrap_or(failure);
        let mut window = Window::default();
        for piece in pieces.drain(..) {
            let is_tried = |frame: &FrameAddress| {
                tried.contains(&key(frame)) || frame.length > SEALED_BYTES_MAX
            };
            let other = site.chunks.elsewhere(piece.slice.chunk, is_tried, why);
            match runtime.block_on(other) {
                Ok(Some(place)) => window.add(&piece.file, piece.at, piece.slice, place),
                // Why the index could not be loaded again matters less than what it was for.
                Ok(None) | Err(_) => rescue.lost.push(piece),
            }
        }
        for work in window.take() {
            tried.insert(work.key());
            match open(site, runtime, &work.address) {
                Ok(opened) => {
                    rescue.any = true;
                    deliver(site, work.address.pack, &opened, work.pieces);
                }
                Err(error) => {
                    pieces.extend(work.pieces);
                    latest = Some(error);
                }
            }
        }
    }
    rescue.lost.append(&mut pieces);
    rescue
}

fn open(
    site: &Site,
    runtime: &Handle,
    frame: &FrameAddress,
) -> Result<Arc<OpenedFrame>, RepositoryError> {
    let bytes = (frame.raw_length as usize).saturating_add(frame.length as usize);
    let _room = site.opening.take(bytes);
    let range = frame.offset..frame.offset.saturating_add(frame.length.into());
    let sealed = runtime.block_on(site.chunks.fetch_range(frame.pack, range))?;
    open_frame(site.keys(), frame, &sealed).map(Arc::new)
}

fn key(frame: &FrameAddress) -> FrameKey {
    (frame.pack, frame.number)
}
