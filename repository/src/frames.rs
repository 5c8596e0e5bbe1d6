//! Decoded frames that are kept for a while, for the chunks beside the one that was asked for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use format::names::PackName;
use format::pack::OpenedFrame;
use tokio::sync::OnceCell;

/// How many bytes are kept.
const BYTES_MAX: usize = 32 << 20;
/// What an entry takes beside the frame itself, about.
const ENTRY_BYTES: usize = 256;

/// A frame of a pack, by its number.
pub(crate) type FrameKey = (PackName, u32);

/// A place for a frame: whoever comes first opens it, and the others wait for that.
pub(crate) type FrameCell = Arc<OnceCell<Arc<OpenedFrame>>>;

/// The frames that were used last.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    frames: HashMap<FrameKey, Entry>,
    /// The keys in the order of their last use.
    order: BTreeMap<u64, FrameKey>,
    uses: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    cell: FrameCell,
    used: u64,
    bytes: usize,
}

impl Frames {
    /// The place for this frame, which may be filled.
    pub(crate) fn cell(&self, key: FrameKey) -> FrameCell {
        self.kept().touch(key)
    }

    /// A frame was opened: its bytes count from now on, and others may have to go.
    pub(crate) fn opened(&self, key: FrameKey, frame: &OpenedFrame) {
        self.kept().weigh(key, ENTRY_BYTES.saturating_add(frame.length()));
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // It is whole between any two operations, so a panic elsewhere leaves it so.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn touch(&mut self, key: FrameKey) -> FrameCell {
        self.uses += 1;
        let used = self.uses;
        let cell = if let Some(entry) = self.frames.get_mut(&key) {
            self.order.remove(&entry.used);
            entry.used = used;
            Arc::clone(&entry.cell)
        } else {
            let cell = FrameCell::default();
            let entry = Entry { cell: Arc::clone(&cell), used, bytes: ENTRY_BYTES };
            self.frames.insert(key, entry);
            self.bytes += ENTRY_BYTES;
            cell
        };
        self.order.insert(used, key);
        self.shrink();
        cell
    }

    fn weigh(&mut self, key: FrameKey, bytes: usize) {
        // It may have gone while it was opened.
        if let Some(entry) = self.frames.get_mut(&key) {
            self.bytes = self.bytes.saturating_sub(entry.bytes).saturating_add(bytes);
            entry.bytes = bytes;
        }
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.bytes > BYTES_MAX {
            let Some((_, key)) = self.order.pop_first() else { return };
            let gone = self.frames.remove(&key).map_or(0, |entry| entry.bytes);
            self.bytes = self.bytes.saturating_sub(gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use format::ids::{ObjectId, PointId};

    fn key(number: u32) -> FrameKey {
        (PackName { session: PointId::new([1; 16]), id: ObjectId::new([2; 16]) }, number)
    }

    #[test]
    fn what_was_used_last_stays_and_the_bound_holds() {
        let mut kept = Kept::default();
        for number in 0..100 {
            kept.touch(key(0));
            kept.touch(key(number));
            kept.weigh(key(number), 1 << 20);
            assert!(kept.bytes <= BYTES_MAX, "{number}: {}", kept.bytes);
            assert_eq!(kept.bytes, kept.frames.values().map(|entry| entry.bytes).sum::<usize>());
            assert_eq!(kept.order.len(), kept.frames.len());
        }
        assert!(kept.frames.contains_key(&key(0)) && kept.frames.contains_key(&key(99)));
        assert!(!kept.frames.contains_key(&key(1)));
    }

    #[test]
    fn frames_that_never_open_are_bounded_too() {
        let mut kept = Kept::default();
        (0..200_000).for_each(|number| drop(kept.touch(key(number))));
        assert!(kept.frames.len() <= BYTES_MAX / ENTRY_BYTES);
    }

    #[tokio::test]
    async fn those_who_want_the_same_frame_share_one_place() {
        let frames = Frames::default();
        let (one, two) = (frames.cell(key(1)), frames.cell(key(1)));
        assert!(Arc::ptr_eq(&one, &two) && !Arc::ptr_eq(&one, &frames.cell(key(2))));
    }
}
