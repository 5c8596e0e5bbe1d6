//! A copy of the same repository: its chunks have the same names, so it gives back directories too.

use format::manifest::Manifest;
use format::tree::Slice;

use super::super::{Healing, Plan};
use super::walk::{Seen, Walk};
use super::{Donor, readable};
use crate::check::Finding;
use crate::error::RepositoryError;
use crate::index::Index;
use crate::reader::Reader;
use crate::tree::ExtentReader;

/// Goes through the points that have lost something, as the copy has them, and takes every chunk
/// that is in no good pack here.
pub(super) async fn heal(
    donor: &Donor,
    healing: &mut Healing,
    reader: &Reader,
    plan: &Plan,
) -> Result<(), RepositoryError> {
    let condemned = reader.condemned(reader.generation().await?).await?;
    let here = Index::load(reader, None, &condemned).await?;
    let mut seen = Seen::default();
    for session in reader.sessions().await? {
        let has_lost = |finding: &Finding| match finding {
            Finding::LostFile { point, .. } => *point == session,
            _ => false,
        };
        // Not all are named when there are very many.
        if plan.report.unnamed == 0 && !plan.report.findings.iter().any(has_lost) {
            continue;
        }
        if let Some(manifest) = readable(reader.point(session).await)?.flatten() {
            take_point(donor, healing, &here, (&manifest, &mut seen)).await?;
        }
    }
    Ok(())
}

async fn take_point(
    donor: &Donor,
    healing: &mut Healing,
    here: &Index,
    (manifest, seen): (&Manifest, &mut Seen),
) -> Result<(), RepositoryError> {
    for volume in &manifest.volumes {
        take(donor, healing, here, &volume.root).await?;
        let mut walk = Walk::begin(&donor.chunks, &volume.root, seen).await?;
        while let Some(found) = walk.next().await? {
            take(donor, healing, here, &found.stored).await?;
            let Some(content) = found.content else { continue };
            let mut extents = ExtentReader::new(&donor.chunks, content);
            while let Some(extent) = readable(extents.next().await)?.flatten() {
                let slice: Vec<Slice> = extent.slice().into_iter().collect();
                take(donor, healing, here, &slice).await?;
            }
        }
    }
    Ok(())
}

async fn take(
    donor: &Donor,
    healing: &mut Healing,
    here: &Index,
    slices: &[Slice],
) -> Result<(), RepositoryError> {
    let index = donor.chunks.index();
    for slice in slices {
        if here.contains(slice.chunk)? {
            continue;
        }
        let Some(place) = index.find(slice.chunk)? else { continue };
        let whole = Slice { chunk: slice.chunk, offset: 0, length: place.length };
        if let Some(bytes) = readable(donor.chunks.read(whole).await)? {
            healing.take(place.frame.kind, slice.chunk, &bytes).await?;
        }
    }
    Ok(())
}
