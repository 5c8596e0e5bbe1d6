//! Everything that a prune looks at before it decides anything, in the order that makes it safe:
//! generations and what they condemn, sessions, points, packs and the index, and at last the marks.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use format::ids::PointId;
use format::names::{Folder, ObjectName, PackName};
use tokio::runtime::Handle;

use super::choose::{Tally, settle};
use super::mark::mark;
use super::progress::{Phase, Progress};
use super::publish;
use super::state::{self, Generations, Points};
use crate::annotate;
use crate::blocking;
use crate::chunks::Chunks;
use crate::error::RepositoryError;
use crate::index::census::Census;
use crate::index::marks::Marks;
use crate::index::{Index, Opened};
use crate::maintainer::Maintainer;
use crate::protocol::choice::SegmentView;
use crate::protocol::deletion::{NamedPack, may_delete_segment};
use crate::protocol::generation::Opening;
use crate::protocol::sessions::Sessions;
use crate::reader::{PackListing, Reader};
use crate::store::StoreError;

/// How often all is looked at again, when another prune deletes what is being read.
const ROUNDS: usize = 5;

/// What a prune knows.
#[derive(Debug)]
pub(super) struct Survey {
    /// Whether a prune was cut off before its generation began.
    pub(super) is_incomplete: bool,
    pub(super) generations: Generations,
    pub(super) sessions: Sessions,
    pub(super) points: Points,
    /// How many restore points are live.
    pub(super) committed: u64,
    /// The one whose rows and segments have numbers here.
    pub(super) index: Arc<Index>,
    pub(super) packs: PackListing,
    pub(super) segments: Vec<ObjectName>,
    pub(super) census: Census,
    pub(super) live: Marks,
    /// One for each pack, by its number in the listing.
    pub(super) tallies: Vec<Tally>,
}

impl Survey {
    /// Looks at everything. It writes nothing, except that it completes the generation of a prune
    /// that was cut off, where `maintainer` is given.
    pub(super) async fn make(
        reader: &Reader,
        maintainer: Option<&Maintainer>,
        cache: Option<&Path>,
        progress: &Arc<Progress>,
    ) -> Result<Self, RepositoryError> {
        for _ in 1..ROUNDS {
            match Self::look(reader, maintainer, cache, progress).await {
                // Another prune was at work here.
                Err(
                    RepositoryError::Store(StoreError::Missing { .. })
                    | RepositoryError::UnknownPoint(_),
                ) => {}
                looked => return looked,
            }
        }
        Self::look(reader, maintainer, cache, progress).await
    }

    async fn look(
        reader: &Reader,
        maintainer: Option<&Maintainer>,
        cache: Option<&Path>,
        progress: &Arc<Progress>,
    ) -> Result<Self, RepositoryError> {
        progress.enter(Phase::Reading);
        let (newest, is_incomplete) = loop {
            match (state::opening(reader).await?, maintainer) {
                (Opening::At(newest), _) => break (newest, false),
                (Opening::Complete(next), Some(maintainer)) => {
                    publish::complete(maintainer.store(), reader, next).await?;
                }
                // What it condemns may be damaged, so it counts; nothing of it is deleted before the
                // generation is there.
                (Opening::Complete(next), None) => break (next, true),
            }
        };
        let generations = state::generations(reader, newest).await?;
        // Before anything is marked: who is at work from now on knows of this generation.
        let mut sessions = state::sessions(reader, []).await?;
        let points = state::points(reader).await?;
        let is_resolved = |session: PointId| sessions.is_resolved(session);
        let condemned = &generations.condemned;
        let opened = Index::whole(reader, cache, condemned, |pack| is_resolved(pack.session));
        let Opened { index, packs, damaged, .. } = opened.await?;
        let segments = index.segments().into_iter();
        // What is damaged and condemned names nothing, and comes after those that do.
        let segments = segments.map(|(point, id)| ObjectName::Index(point, id));
        let segments: Vec<_> = segments.chain(damaged.into_iter().map(|(name, _)| name)).collect();
        let late = state::names(reader, Folder::Sessions).await?;
        let owners = packs.iter().map(|(pack, _)| ObjectName::Pack(pack));
        sessions.extend(unregistered(owners.chain(segments.iter().copied()), &late));
        let chunks = Arc::new(Chunks::with(reader, index));
        let index = chunks.index();
        progress.enter(Phase::Marking);
        let (reading, live) = (reader.clone(), points.live.clone());
        let marked_index = Arc::clone(&index);
        let (progress, runtime) = (Arc::clone(progress), Handle::current());
        let marked = blocking::run_with_store(move || {
            mark((&reading, &chunks, marked_index), live, &progress, &runtime)
        });
        let (live, committed) = marked.await?;
        let census = index.census(&packs)?;
        let survey = Self {
            is_incomplete,
            generations,
            sessions,
            points,
            committed,
            index,
            packs,
            segments,
            census,
            live,
            tallies: Vec::new(),
        };
        blocking::run(move || survey.tallied()).await
    }

    // Twice through all chunks: which pack is a chunk's home depends on what is live in the packs.
    fn tallied(mut self) -> Result<Self, RepositoryError> {
        let mut tallies = self.untouched();
        let index = Arc::clone(&self.index);
        index.each_chunk(&self.census, &self.live, |is_live, places| {
            for (pack, spot) in places {
                if let Some(tally) = tallies.get_mut(*pack as usize) {
                    tally.add(spot.share, is_live);
                }
            }
        })?;
        let mut shares = Vec::new();
        index.each_chunk(&self.census, &self.live, |is_live, places| {
            if is_live {
                shares.clear();
                shares.extend(places.iter().map(|(pack, spot)| (*pack, spot.share)));
                settle(&mut tallies, &shares);
            }
        })?;
        self.tallies = tallies;
        Ok(self)
    }

    fn untouched(&self) -> Vec<Tally> {
        let mut is_indexed = vec![false; self.packs.len()];
        for named in self.index.named() {
            let stands = self.segment(named.segment).is_some_and(|name| !self.is_condemned(name));
            if let Some(number) = self.packs.number(named.pack).filter(|_| stands)
                && let Some(is_indexed) = is_indexed.get_mut(number as usize)
                && self.packs.size(named.pack) == Some(named.size)
            {
                *is_indexed = true;
            }
        }
        let tally = |((pack, _), is_indexed): ((PackName, u64), bool)| Tally {
            is_condemned: self.is_condemned(ObjectName::Pack(pack)),
            is_resolved: self.sessions.is_resolved(pack.session),
            is_indexed,
            ..Tally::default()
        };
        self.packs.iter().zip(is_indexed).map(tally).collect()
    }

    /// The segment with this number.
    pub(super) fn segment(&self, number: usize) -> Option<ObjectName> {
        self.segments.get(number).copied()
    }

    fn is_condemned(&self, name: ObjectName) -> bool {
        self.generations.condemned.contains(name)
    }

    /// Every segment, when these packs are condemned besides.
    pub(super) fn segment_views(&self, condemned_now: &BTreeSet<u32>) -> Vec<SegmentView> {
        let view = |name: &ObjectName| SegmentView {
            is_condemned: self.is_condemned(*name),
            is_resolved: matches!(name, ObjectName::Index(session, _)
                if self.sessions.is_resolved(*session)),
            packs: 0,
            standing: 0,
        };
        let mut views: Vec<_> = self.segments.iter().map(view).collect();
        for named in self.index.named() {
            if let Some(view) = views.get_mut(named.segment) {
                view.packs += 1;
                view.standing += u64::from(self.stands(named.pack, named.size, condemned_now));
            }
        }
        views
    }

    /// Whether a pack that a segment names is there, and neither condemned nor about to be.
    pub(super) fn stands(&self, pack: PackName, size: u64, condemned_now: &BTreeSet<u32>) -> bool {
        self.packs.size(pack) == Some(size)
            && !self.is_condemned(ObjectName::Pack(pack))
            && self.packs.number(pack).is_some_and(|number| !condemned_now.contains(&number))
    }

    /// Whether every session that could rely on what is condemned since `generation` has ended or
    /// moved on.
    pub(super) fn is_settled(&self, generation: u64) -> bool {
        self.sessions.unresolved().all(|(_, standing)| !standing.is_below(generation))
    }

    /// The condemned packs that are still there: their numbers, their lengths, whether a chunk in
    /// them has no home, and the generation that condemned them.
    pub(super) fn condemned_packs(&self) -> impl Iterator<Item = (u32, u64, bool, u64)> {
        let numbered = (0..).zip(self.packs.iter()).zip(&self.tallies);
        numbered.filter_map(|((number, (pack, size)), tally)| {
            let since = self.generations.condemned.since(ObjectName::Pack(pack))?;
            Some((number, size, tally.is_needed, since))
        })
    }

    /// The packs that may be deleted now, by their numbers.
    pub(super) fn deletable_packs(&self) -> BTreeSet<u32> {
        let may_go = self
            .condemned_packs()
            .filter(|(_, _, is_needed, since)| !is_needed && self.is_settled(*since));
        may_go.map(|(number, ..)| number).collect()
    }

    /// The segments that may be deleted when these packs are gone.
    pub(super) fn deletable_segments(&self, gone: &BTreeSet<u32>) -> Vec<ObjectName> {
        let mut named: Vec<Vec<NamedPack>> = vec![Vec::new(); self.segments.len()];
        for pack in self.index.named() {
            let number = self.packs.number(pack.pack);
            let tally = number.and_then(|number| self.tallies.get(number as usize));
            let entry = NamedPack {
                is_listed: number.is_some_and(|number| !gone.contains(&number)),
                // By one that is not condemned; this one is, if it matters.
                is_named_elsewhere: tally.is_some_and(|tally| tally.is_indexed),
            };
            if let Some(named) = named.get_mut(pack.segment) {
                named.push(entry);
            }
        }
        let may_go = |(name, packs): (&ObjectName, Vec<NamedPack>)| {
            let since = self.generations.condemned.since(*name)?;
            (self.is_settled(since) && may_delete_segment(true, packs)).then_some(*name)
        };
        self.segments.iter().zip(named).filter_map(may_go).collect()
    }

    /// Whether anything is condemned and still there, for which sessions must be waited for.
    pub(super) fn is_waiting(&self) -> bool {
        let segments = self.segments.iter();
        let segments = segments.filter_map(|name| self.generations.condemned.since(*name));
        let packs = self.condemned_packs().map(|(.., since)| since);
        packs.chain(segments).any(|since| !self.is_settled(since))
    }

    /// Sessions that have not ended and have stored something.
    pub(super) fn unresolved_owners(&self) -> BTreeSet<PointId> {
        let owners = self.packs.iter().map(|(pack, _)| pack.session);
        owners.filter(|session| !self.sessions.is_resolved(*session)).collect()
    }

    /// The names of what ended sessions and forgotten points leave behind.
    pub(super) async fn leftovers(
        &self,
        reader: &Reader,
    ) -> Result<Vec<ObjectName>, RepositoryError> {
        let mut leftovers = Vec::new();
        for folder in [Folder::Heartbeats, Folder::Sessions] {
            let names = state::names(reader, folder).await?;
            leftovers.extend(names.into_iter().filter(|name| self.sessions.is_leftover(*name)));
        }
        if !self.points.forgotten.is_empty() {
            let annotations = annotate::list(reader).await?.into_iter();
            let cleared = annotations.filter(|(point, _)| self.points.roots.is_cleared(*point));
            leftovers.extend(cleared.map(|(point, number)| ObjectName::Annotation(point, number)));
        }
        // Last: while the outcome is there, the others are found again.
        leftovers.extend(self.points.forgotten.iter().copied().map(ObjectName::Outcome));
        Ok(leftovers)
    }
}

// What was stored by sessions that have no registration. Those that have registered since the
// sessions were looked at know of the newest generation.
fn unregistered<'a>(
    owned: impl Iterator<Item = ObjectName> + 'a,
    registered: &[ObjectName],
) -> impl Iterator<Item = ObjectName> + 'a {
    let registered: BTreeSet<PointId> = registered
        .iter()
        .filter_map(|name| match name {
            ObjectName::Session(_, session) => Some(*session),
            _ => None,
        })
        .collect();
    owned.filter(move |name| match name {
        ObjectName::Pack(PackName { session, .. }) | ObjectName::Index(session, _) => {
            !registered.contains(session)
        }
        _ => false,
    })
}
