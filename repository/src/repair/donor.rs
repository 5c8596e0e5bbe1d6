//! Lost chunks, looked for in another repository.
//!
//! Chunks are named and cut by keys that each repository has for itself, so the other one is asked for
//! content: first for what lies at the same places of the same files, then for those files as a backup
//! here would cut them, and at last for all files that it has. Directories name chunks, so theirs have
//! other bytes there; a copy of this repository, which has its keys, gives those back as well.

mod contents;
mod copy;
mod places;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use format::chunker::Chunker;
use format::ids::PointId;
use format::manifest::Manifest;
use format::raw::RawPath;

use self::contents::Contents;
use super::{Healing, Plan};
use crate::check::Finding;
use crate::chunks::Chunks;
use crate::error::RepositoryError;
use crate::reader::Reader;
use crate::store::StoreError;

/// Another repository that may still have what this one has lost.
#[derive(Debug)]
pub struct Donor {
    reader: Reader,
    chunks: Arc<Chunks>,
    /// Its restore points, the newest first.
    points: Vec<Manifest>,
}

/// A file, by its volume and its path below the volume's root.
type FileName = (RawPath, RawPath);

impl Donor {
    /// Loads its index and its points; those that cannot be read are passed over.
    ///
    /// # Errors
    /// When its store or its index cannot be read.
    pub async fn open(reader: Reader) -> Result<Self, RepositoryError> {
        let chunks = Arc::new(Chunks::load(&reader, None).await?);
        let mut points = Vec::new();
        for session in reader.sessions().await? {
            points.extend(readable(reader.point(session).await)?.flatten());
        }
        points.sort_by_key(|manifest| std::cmp::Reverse(manifest.taken));
        Ok(Self { reader, chunks, points })
    }

    /// Offers what is wanted of the repository of `reader`, which has lost what the plan says.
    ///
    /// # Errors
    /// When a store cannot be read or written; what is damaged in either repository is passed over.
    pub async fn heal(
        &self,
        healing: &mut Healing,
        reader: &Reader,
        plan: &Plan,
    ) -> Result<(), RepositoryError> {
        if self.reader.id() == reader.id() {
            return copy::heal(self, healing, reader, plan).await;
        }
        let chunker = Chunker::new(healing.cut_key());
        let mut contents = Contents::new(&self.chunks, &chunker);
        let own = Arc::new(Chunks::load(reader, None).await?);
        for (name, points) in lost_files(plan) {
            let mut wanted = places::Wanted::default();
            for point in points {
                let Some(manifest) = readable(reader.point(point).await)?.flatten() else {
                    continue;
                };
                if let Some(content) = walk::find(&own, &manifest, &name).await? {
                    wanted.add(&own, content, healing).await?;
                }
            }
            for manifest in &self.points {
                if wanted.is_done(healing) {
                    break;
                }
                if let Some(content) = walk::find(&self.chunks, manifest, &name).await?
                    && contents.is_new(&content)
                {
                    wanted.look(&self.chunks, content.clone(), healing).await?;
                    contents.offer(content, healing).await?;
                }
            }
        }
        self.look_everywhere(&mut contents, healing).await
    }

    async fn look_everywhere(
        &self,
        contents: &mut Contents<'_>,
        healing: &mut Healing,
    ) -> Result<(), RepositoryError> {
        let mut seen = walk::Seen::default();
        for volume in self.points.iter().flat_map(|manifest| &manifest.volumes) {
            let mut walk = walk::Walk::begin(&self.chunks, &volume.root, &mut seen).await?;
            while let Some(found) = walk.next().await? {
                if healing.is_done() {
                    return Ok(());
                }
                if let Some(content) = found.content
                    && contents.is_new(&content)
                {
                    contents.offer(content, healing).await?;
                }
            }
        }
        Ok(())
    }
}

// The lost files, each with the points that have lost it.
fn lost_files(plan: &Plan) -> BTreeMap<FileName, Vec<PointId>> {
    let mut files: BTreeMap<FileName, Vec<PointId>> = BTreeMap::new();
    for finding in &plan.report.findings {
        if let Finding::LostFile { point, volume, path, .. } = finding {
            files.entry((volume.clone(), path.clone())).or_default().push(*point);
        }
    }
    files
}

// What is damaged or gone is nothing; a store that does not answer is an error.
fn readable<T>(read: Result<T, RepositoryError>) -> Result<Option<T>, RepositoryError> {
    match read {
        Err(error @ RepositoryError::Store(StoreError::Failed { .. })) => Err(error),
        read => Ok(read.ok()),
    }
}
