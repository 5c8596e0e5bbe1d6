//! What one warden may do, and when: the other half of [`Group`](crate::group::Group).
//!
//! Pure. A warden serves one run and freezes once; after the thaw, whatever the reason for it, it
//! freezes nothing more. So an order that comes late does nothing.

use std::fmt;

use format::ids::PointId;

/// A warden in the course of its one freeze.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Member {
    run: Option<PointId>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
enum Phase {
    #[default]
    Unarmed,
    /// Everything is open.
    Armed,
    Holding,
    /// Thawed or thawing, for good.
    Spent,
}

/// Why an order is not followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    /// It is of another run.
    OtherRun,
    /// It was given already.
    Repeated,
    /// The freeze is over.
    Spent,
    /// Nothing is open yet.
    Unarmed,
}

impl Refusal {
    /// The reason in words.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::OtherRun => "this is the warden of another freeze",
            Self::Repeated => "this order was given already",
            Self::Spent => "the freeze is over",
            Self::Unarmed => "no target is open yet",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Member {
    /// Whether targets may be opened for this run; from then on it is the only one.
    pub(crate) fn arm(&mut self, run: PointId) -> Result<(), Refusal> {
        match self.phase {
            Phase::Unarmed => {
                *self = Self { run: Some(run), phase: Phase::Armed };
                Ok(())
            }
            Phase::Spent => Err(Refusal::Spent),
            _ if self.run != Some(run) => Err(Refusal::OtherRun),
            _ => Err(Refusal::Repeated),
        }
    }

    /// Whether to freeze now. From here on the time runs.
    pub(crate) fn freeze(&mut self, run: PointId) -> Result<(), Refusal> {
        self.serves(run)?;
        match self.phase {
            Phase::Armed => {
                self.phase = Phase::Holding;
                Ok(())
            }
            Phase::Unarmed => Err(Refusal::Unarmed),
            Phase::Holding => Err(Refusal::Repeated),
            Phase::Spent => Err(Refusal::Spent),
        }
    }

    /// The end, by an order, the deadline or for want of a service; whether there is anything to
    /// thaw.
    pub(crate) fn spend(&mut self) -> bool {
        std::mem::replace(&mut self.phase, Phase::Spent) == Phase::Holding
    }

    /// Whether it was told to freeze and nothing has ended that.
    pub(crate) fn is_holding(&self) -> bool {
        self.phase == Phase::Holding
    }

    /// Whether orders of this run are for it.
    pub(crate) fn serves(&self, run: PointId) -> Result<(), Refusal> {
        match self.run {
            None => Err(Refusal::Unarmed),
            Some(own) if own == run => Ok(()),
            Some(_) => Err(Refusal::OtherRun),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: PointId = PointId::new([1; 16]);
    const OTHER: PointId = PointId::new([2; 16]);

    #[test]
    fn a_warden_freezes_once() {
        let mut member = Member::default();
        assert_eq!(member.freeze(RUN), Err(Refusal::Unarmed));
        member.arm(RUN).unwrap();
        assert_eq!(member.arm(RUN), Err(Refusal::Repeated));
        member.freeze(RUN).unwrap();
        assert!(member.is_holding());
        assert_eq!(member.freeze(RUN), Err(Refusal::Repeated));
        assert!(member.spend());
        assert!(!member.spend());
        assert_eq!(member.freeze(RUN), Err(Refusal::Spent));
        assert_eq!(member.arm(RUN), Err(Refusal::Spent));
    }

    #[test]
    fn a_thaw_before_the_freeze_is_for_good() {
        let mut member = Member::default();
        member.arm(RUN).unwrap();
        assert!(!member.spend());
        assert_eq!(member.freeze(RUN), Err(Refusal::Spent));
    }

    #[test]
    fn orders_of_another_run_are_refused() {
        let mut member = Member::default();
        member.arm(RUN).unwrap();
        assert_eq!(member.arm(OTHER), Err(Refusal::OtherRun));
        assert_eq!(member.freeze(OTHER), Err(Refusal::OtherRun));
        member.freeze(RUN).unwrap();
        assert_eq!(member.serves(OTHER), Err(Refusal::OtherRun));
        assert!(member.is_holding());
    }
}
