//! Whether a file is as it was in the parent point.

use format::tree::{Content, Entry, Extents, Kind};
use platform::files::Glance;
use repository::tree::ExtentReader;

use crate::error::UploadError;
use crate::file::Shared;
use crate::stamp::Known;

/// What follows from the comparison.
pub(super) enum Unchanged {
    /// Its entry is still right; `data` of its bytes are in no hole.
    Yes { entry: Box<Entry>, data: u64 },
    /// It has to be read. This is what it held before.
    No(Option<Content>),
}

/// Compares a file with its entry in the parent point; `full` finds every file changed.
pub(super) fn compare(
    shared: &Shared,
    full: bool,
    glance: &Glance,
    parent: Option<Entry>,
) -> Result<Unchanged, UploadError> {
    let Some(Entry { name, kind: Kind::File(content), metadata }) = parent else {
        return Ok(Unchanged::No(None));
    };
    let (modified, stamp) = (metadata.modified, metadata.stamp);
    let known = Known { size: content.size, modified, stamp };
    if full || !known.is_unchanged(glance, shared.stamps.current(glance)) {
        return Ok(Unchanged::No(Some(content)));
    }
    // What the parent relied on may have been removed, or lost.
    match still_stored(shared, &content)? {
        Some(data) => {
            let entry = Box::new(Entry { name, kind: Kind::File(content), metadata });
            Ok(Unchanged::Yes { entry, data })
        }
        None => Ok(Unchanged::No(Some(content))),
    }
}

// How many bytes of the content are in no hole; `None` when some of it is not stored any more.
fn still_stored(shared: &Shared, content: &Content) -> Result<Option<u64>, UploadError> {
    let intake = &shared.intake;
    if let Extents::Stored(slices) = &content.extents {
        for slice in slices {
            if !intake.holds(slice)? {
                return Ok(None);
            }
        }
    }
    let mut extents = ExtentReader::new(intake.stored(), content.clone());
    let mut data = 0;
    loop {
        let Ok(next) = extents.next_blocking(&shared.runtime) else { return Ok(None) };
        let Some(extent) = next else { return Ok(Some(data)) };
        let Some(slice) = extent.slice() else { continue };
        if !intake.holds(&slice)? {
            return Ok(None);
        }
        data += u64::from(slice.length);
    }
}
