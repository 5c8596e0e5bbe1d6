//! Whether a stored tree is whole, without looking at any file.

use format::tree::{Extents, Kind, Slice};
use repository::tree::{EntryReader, ExtentReader, root};
use tokio::runtime::Handle;

use crate::error::UploadError;
use crate::intake::Intake;

/// Whether everything that the tree with this root needs is stored, or on its way.
pub(crate) fn holds(
    intake: &Intake,
    slices: &[Slice],
    runtime: &Handle,
) -> Result<bool, UploadError> {
    if slices.is_empty() || !all(intake, slices)? {
        return Ok(slices.is_empty());
    }
    let entry = runtime.block_on(root(intake.stored(), slices))?;
    let mut open = Vec::new();
    let mut next = Some(entry);
    loop {
        match next.map(|entry| entry.kind) {
            Some(Kind::Directory { listing }) => {
                if !all(intake, &listing)? {
                    return Ok(false);
                }
                open.push(EntryReader::new(intake.stored(), listing));
            }
            Some(Kind::File(content)) => {
                if let Extents::Stored(slices) = &content.extents
                    && !all(intake, slices)?
                {
                    return Ok(false);
                }
                let mut extents = ExtentReader::new(intake.stored(), content);
                while let Some(extent) = extents.next_blocking(runtime)? {
                    if let Some(slice) = extent.slice()
                        && !intake.holds(&slice)?
                    {
                        return Ok(false);
                    }
                }
            }
            Some(_) | None => {}
        }
        next = loop {
            let Some(directory) = open.last_mut() else { return Ok(true) };
            match directory.next_blocking(runtime)? {
                Some(entry) => break Some(entry),
                None => open.pop(),
            };
        };
    }
}

fn all(intake: &Intake, slices: &[Slice]) -> Result<bool, UploadError> {
    for slice in slices {
        if !intake.holds(slice)? {
            return Ok(false);
        }
    }
    Ok(true)
}
