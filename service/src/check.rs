//! Checking a repository, and one point of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use catalog::Seen;
use format::annotation::Note;
use format::manifest::Manifest;
use format::names::{ObjectName, PackName};
use jiff::Timestamp;
use repository::check::{Check, CheckReport, Progress, Subset};
use repository::chunks::Chunks;
use restore::progress::Progress as RestoreProgress;
use restore::verify::{self, Verification};

use crate::engine::Engine;
use crate::error::ServiceError;
use crate::evidence;

/// How much is read between two looks at the clock; what was read is written down as often.
const BATCH_BYTES: u64 = 512 << 20;

/// Which packs a check reads, beside all that says what is where.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReadData {
    /// None.
    Nothing,
    /// All.
    All,
    /// Some.
    Part {
        /// Which.
        subset: Subset,
        /// For those that are chosen by chance; another one each time when it is absent.
        seed: Option<u64>,
    },
    /// Those that this host has not read for so long, what was never read first.
    Due {
        /// For how long.
        within: Duration,
    },
}

/// What to check.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CheckRequest {
    /// Which packs are read.
    pub data: ReadData,
    /// How many bytes are read at the most; a pack that was begun is read whole.
    pub bytes_max: Option<u64>,
    /// After how long no further packs are read.
    pub time_max: Option<Duration>,
    /// Whether the repository is taken as it is now, whatever was seen of it before.
    pub accept: bool,
}

impl CheckRequest {
    /// The structure, and these packs.
    pub fn of(data: ReadData) -> Self {
        Self { data, bytes_max: None, time_max: None, accept: false }
    }
}

impl Engine {
    /// Whether everything that is in the repository can be restored, and whether it is what this
    /// host has seen of it.
    pub async fn check(
        &self,
        request: CheckRequest,
        progress: &Progress,
    ) -> Result<CheckReport, ServiceError> {
        let repository = self.reader.id();
        let mut check = Check::begin(&self.reader).await?;
        let lasting: BTreeMap<ObjectName, Seen> = check
            .lasting()
            .map(|(name, size, digest)| (name, Seen { size, digest: Some(digest) }))
            .collect();
        if request.accept {
            let seen = self.catalog.seen(repository).await?;
            self.catalog.forget_seen(repository, seen.into_keys().collect()).await?;
            let gone: Vec<_> = self.missing.iter().copied().collect();
            self.catalog.forget_points(repository, &gone).await?;
        }
        let seen = self.catalog.seen(repository).await?;
        let compared = evidence::compare(&seen, &lasting, |_| true);
        self.catalog.remember_seen(repository, compared.remember).await?;
        self.catalog.forget_seen(repository, compared.forget).await?;
        self.read_data(&mut check, request, progress).await?;
        let mut report = check.finish().await?;
        let mut evidence = compared.findings;
        if !request.accept {
            let when_opened =
                self.evidence.iter().filter(|found| !evidence.contains(found)).cloned();
            let when_opened: Vec<_> = when_opened.collect();
            evidence.extend(when_opened);
        }
        report.findings.extend(evidence);
        Ok(report)
    }

    /// Reads every byte of a point as a restore would, and restores nothing. When nothing of it is
    /// lost, an annotation says that it was verified.
    pub async fn verify(
        &self,
        manifest: Manifest,
        progress: Arc<RestoreProgress>,
    ) -> Result<Verification, ServiceError> {
        let chunks = Arc::new(Chunks::load(&self.reader, self.cache.as_deref()).await?);
        let point = manifest.point;
        let verification = verify::verify(manifest, chunks, progress).await?;
        if verification.lost.is_empty() {
            self.note_if_possible(point, Note::Verified { bytes: verification.bytes }).await;
        }
        Ok(verification)
    }

    async fn read_data(
        &self,
        check: &mut Check,
        request: CheckRequest,
        progress: &Progress,
    ) -> Result<(), ServiceError> {
        let repository = self.reader.id();
        let begun = self.machine.clock.now();
        let readings = self.catalog.readings(repository).await?;
        let packs = check.packs().to_vec();
        let is_there = |name: &ObjectName| match name {
            ObjectName::Pack(pack) => packs.binary_search_by_key(pack, |(pack, _)| *pack).is_ok(),
            _ => false,
        };
        let gone = readings.keys().filter(|name| !is_there(name)).copied().collect();
        self.catalog.record_readings(repository, (Vec::new(), begun), gone).await?;
        let mut chosen = match request.data {
            ReadData::Nothing => Vec::new(),
            ReadData::All => packs,
            ReadData::Part { subset, seed } => {
                let seed = seed.unwrap_or_else(|| begun.as_microsecond().cast_unsigned());
                subset.choose(packs, seed)
            }
            ReadData::Due { within } => due(packs, &readings, begun, within),
        };
        limit(&mut chosen, request.bytes_max);
        for batch in batches(chosen) {
            let now = self.machine.clock.now();
            if request.time_max.is_some_and(|most| now.duration_since(begun).unsigned_abs() >= most)
            {
                break;
            }
            let good = check.read(batch, progress).await?;
            let good = good.into_iter().map(ObjectName::Pack).collect();
            self.catalog.record_readings(repository, (good, now), Vec::new()).await?;
        }
        Ok(())
    }
}

// The oldest reading first, and what was never read before it.
fn due(
    packs: Vec<(PackName, u64)>,
    readings: &BTreeMap<ObjectName, Timestamp>,
    now: Timestamp,
    within: Duration,
) -> Vec<(PackName, u64)> {
    let read = |pack: &PackName| readings.get(&ObjectName::Pack(*pack)).copied();
    let mut due: Vec<_> = packs.into_iter().map(|(pack, size)| (read(&pack), pack, size)).collect();
    // A clock that was set back makes readings of the future: they count for nothing.
    let fresh = |read: Timestamp| read <= now && now.duration_since(read).unsigned_abs() < within;
    due.retain(|(read, ..)| read.is_none_or(|read| !fresh(read)));
    due.sort_unstable();
    due.into_iter().map(|(_, pack, size)| (pack, size)).collect()
}

fn limit(packs: &mut Vec<(PackName, u64)>, bytes_max: Option<u64>) {
    let Some(bytes_max) = bytes_max else { return };
    let mut sum = 0_u64;
    packs.retain(|(_, size)| {
        let wanted = sum < bytes_max;
        sum = sum.saturating_add(if wanted { *size } else { 0 });
        wanted
    });
}

fn batches(packs: Vec<(PackName, u64)>) -> impl Iterator<Item = Vec<(PackName, u64)>> {
    let mut packs = packs.into_iter();
    std::iter::from_fn(move || {
        let (mut batch, mut sum) = (Vec::new(), 0_u64);
        while sum < BATCH_BYTES {
            let Some((pack, size)) = packs.next() else { break };
            sum = sum.saturating_add(size);
            batch.push((pack, size));
        }
        (!batch.is_empty()).then_some(batch)
    })
}

#[cfg(test)]
mod tests {
    use format::ids::{ObjectId, PointId};

    use super::*;

    fn pack(byte: u8) -> (PackName, u64) {
        (PackName { session: PointId::new([0; 16]), id: ObjectId::new([byte; 16]) }, 100 << 20)
    }

    #[test]
    fn what_is_due_is_read_the_oldest_first() {
        let at = |day: i64| Timestamp::from_second(1_700_000_000 + day * 86_400).unwrap();
        let days = |days: u64| Duration::from_secs(days * 86_400);
        let readings = [(1, at(20)), (2, at(5)), (3, at(9)), (4, at(40))];
        let readings = readings.map(|(byte, read)| (ObjectName::Pack(pack(byte).0), read)).into();
        let packs: Vec<_> = (0..5).map(pack).collect();
        let due_at = |within| due(packs.clone(), &readings, at(30), within);
        assert_eq!(due_at(days(21)), [pack(0), pack(2), pack(3), pack(4)]);
        assert_eq!(due_at(days(10)), [pack(0), pack(2), pack(3), pack(1), pack(4)]);
        assert_eq!(due_at(days(100)), [pack(0), pack(4)]);
        let mut limited = due_at(days(10));
        limit(&mut limited, Some(101 << 20));
        assert_eq!(limited, [pack(0), pack(2)]);
    }

    #[test]
    fn batches_leave_nothing_out() {
        let packs: Vec<_> = (0..20).map(pack).collect();
        let batches: Vec<_> = batches(packs.clone()).collect();
        assert_eq!(batches.concat(), packs);
        assert!(batches.len() > 2 && batches.iter().all(|batch| batch.len() <= 6));
    }
}
