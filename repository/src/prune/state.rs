//! What the names and the small objects of a repository say, before anything is marked.

use std::collections::{BTreeMap, BTreeSet};

use format::ids::{ObjectId, PointId};
use format::names::{Folder, ObjectName};
use format::prune;
use format::session::{Heartbeat, Registration};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::Serialize;

use crate::error::RepositoryError;
use crate::pin;
use crate::protocol::condemned::Condemned;
use crate::protocol::generation::{self, Opening};
use crate::protocol::roots::{Forgotten, Roots};
use crate::protocol::sessions::Sessions;
use crate::reader::{FETCHES, Reader};

/// How often heartbeats are listed again, when newer ones come while they are read.
const ROUNDS: usize = 5;

/// The generations of a repository.
#[derive(Debug)]
pub(super) struct Generations {
    /// The newest one.
    pub(super) newest: u64,
    /// What is condemned at it.
    pub(super) condemned: Condemned,
}

/// The restore points of a repository.
#[derive(Debug)]
pub(super) struct Points {
    pub(super) roots: Roots,
    /// Sessions with an outcome whose point, if it has one, is not forgotten, or is pinned.
    pub(super) live: Vec<PointId>,
    /// Forgotten points of which something is still there to clear away.
    pub(super) forgotten: Vec<PointId>,
    /// Pins that keep forgotten points.
    pub(super) readings: Vec<Reading>,
}

/// A pin that keeps forgotten points: a restore reads them, or was cut off.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Reading {
    /// The pin.
    pub pin: ObjectId,
    /// Who reads.
    pub who: String,
    /// Since when, by the reader's clock.
    pub since: Timestamp,
    /// The forgotten points that it reads.
    pub points: Vec<PointId>,
}

/// Looks at the generations, and completes one that another prune has begun.
pub(super) async fn opening(reader: &Reader) -> Result<Opening, RepositoryError> {
    let (gens, cnds) = (names(reader, Folder::Generations), names(reader, Folder::Condemned));
    let (gens, cnds) = futures::try_join!(gens, cnds)?;
    Ok(generation::opening(gens, cnds))
}

/// Reads everything that is condemned at `newest`.
pub(super) async fn generations(
    reader: &Reader,
    newest: u64,
) -> Result<Generations, RepositoryError> {
    Ok(Generations { newest, condemned: reader.condemned(newest).await? })
}

/// Looks at the points: those that are forgotten, then the pins, then the outcomes. A point that
/// is forgotten while this goes on is live.
pub(super) async fn points(reader: &Reader) -> Result<Points, RepositoryError> {
    let forgotten: Vec<ObjectName> = names(reader, Folder::Forgotten).await?;
    let forgotten = Forgotten::listed(forgotten);
    let pins = pin::list(reader).await?;
    let is_forgotten = |point: &PointId| forgotten.contains(*point);
    let readings = pins.iter().filter_map(|(id, pin)| {
        let points: Vec<_> = pin.points.iter().copied().filter(is_forgotten).collect();
        let (who, since) = (pin.who.clone(), pin.when);
        (!points.is_empty()).then_some(Reading { pin: *id, who, since, points })
    });
    let readings = readings.collect();
    let roots = forgotten.with_pins(pins.into_iter().flat_map(|(_, pin)| pin.points));
    let (mut live, mut forgotten) = (Vec::new(), Vec::new());
    for point in reader.outcomes().await? {
        if roots.is_live(point) { live.push(point) } else { forgotten.push(point) }
    }
    // A record that somebody without the key put there must not cost a point.
    let records = stream::iter(forgotten.clone())
        .map(|point| reader.control::<prune::Forgotten>(ObjectName::Forgotten(point)));
    records.buffer_unordered(FETCHES).try_for_each(|_| async { Ok(()) }).await?;
    Ok(Points { roots, live, forgotten, readings })
}

/// Looks at the sessions, and reads what they have promised.
///
/// `owners` are the sessions of packs and segments, which need not have registered.
pub(super) async fn sessions(
    reader: &Reader,
    owners: impl IntoIterator<Item = ObjectName> + Clone,
) -> Result<Sessions, RepositoryError> {
    for _ in 0..ROUNDS {
        let mut sessions: Sessions = owners.clone().into_iter().collect();
        // Registrations before outcomes: who ends in between has ended.
        for folder in [Folder::Sessions, Folder::Heartbeats, Folder::Outcomes, Folder::Forgotten] {
            sessions.extend(names(reader, folder).await?);
        }
        let beats: Vec<_> = sessions.beats_to_read().collect();
        let beats = stream::iter(beats).map(|(session, number)| async move {
            let name = ObjectName::Heartbeat(session, number);
            Ok::<_, RepositoryError>((session, reader.control_if_there::<Heartbeat>(name).await?))
        });
        let beats: Vec<_> = beats.buffer_unordered(FETCHES).try_collect().await?;
        // One that is gone was followed by a newer one.
        if beats.iter().all(|(_, beat)| beat.is_some()) {
            for (session, beat) in beats {
                if let Some(Heartbeat { generation, .. }) = beat {
                    sessions.promise(session, generation);
                }
            }
            return Ok(sessions);
        }
    }
    // What could not be read promises nothing, so its session is waited for.
    let mut sessions: Sessions = owners.into_iter().collect();
    for folder in [Folder::Sessions, Folder::Outcomes, Folder::Forgotten] {
        sessions.extend(names(reader, folder).await?);
    }
    Ok(sessions)
}

/// The machines that these sessions say they run on.
pub(super) async fn hosts(
    reader: &Reader,
    sessions: &BTreeSet<PointId>,
) -> Result<BTreeMap<PointId, String>, RepositoryError> {
    let mut hosts = BTreeMap::new();
    for name in names(reader, Folder::Sessions).await? {
        let ObjectName::Session(_, session) = name else { continue };
        if sessions.contains(&session)
            && let Some(registration) = reader.control_if_there::<Registration>(name).await?
        {
            hosts.insert(session, registration.host);
        }
    }
    Ok(hosts)
}

/// The names in a folder.
pub(super) async fn names(
    reader: &Reader,
    folder: Folder,
) -> Result<Vec<ObjectName>, RepositoryError> {
    let listed = reader.store().list(folder).await?;
    Ok(listed.into_iter().map(|listed| listed.name).collect())
}
