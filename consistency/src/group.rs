//! The freeze of one application: every member still, all volumes snapshotted, thaw.
//!
//! Pure: [`Group::step`] takes what happened and answers what to do; `freeze.rs` does it for one
//! host. The group knows members, not hosts: what it hears may be late, come twice or never, so
//! each message names its run and each look its number.
//!
//! # Invariants
//! - No volume is snapshotted while any member still writes.
//! - No member is thawed by us while a volume is snapshotted, unless the point is given up.
//! - Every member told to freeze is told to thaw, whatever happens.
//! - A group is complete only if neither the deadline nor a lost warden nor an early thaw came
//!   before the members were looked at after the last snapshot.
//! - The end comes once: when nothing is held any more and no snapshot is being made.

use std::collections::BTreeSet;

use format::ids::PointId;

/// A freeze in progress.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Group {
    run: PointId,
    parties: Parties,
    // Told to freeze and not known to run again.
    held: BTreeSet<MemberIndex>,
    phase: Phase,
    // Snapshots cannot be taken back once begun, only waited for.
    taking: BTreeSet<PlaceIndex>,
}

/// Who takes part.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Parties {
    /// What is frozen and thawed.
    pub(crate) held: BTreeSet<MemberIndex>,
    /// What must stand still, frozen by us or not.
    pub(crate) watched: BTreeSet<MemberIndex>,
    /// Where snapshots are made.
    pub(crate) places: BTreeSet<PlaceIndex>,
}

/// One of the things that are frozen together, counted from 0.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct MemberIndex(pub(crate) usize);

/// One of the hosts whose volumes are snapshotted, counted from 0.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct PlaceIndex(pub(crate) usize);

/// Which look at a member.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Look {
    /// Before the first snapshot; later ones are compared with it.
    Before,
    /// After the last snapshot.
    After,
}

/// What a look at a member showed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Sight {
    /// It stands still, and did so since the first look.
    Still,
    /// It moves, or has moved, or nobody knows.
    Moved,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Event {
    /// The time in which everything must be done is over.
    DeadlinePassed,
    /// A member could not be frozen.
    FreezeFailed(MemberIndex),
    /// All processes of a member stand still.
    Frozen(MemberIndex),
    /// A member was looked at.
    Looked { look: Look, member: MemberIndex, sight: Sight },
    /// A snapshot could not be made; no other is being made there any more.
    SnapshotFailed(PlaceIndex),
    /// All snapshots of a place are whole.
    Taken(PlaceIndex),
    /// A member could not be thawed, or nobody knows whether it was.
    ThawFailed(MemberIndex),
    /// All processes of a member run again.
    Thawed(MemberIndex),
    /// The warden is gone: what it held must be thawed without it.
    WardenLost,
}

/// Something to do, in the name of the group's run.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Command {
    /// Stop making snapshots as soon as possible.
    Abandon,
    /// Nothing more happens.
    Finish(Outcome),
    /// Freeze these members.
    Freeze(BTreeSet<MemberIndex>),
    /// Look whether these members stand still.
    Look(Look, BTreeSet<MemberIndex>),
    /// Make all snapshots of these places.
    Snapshot(BTreeSet<PlaceIndex>),
    /// Thaw these members.
    Thaw(BTreeSet<MemberIndex>),
}

/// How a freeze ended.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Outcome {
    /// Every snapshot was made between two looks at members that stood still, but for those that
    /// `moved`: the volumes are of one instant only if there are none.
    Complete { moved: BTreeSet<MemberIndex> },
    /// There is no group snapshot.
    Failed(Cause),
    /// These members may be frozen still, whatever became of the snapshots.
    StillFrozen(BTreeSet<MemberIndex>),
}

/// Why there is no group snapshot.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Cause {
    /// A member could not be frozen.
    Refused(MemberIndex),
    /// These members still wrote at the deadline.
    SlowFreeze(BTreeSet<MemberIndex>),
    /// The snapshots were not done and proven at the deadline.
    SlowSnapshot,
    /// A snapshot could not be made.
    Snapshot,
    /// The warden was gone before the end.
    Warden,
    /// A member ran again before the end.
    Woke(MemberIndex),
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Phase {
    /// Waiting for these members to stand still.
    Freezing(BTreeSet<MemberIndex>),
    /// All are said to be frozen; looking whether it is so, at these still.
    Checking(BTreeSet<MemberIndex>),
    /// Waiting for the places in `taking`.
    Snapshotting,
    /// Looking whether all stood still until now, at these still.
    Proving {
        unseen: BTreeSet<MemberIndex>,
        moved: BTreeSet<MemberIndex>,
    },
    Thawing(Outcome),
    Finished,
}

impl Group {
    /// Starts a freeze. A group without members stands still already.
    pub(crate) fn start(run: PointId, parties: Parties) -> (Self, Vec<Command>) {
        let phase = Phase::Freezing(parties.held.clone());
        let held = parties.held.clone();
        let mut group = Self { run, parties, held, phase, taking: BTreeSet::new() };
        let commands = if group.held.is_empty() {
            group.check()
        } else {
            vec![Command::Freeze(group.held.clone())]
        };
        (group, commands)
    }

    /// Takes one event of a run and returns what to do next. Events of another run and events
    /// after the end ask for nothing.
    pub(crate) fn step(&mut self, run: PointId, event: Event) -> Vec<Command> {
        if run != self.run || self.phase == Phase::Finished {
            return Vec::new();
        }
        match event {
            Event::DeadlinePassed => self.run_out(),
            Event::FreezeFailed(member) => self.fail(Cause::Refused(member)),
            Event::Frozen(member) => self.count_frozen(member),
            Event::Looked { look, member, sight } => self.count_look(look, member, sight),
            Event::SnapshotFailed(place) => {
                self.taking.remove(&place);
                self.fail(Cause::Snapshot)
            }
            Event::Taken(place) => self.count_taken(place),
            Event::ThawFailed(member) => self.lose(member),
            Event::Thawed(member) => {
                self.held.remove(&member);
                self.fail(Cause::Woke(member))
            }
            Event::WardenLost if matches!(self.phase, Phase::Thawing(_)) => self.thaw_again(),
            Event::WardenLost => self.fail(Cause::Warden),
        }
    }

    fn count_frozen(&mut self, member: MemberIndex) -> Vec<Command> {
        let Phase::Freezing(writing) = &mut self.phase else { return Vec::new() };
        writing.remove(&member);
        if writing.is_empty() { self.check() } else { Vec::new() }
    }

    // The first barrier: all are said to stand still.
    fn check(&mut self) -> Vec<Command> {
        let unseen = self.parties.watched.clone();
        if unseen.is_empty() {
            return self.snapshot();
        }
        self.phase = Phase::Checking(unseen.clone());
        vec![Command::Look(Look::Before, unseen)]
    }

    // The second barrier: all were seen to stand still.
    fn snapshot(&mut self) -> Vec<Command> {
        self.phase = Phase::Snapshotting;
        self.taking = self.parties.places.clone();
        vec![Command::Snapshot(self.taking.clone())]
    }

    fn count_taken(&mut self, place: PlaceIndex) -> Vec<Command> {
        self.taking.remove(&place);
        match self.phase {
            // The third barrier: all snapshots are whole.
            Phase::Snapshotting if self.taking.is_empty() => self.prove(),
            _ => self.settle(),
        }
    }

    fn prove(&mut self) -> Vec<Command> {
        let unseen = self.parties.watched.clone();
        if unseen.is_empty() {
            return self.thaw(Outcome::Complete { moved: BTreeSet::new() });
        }
        self.phase = Phase::Proving { unseen: unseen.clone(), moved: BTreeSet::new() };
        vec![Command::Look(Look::After, unseen)]
    }

    fn count_look(&mut self, look: Look, member: MemberIndex, sight: Sight) -> Vec<Command> {
        match (&mut self.phase, look) {
            (Phase::Checking(_), Look::Before) if sight == Sight::Moved => {
                self.fail(Cause::Woke(member))
            }
            (Phase::Checking(unseen), Look::Before) => {
                unseen.remove(&member);
                if unseen.is_empty() { self.snapshot() } else { Vec::new() }
            }
            (Phase::Proving { unseen, moved }, Look::After) => {
                if unseen.remove(&member) && sight == Sight::Moved {
                    moved.insert(member);
                }
                if !unseen.is_empty() {
                    return Vec::new();
                }
                // The last barrier: all were seen after the last snapshot.
                let moved = std::mem::take(moved);
                self.thaw(Outcome::Complete { moved })
            }
            _ => Vec::new(),
        }
    }

    fn run_out(&mut self) -> Vec<Command> {
        match &self.phase {
            Phase::Freezing(writing) => {
                let slow = writing.clone();
                self.fail(Cause::SlowFreeze(slow))
            }
            Phase::Checking(_) | Phase::Snapshotting | Phase::Proving { .. } => {
                self.fail(Cause::SlowSnapshot)
            }
            Phase::Thawing(_) | Phase::Finished => Vec::new(),
        }
    }

    // The first cause counts: what follows is mostly its consequence.
    fn fail(&mut self, cause: Cause) -> Vec<Command> {
        match self.phase {
            Phase::Thawing(_) => self.settle(),
            _ => self.thaw(Outcome::Failed(cause)),
        }
    }

    fn thaw(&mut self, outcome: Outcome) -> Vec<Command> {
        self.phase = Phase::Thawing(outcome);
        let mut commands = Vec::new();
        if !self.taking.is_empty() {
            commands.push(Command::Abandon);
        }
        commands.extend(self.thaw_again());
        commands
    }

    fn thaw_again(&mut self) -> Vec<Command> {
        if self.held.is_empty() { self.settle() } else { vec![Command::Thaw(self.held.clone())] }
    }

    fn lose(&mut self, member: MemberIndex) -> Vec<Command> {
        if !self.held.remove(&member) {
            return Vec::new();
        }
        let mut lost = BTreeSet::from([member]);
        if let Phase::Thawing(Outcome::StillFrozen(others)) = &self.phase {
            lost.extend(others);
        }
        if let Phase::Thawing(outcome) = &mut self.phase {
            *outcome = Outcome::StillFrozen(lost);
            self.settle()
        } else {
            self.thaw(Outcome::StillFrozen(lost))
        }
    }

    fn settle(&mut self) -> Vec<Command> {
        match &self.phase {
            Phase::Thawing(outcome) if self.held.is_empty() && self.taking.is_empty() => {
                let outcome = outcome.clone();
                self.phase = Phase::Finished;
                vec![Command::Finish(outcome)]
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
