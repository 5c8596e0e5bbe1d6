//! What the parent point has of a file.

use std::collections::VecDeque;
use std::iter::Fuse;
use std::ops::Range;

use format::tree::{Extent, Slice};

use crate::error::UploadError;

/// How many extents are looked at for one block, which is one a KiB. Where the parent has more,
/// the rest counts as changed: memory is bounded whatever the repository says.
const WINDOW_MAX: usize = 4096;

/// An extent of the parent that is stored and may be kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    /// Its place among the extents of the parent.
    pub(crate) number: u64,
    /// Where it begins in the file.
    pub(crate) start: u64,
    /// As the parent has it.
    pub(crate) extent: Extent,
    /// Where its bytes are stored.
    pub(crate) slice: Slice,
}

impl Placed {
    pub(crate) fn range(&self) -> Range<u64> {
        self.start..self.start.saturating_add(u64::from(self.slice.length))
    }
}

/// The parent's extents of a file, read while the file is.
pub(crate) struct Parent<'a> {
    extents: Fuse<Extents<'a>>,
    still_stored: StillStored<'a>,
    window: VecDeque<Placed>,
    read: u64,
    end: u64,
}

type Extents<'a> = Box<dyn Iterator<Item = Result<Extent, UploadError>> + 'a>;
type StillStored<'a> = Box<dyn FnMut(&Slice) -> Result<bool, UploadError> + 'a>;

impl<'a> Parent<'a> {
    /// The parent with these extents, in the order of the file. `still_stored` says whether the
    /// repository has the bytes of a slice; it is asked once for each.
    pub(crate) fn new(
        extents: impl Iterator<Item = Result<Extent, UploadError>> + 'a,
        still_stored: impl FnMut(&Slice) -> Result<bool, UploadError> + 'a,
    ) -> Self {
        let extents: Extents<'a> = Box::new(extents);
        let still_stored = Box::new(still_stored);
        Self { extents: extents.fuse(), still_stored, window: VecDeque::new(), read: 0, end: 0 }
    }

    /// The extents that have bytes in the range and are stored, in order. What none of them
    /// covers was a hole, or is not there any more. Ranges come in the order of the file.
    pub(super) fn overlapping(&mut self, range: &Range<u64>) -> Result<&[Placed], UploadError> {
        while self.window.front().is_some_and(|placed| placed.range().end <= range.start) {
            self.window.pop_front();
        }
        while self.end < range.end {
            let Some(extent) = self.extents.next().transpose()? else { break };
            let (number, start) = (self.read, self.end);
            self.read += 1;
            self.end = start.saturating_add(extent.length());
            if let Some(slice) = extent.slice()
                && slice.length > 0
                && slice.offset.checked_add(slice.length).is_some()
                && self.end > range.start
                && self.window.len() < WINDOW_MAX
                && (self.still_stored)(&slice)?
            {
                self.window.push_back(Placed { number, start, extent, slice });
            }
        }
        Ok(self.window.make_contiguous())
    }
}
