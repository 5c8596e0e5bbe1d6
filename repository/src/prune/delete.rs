//! Deleting what nobody can rely on any more.

use std::collections::BTreeSet;
use std::sync::Arc;

use format::names::ObjectName;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::plan::Share;
use super::progress::{Phase, Progress};
use super::survey::Survey;
use crate::error::RepositoryError;
use crate::maintainer::Maintainer;
use crate::reader::Reader;

/// How many objects are deleted at once.
const DELETIONS: usize = 16;

/// What was deleted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deleted {
    pub(super) packs: Share,
    pub(super) segments: u64,
    /// What is condemned and had to stay.
    pub(super) left: Share,
}

/// Deletes the condemned packs that may go, then the segments that named them, then what ended
/// sessions and forgotten points have left behind. It may stop anywhere, and whoever comes next
/// goes on.
pub(super) async fn delete(
    maintainer: &Maintainer,
    reader: &Reader,
    survey: &Survey,
    progress: &Arc<Progress>,
) -> Result<Deleted, RepositoryError> {
    progress.enter(Phase::Deleting);
    let gone = survey.deletable_packs();
    let mut deleted = Deleted::default();
    for (number, size, ..) in survey.condemned_packs() {
        let share = if gone.contains(&number) { &mut deleted.packs } else { &mut deleted.left };
        share.add(size);
    }
    all(maintainer, packs(survey, &gone), progress).await?;
    let segments = survey.deletable_segments(&gone);
    deleted.segments = segments.len() as u64;
    all(maintainer, segments, progress).await?;
    for leftovers in ordered(survey.leftovers(reader).await?) {
        all(maintainer, leftovers, progress).await?;
    }
    Ok(deleted)
}

fn packs(survey: &Survey, numbers: &BTreeSet<u32>) -> Vec<ObjectName> {
    let pack = |number: &u32| survey.packs.get(*number).map(|(pack, _)| ObjectName::Pack(pack));
    numbers.iter().filter_map(pack).collect()
}

// While the outcome of a forgotten point is there, what else is left of it is found again.
fn ordered(leftovers: Vec<ObjectName>) -> [Vec<ObjectName>; 2] {
    let (last, first) =
        leftovers.into_iter().partition(|name| matches!(name, ObjectName::Outcome(_)));
    [first, last]
}

async fn all(
    maintainer: &Maintainer,
    names: Vec<ObjectName>,
    progress: &Arc<Progress>,
) -> Result<(), RepositoryError> {
    let deletions = stream::iter(names).map(|name| async move {
        maintainer.store().delete(name).await?;
        progress.add_deleted();
        Ok(())
    });
    deletions.buffer_unordered(DELETIONS).try_collect().await
}
