//! Looks at every target, before the first snapshot and after the last.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use super::units::Units;
use crate::error::{ConsistencyError, WardenSaid, chain};
use crate::freezer::{Gauge, Reading, gauge};
use crate::group::{Event, Look, MemberIndex, Sight};

/// A gauge at every target, and what it showed first.
#[derive(Debug)]
pub(super) struct Looks {
    gauges: Vec<Box<dyn Gauge>>,
    base: Vec<Option<Reading>>,
    traces: Vec<Option<String>>,
}

impl Looks {
    /// Opens everything that is looked at.
    pub(super) fn open(units: &Units) -> Result<Self, ConsistencyError> {
        let open = |number: usize| {
            let index = MemberIndex(number);
            let failed = |reason| ConsistencyError::FreezeFailed {
                member: units.name(index),
                source: WardenSaid(reason),
            };
            let target = units.target(index).ok_or_else(|| failed("it is gone".to_owned()))?;
            gauge(target).map_err(|error| failed(chain(&error)))
        };
        let gauges = (0..units.count()).map(open).collect::<Result<Vec<_>, _>>()?;
        let (base, traces) = (vec![None; gauges.len()], vec![None; gauges.len()]);
        Ok(Self { gauges, base, traces })
    }

    /// Looks at all, and answers for these.
    pub(super) fn look(&mut self, look: Look, members: &BTreeSet<MemberIndex>) -> Vec<Event> {
        let readings = match look {
            Look::Before => self.settled(),
            Look::After => self.readings(),
        };
        let traces: Vec<_> = match look {
            Look::Before => readings.iter().map(Option::as_ref).map(not_still).collect(),
            Look::After => self.base.iter().zip(&readings).map(moved_since).collect(),
        };
        if look == Look::Before {
            self.base = readings;
        }
        self.traces = traces;
        let sight = |member: MemberIndex| match self.trace(member) {
            None => Sight::Still,
            Some(_) => Sight::Moved,
        };
        let looked =
            |member: &MemberIndex| Event::Looked { look, member: *member, sight: sight(*member) };
        members.iter().map(looked).collect()
    }

    /// What showed at the last look that a target moved.
    pub(super) fn trace(&self, member: MemberIndex) -> Option<&str> {
        self.traces.get(member.0).map_or(Some(UNSEEN), |trace| trace.as_deref())
    }

    // The first readings are what later ones are compared with. Where the kernel keeps no count of
    // the time frozen, a process may be charged for its last steps only now: two equal readings in
    // a row are a base.
    fn settled(&mut self) -> Vec<Option<Reading>> {
        let mut earlier = self.readings();
        if earlier.iter().flatten().all(|reading| reading.frozen.is_some()) {
            return earlier;
        }
        for _ in 0..SETTLE_TRIES {
            thread::sleep(SETTLE_TIME);
            let later = self.readings();
            let settled = later.iter().zip(&earlier).all(|pair| match pair {
                (Some(later), Some(earlier)) => later.break_since(earlier).is_none(),
                _ => true,
            });
            if settled {
                return later;
            }
            earlier = later;
        }
        earlier
    }

    fn readings(&mut self) -> Vec<Option<Reading>> {
        self.gauges.iter_mut().map(|gauge| gauge.reading().ok()).collect()
    }
}

fn not_still(reading: Option<&Reading>) -> Option<String> {
    match reading {
        Some(reading) if reading.still => None,
        Some(_) => Some("it does not stand still".to_owned()),
        None => Some(UNSEEN.to_owned()),
    }
}

fn moved_since((base, now): (&Option<Reading>, &Option<Reading>)) -> Option<String> {
    match (base, now) {
        (Some(base), Some(now)) => now.break_since(base).map(|trace| trace.to_string()),
        _ => Some(UNSEEN.to_owned()),
    }
}

const UNSEEN: &str = "it could not be looked at";
const SETTLE_TRIES: u32 = 10;
const SETTLE_TIME: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::Sight::{Moved, Still};
    use super::*;
    use crate::clock::Moment;
    use crate::freezer::FreezerError;

    /// Shows these uses of the processor one after the other, and then nothing.
    #[derive(Debug)]
    struct Shows(Vec<u64>);

    impl Gauge for Shows {
        fn reading(&mut self) -> Result<Reading, FreezerError> {
            let usage = self.0.pop().ok_or(FreezerError::Needed { what: String::new() })?;
            Ok(Reading { still: true, usage: Some(usage), ..Reading::since(Moment::now()) })
        }
    }

    #[test]
    fn what_moved_between_the_looks_leaves_a_trace() {
        // Two for the first look, one for the second, the last one first.
        let shown = [vec![1, 1, 1], vec![2, 1, 1], vec![1, 1]];
        let gauges = shown.map(|usage| Box::new(Shows(usage)) as Box<dyn Gauge>);
        let (base, traces) = (vec![None; 3], vec![None; 3]);
        let mut looks = Looks { gauges: gauges.into(), base, traces };
        let all = (0..4).map(MemberIndex).collect();
        let sights = |events: Vec<Event>| {
            let sight = |event| match event {
                Event::Looked { sight, .. } => sight,
                other => panic!("{other:?}"),
            };
            events.into_iter().map(sight).collect::<Vec<_>>()
        };
        assert_eq!(sights(looks.look(Look::Before, &all)), [Still, Still, Still, Moved]);
        assert_eq!(sights(looks.look(Look::After, &all)), [Still, Moved, Moved, Moved]);
        assert_eq!(looks.trace(MemberIndex(1)), Some("it used CPU time"));
        assert_eq!(looks.trace(MemberIndex(2)), Some(UNSEEN));
    }
}
