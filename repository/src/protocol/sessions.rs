//! How every session stands, as the names in the store and its heartbeats say.

use std::collections::BTreeMap;

use format::ids::PointId;
use format::names::ObjectName;

/// The sessions that a listing shows.
///
/// Feed it what the folders `ses`, `hb`, `fgt` and `out` list, and where orphans matter also `pack`
/// and `idx`; then read the heartbeats that [`Sessions::beats_to_read`] names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sessions(BTreeMap<PointId, Standing>);

/// How one session stands.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Standing {
    registered: Option<u64>,
    beat: Option<u64>,
    promised: Option<u64>,
    is_resolved: bool,
}

impl Standing {
    /// Whether it has ended: with an outcome of any kind, or a forgotten point.
    pub fn is_resolved(&self) -> bool {
        self.is_resolved
    }

    /// The number of its newest heartbeat.
    pub fn newest_beat(&self) -> Option<u64> {
        self.beat
    }

    /// Whether it may still come to rely on what is condemned at `generation`, so that a prune of
    /// that generation must wait for it.
    pub fn is_below(&self, generation: u64) -> bool {
        // One that left packs and no registration has promised nothing.
        !self.is_resolved && self.registered.max(self.promised).is_none_or(|own| own < generation)
    }
}

impl Sessions {
    /// Whether this session has ended. One that nothing is known of has not: its packs may be
    /// listed before the rest of it is.
    ///
    /// Only packs and segments of sessions that have ended may be condemned.
    pub fn is_resolved(&self, session: PointId) -> bool {
        self.0.get(&session).is_some_and(Standing::is_resolved)
    }

    /// The sessions that have not ended, in the order of their ids.
    pub fn unresolved(&self) -> impl Iterator<Item = (PointId, &Standing)> {
        let all = self.0.iter().map(|(session, standing)| (*session, standing));
        all.filter(|(_, standing)| !standing.is_resolved)
    }

    /// The newest heartbeat of each session that has not ended, if it has any: `hb/<session>/<n>`.
    /// When one is gone, a newer one was written meanwhile: list again.
    pub fn beats_to_read(&self) -> impl Iterator<Item = (PointId, u64)> {
        self.unresolved().filter_map(|(session, standing)| Some((session, standing.beat?)))
    }

    /// Takes in the generation that a heartbeat names.
    pub fn promise(&mut self, session: PointId, generation: u64) {
        let promised = &mut self.0.entry(session).or_default().promised;
        *promised = (*promised).max(Some(generation));
    }

    /// Whether a heartbeat or registration has done its service and may be deleted. Outcomes and
    /// forgotten points are for [`Roots`](super::roots::Roots) to decide.
    ///
    /// What a newer heartbeat promises stands for the older ones.
    pub fn is_leftover(&self, name: ObjectName) -> bool {
        match name {
            ObjectName::Session(_, session) => self.is_resolved(session),
            ObjectName::Heartbeat(session, number) => {
                let newest = self.0.get(&session).and_then(Standing::newest_beat);
                self.is_resolved(session) || newest.is_some_and(|newest| number < newest)
            }
            _ => false,
        }
    }

    fn see(&mut self, name: ObjectName) {
        let (ObjectName::Session(_, session)
        | ObjectName::Outcome(session)
        | ObjectName::Forgotten(session)
        | ObjectName::Heartbeat(session, _)
        | ObjectName::Index(session, _)) = name
        else {
            if let ObjectName::Pack(pack) = name {
                self.0.entry(pack.session).or_default();
            }
            return;
        };
        let standing = self.0.entry(session).or_default();
        match name {
            ObjectName::Session(generation, _) => {
                standing.registered = standing.registered.max(Some(generation));
            }
            ObjectName::Heartbeat(_, number) => standing.beat = standing.beat.max(Some(number)),
            ObjectName::Outcome(_) | ObjectName::Forgotten(_) => standing.is_resolved = true,
            _ => {}
        }
    }
}

impl Extend<ObjectName> for Sessions {
    fn extend<T: IntoIterator<Item = ObjectName>>(&mut self, names: T) {
        names.into_iter().for_each(|name| self.see(name));
    }
}

impl FromIterator<ObjectName> for Sessions {
    fn from_iter<T: IntoIterator<Item = ObjectName>>(names: T) -> Self {
        let mut sessions = Self::default();
        sessions.extend(names);
        sessions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use format::ids::ObjectId;
    use format::names::PackName;

    const fn point(id: u8) -> PointId {
        PointId::new([id; 16])
    }

    #[test]
    fn an_outcome_or_a_forgotten_point_ends_a_session() {
        let (id, session) = (ObjectId::new([9; 16]), point(4));
        let names = [
            ObjectName::Session(0, point(1)),
            ObjectName::Session(0, point(2)),
            ObjectName::Outcome(point(2)),
            ObjectName::Session(0, point(3)),
            ObjectName::Forgotten(point(3)),
            ObjectName::Pack(PackName { session, id }),
            ObjectName::Index(point(5), id),
        ];
        let sessions: Sessions = names.into_iter().collect();
        let unresolved: Vec<_> = sessions.unresolved().map(|(session, _)| session).collect();
        assert_eq!(unresolved, [point(1), point(4), point(5)]);
        assert!(sessions.is_resolved(point(2)) && sessions.is_resolved(point(3)));
        assert!(!sessions.is_resolved(point(6)));
    }

    #[test]
    fn the_newest_heartbeat_says_what_a_session_has_promised() {
        let (at_work, orphan) = (point(1), point(2));
        let mut sessions: Sessions = [
            ObjectName::Session(3, at_work),
            ObjectName::Heartbeat(at_work, 9),
            ObjectName::Heartbeat(at_work, 10),
            ObjectName::Index(orphan, ObjectId::new([9; 16])),
        ]
        .into_iter()
        .collect();
        assert_eq!(sessions.beats_to_read().collect::<Vec<_>>(), [(at_work, 10)]);
        let below = |sessions: &Sessions, generation| {
            let below = sessions.unresolved().filter(|(_, s)| s.is_below(generation));
            below.map(|(session, _)| session).collect::<Vec<_>>()
        };
        assert_eq!(below(&sessions, 3), [orphan]);
        assert_eq!(below(&sessions, 4), [at_work, orphan]);
        sessions.promise(at_work, 4);
        assert_eq!(below(&sessions, 4), [orphan]);
        assert_eq!(below(&sessions, 5), [at_work, orphan]);
        sessions.extend([ObjectName::Outcome(orphan)]);
        assert_eq!(below(&sessions, 4), []);
    }

    #[test]
    fn what_ended_sessions_and_older_heartbeats_leave_is_cleared() {
        let (ended, at_work) = (point(1), point(2));
        let names = [
            ObjectName::Session(3, ended),
            ObjectName::Heartbeat(ended, 7),
            ObjectName::Heartbeat(at_work, 1),
            ObjectName::Session(3, at_work),
            ObjectName::Heartbeat(at_work, 2),
            ObjectName::Outcome(ended),
        ];
        let sessions: Sessions = names.into_iter().collect();
        let leftovers = names.map(|name| sessions.is_leftover(name));
        assert_eq!(leftovers, [true, true, true, false, false, false]);
    }
}
