//! A prune that has published its generation waits for the sessions that do not know of it.

use std::collections::BTreeMap;
use std::time::Duration;

use format::ids::PointId;

use super::sessions::Sessions;
use super::writer::HEARTBEAT_PERIOD;

/// How long a session may stand still, by the prune's own monotonic time, before it is fenced.
pub const FENCE_AFTER: Duration = Duration::from_mins(30);
// A writer gets several chances to be seen.
const _: () = assert!(HEARTBEAT_PERIOD.as_secs() * 5 <= FENCE_AFTER.as_secs());

/// The wait of one prune.
#[derive(Clone, Debug)]
pub struct Watch {
    generation: u64,
    own: Option<PointId>,
    /// Each session that is waited for: its newest heartbeat, and since when that is the newest.
    still: BTreeMap<PointId, (Option<u64>, Duration)>,
}

/// What a prune sees when it looks at the sessions.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// The sessions to wait for, with how long each stands still; nothing: the wait is over.
    pub waiting: Vec<(PointId, Duration)>,
    /// Those of them that stand still for too long. Create their outcome, as fenced; when it exists
    /// already they ended by themselves. Then look again: only an outcome that is listed counts.
    pub fence: Vec<PointId>,
}

impl Seen {
    /// Whether every session has ended or moved on.
    pub fn is_over(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Watch {
    /// Begins to wait, on behalf of the generation that was just published; `own` is the prune's
    /// own session, if it has one.
    pub fn new(generation: u64, own: Option<PointId>) -> Self {
        Self { generation, own, still: BTreeMap::new() }
    }

    /// Takes a listing that was made after the generation was published, heartbeats read, at a
    /// monotonic time `now`.
    ///
    /// Any session that is not in it yet looks at the generations after it has registered, and so
    /// learns of this one.
    pub fn look(&mut self, sessions: &Sessions, now: Duration) -> Seen {
        let (generation, own) = (self.generation, self.own);
        let below = sessions.unresolved();
        let below =
            below.filter(|(id, standing)| Some(*id) != own && standing.is_below(generation));
        let mut still = BTreeMap::new();
        let mut seen = Seen::default();
        for (session, standing) in below {
            let beat = standing.newest_beat();
            let before = self.still.get(&session).filter(|(known, _)| *known == beat);
            let since = before.map_or(now, |(_, since)| *since);
            still.insert(session, (beat, since));
            let time = now.saturating_sub(since);
            seen.waiting.push((session, time));
            if time >= FENCE_AFTER {
                seen.fence.push(session);
            }
        }
        self.still = still;
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use format::names::ObjectName;

    const QUIET: PointId = PointId::new([1; 16]);
    const BUSY: PointId = PointId::new([2; 16]);
    const OWN: PointId = PointId::new([3; 16]);

    fn sessions(beat: u64) -> Sessions {
        [
            ObjectName::Session(3, QUIET),
            ObjectName::Session(3, BUSY),
            ObjectName::Heartbeat(BUSY, beat),
            ObjectName::Session(3, OWN),
            ObjectName::Session(4, PointId::new([4; 16])),
        ]
        .into_iter()
        .collect()
    }

    #[test]
    fn a_session_that_stands_still_is_fenced_and_one_that_beats_is_not() {
        let mut watch = Watch::new(4, Some(OWN));
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        let start = minutes(1000);
        for minute in 0..30 {
            let seen = watch.look(&sessions(minute), start + minutes(minute));
            assert_eq!(seen.waiting, [(QUIET, minutes(minute)), (BUSY, Duration::ZERO)]);
            assert_eq!(seen.fence, []);
        }
        let seen = watch.look(&sessions(29), start + minutes(30));
        assert_eq!(seen.fence, [QUIET]);
        // It is waited for until its outcome is there.
        assert_eq!(watch.look(&sessions(29), start + minutes(31)).fence, [QUIET]);
        let mut ended = sessions(29);
        ended.extend([ObjectName::Outcome(QUIET)]);
        assert_eq!(watch.look(&ended, start + minutes(40)).waiting, [(BUSY, minutes(11))]);
        ended.promise(BUSY, 4);
        assert!(watch.look(&ended, start + minutes(41)).is_over());
    }
}
