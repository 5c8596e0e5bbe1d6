//! The content of a file, extent by extent: what is in the target already, and what to fetch.

use std::sync::Arc;

use format::frame::FRAME_BYTES_MAX;
use format::tree::{Content, Extent, Extents, Metadata};
use repository::error::RepositoryError;
use repository::tree::ExtentReader;

use crate::block::BLOCK_BYTES;
use crate::directory::Node;
use crate::file::{FilePlan, FileWork};
use crate::links::LinkKey;
use crate::loss::ReadFailure;
use crate::present::PresentFile;
use crate::walk::{WINDOW_BLOCKS, Walker};

// The longest slice fits into a window.
const _: () = assert!((FRAME_BYTES_MAX as usize / BLOCK_BYTES) < WINDOW_BLOCKS);

const BLOCK: u64 = BLOCK_BYTES as u64;
/// A frame is stored as it is when that is shorter; its seal adds a few bytes.
pub(crate) const SEALED_BYTES_MAX: u32 = FRAME_BYTES_MAX + 64;

/// A file whose pieces are being planned.
struct Planned {
    file: Arc<FileWork>,
    /// What is there already, if it is changed in place.
    present: Option<PresentFile>,
    /// How many blocks of the file have their place, or need none.
    begun: u64,
}

impl Walker<'_> {
    /// Begins a file and plans all of its pieces.
    pub(crate) fn make_file(
        &mut self,
        node: &Arc<Node>,
        (name, metadata, content): (&[u8], &Metadata, &Content),
        link: Option<LinkKey>,
        present: Option<PresentFile>,
    ) {
        let is_one_piece = present.is_none() && content.hash.is_none() && has_one_piece(content);
        if let Some(link) = link {
            self.site.links.begin(link);
        }
        let plan = FilePlan {
            dir: Arc::clone(node),
            name: name.to_vec(),
            metadata: metadata.clone(),
            size: content.size,
            hash: content.hash,
            link,
            is_one_piece,
            present: present.as_ref().map(|present| Arc::clone(present.file())),
        };
        let file = FileWork::begin(plan, self.site);
        let mut planned = Planned { file: Arc::clone(&file), present, begun: 0 };
        match self.plan_pieces(&mut planned, content).map_err(|failure| self.reason(failure)) {
            Ok(()) => self.unread = 0,
            Err(Ok(reason)) => file.lose(reason),
            Err(Err(error)) => {
                file.give_up();
                self.site.stop(Some(error));
            }
        }
        file.release(self.site);
    }

    fn plan_pieces(&mut self, planned: &mut Planned, content: &Content) -> Result<(), ReadFailure> {
        let mut extents = ExtentReader::new(&self.site.chunks, content.clone());
        let mut at = 0_u64;
        while let Some(extent) = self.runtime.block_on(extents.next())? {
            if planned.file.has_failed() || self.site.is_stopped() {
                return Ok(());
            }
            let end = at.saturating_add(extent.length());
            match extent {
                Extent::Hole { .. } => self.plan_hole(planned, at, end),
                _ => self.plan_slice(planned, at, &extent)?,
            }
            at = end;
        }
        Ok(())
    }

    fn plan_slice(
        &mut self,
        planned: &mut Planned,
        at: u64,
        extent: &Extent,
    ) -> Result<(), ReadFailure> {
        let Some(slice) = extent.slice() else { return Ok(()) };
        if slice.length > FRAME_BYTES_MAX {
            return Err(RepositoryError::Extents.into());
        }
        if self.window.is_full() {
            self.submit();
        }
        if planned.file.has_blocks() {
            self.begin_blocks(planned, at.saturating_add(extent.length()));
        }
        if let Some(present) = &mut planned.present {
            match present.equal(at, extent, self.site) {
                Ok(None) => {}
                Ok(Some(bytes)) => {
                    planned.file.fill(at, bytes, true, self.site);
                    return Ok(());
                }
                Err(error) => {
                    planned.file.refuse(error, self.site);
                    return Ok(());
                }
            }
        }
        let place = self.site.chunks.find_blocking(slice.chunk, &self.runtime)?;
        if place.frame.length > SEALED_BYTES_MAX {
            let reason = format!("chunk {} lies in a frame that is too long", slice.chunk);
            return Err(ReadFailure::Lost(reason));
        }
        planned.file.hold();
        self.window.add(&planned.file, at, slice, place);
        Ok(())
    }

    fn plan_hole(&mut self, planned: &mut Planned, at: u64, end: u64) {
        if let Some(present) = &planned.present {
            let length = end - at;
            let punched = present.has_data(at, length).and_then(|has_data| {
                if has_data { planned.file.open(self.site)?.punch(at, length) } else { Ok(()) }
            });
            if let Err(error) = punched {
                return planned.file.refuse(error, self.site);
            }
        }
        // The end of the block that what is before the hole lies in too.
        let shared_end = planned.begun.saturating_mul(BLOCK).min(end);
        if at < shared_end {
            planned.file.fill_hole(at, shared_end - at, self.site);
        }
        // No place is made for blocks without data.
        let whole_end = if end == planned.file.size() { end.div_ceil(BLOCK) } else { end / BLOCK };
        if planned.begun < whole_end {
            planned.file.pass_holes(planned.begun, whole_end);
            planned.begun = whole_end;
        }
        // The block that what comes after the hole lies in too.
        let rest = planned.begun.saturating_mul(BLOCK).max(shared_end);
        if rest < end {
            self.begin_blocks(planned, end);
            planned.file.fill_hole(rest, end - rest, self.site);
        }
    }

    // Makes place for the blocks up to the one that ends at or after `end`.
    fn begin_blocks(&mut self, planned: &mut Planned, end: u64) {
        let end = end.div_ceil(BLOCK);
        let wanted = usize::try_from(end.saturating_sub(planned.begun)).unwrap_or(usize::MAX);
        if self.blocks.saturating_add(wanted) > WINDOW_BLOCKS {
            self.submit();
        }
        for number in planned.begun..end {
            let memory = self.site.blocks.take(1);
            planned.file.begin_block(number, memory, self.site);
            self.blocks += 1;
        }
        planned.begun = end.max(planned.begun);
    }
}

// A small file in one chunk, as most are, is written as it comes.
fn has_one_piece(content: &Content) -> bool {
    let Extents::Here(extents) = &content.extents else { return false };
    match extents.as_slice() {
        [Extent::Whole(slice) | Extent::Part { slice, .. }] => {
            u64::from(slice.length) == content.size && content.size < BLOCK
        }
        _ => content.size == 0,
    }
}
