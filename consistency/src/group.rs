//! The freeze of one application: every member still, one snapshot of all volumes, thaw.
//!
//! Pure: [`Group::step`] takes what happened and answers what to do; `freeze.rs` does it in order.
//!
//! # Invariants
//! - No volume is snapshotted while any member still writes.
//! - Every member told to freeze is told to thaw, whatever happens.
//! - A group is complete only if neither the deadline nor a lost warden nor an early thaw came
//!   before the members were seen to stand still after the last snapshot.
//! - The end comes once: when nothing is held any more and no snapshot is being made.

use std::collections::BTreeSet;

/// A freeze in progress.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    // Told to freeze and not known to run again.
    held: BTreeSet<MemberIndex>,
    phase: Phase,
    // Snapshots cannot be taken back once begun, only waited for.
    snapshotting: bool,
}

/// One of the things that are frozen together, counted from 0.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct MemberIndex(pub(crate) usize);

/// Something that happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// The time in which everything must be done is over.
    DeadlinePassed,
    /// A member could not be frozen.
    FreezeFailed(MemberIndex),
    /// All processes of a member stand still.
    Frozen(MemberIndex),
    /// All members were looked at; `moving` is one that does not stand still.
    Pulsed { moving: Option<MemberIndex> },
    /// A snapshot could not be made; no other is being made any more.
    SnapshotFailed,
    /// All snapshots are whole.
    SnapshotsTaken,
    /// A member could not be thawed, or nobody knows whether it was.
    ThawFailed(MemberIndex),
    /// All processes of a member run again.
    Thawed(MemberIndex),
    /// The warden is gone: what it held must be thawed without it.
    WardenLost,
}

/// Something to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Command {
    /// Stop making snapshots as soon as possible.
    Abandon,
    /// Nothing more happens.
    Finish(Outcome),
    /// Freeze these members.
    Freeze(BTreeSet<MemberIndex>),
    /// Look whether every member stands still.
    Pulse,
    /// Make all snapshots.
    Snapshot,
    /// Thaw these members.
    Thaw(BTreeSet<MemberIndex>),
}

/// How a freeze ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// Every snapshot was made between two looks at members that stood still.
    Complete,
    /// There is no group snapshot.
    Failed(Cause),
    /// These members may be frozen still, whatever became of the snapshots.
    StillFrozen(BTreeSet<MemberIndex>),
}

/// Why there is no group snapshot.
#[derive(Clone, Debug, Eq, PartialEq)]
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

#[derive(Clone, Debug, Eq, PartialEq)]
enum Phase {
    /// Waiting for these members to stand still.
    Freezing(BTreeSet<MemberIndex>),
    /// All are said to be frozen; looking whether it is so.
    Checking,
    Snapshotting,
    /// Looking whether all stood still until now.
    Proving,
    Thawing(Outcome),
    Finished,
}

impl Group {
    /// Starts a freeze. A group without members stands still already.
    pub(crate) fn start(members: BTreeSet<MemberIndex>) -> (Self, Vec<Command>) {
        let (phase, command) = if members.is_empty() {
            (Phase::Checking, Command::Pulse)
        } else {
            (Phase::Freezing(members.clone()), Command::Freeze(members.clone()))
        };
        (Self { held: members, phase, snapshotting: false }, vec![command])
    }

    /// Takes one event and returns what to do next; events after the end ask for nothing.
    pub(crate) fn step(&mut self, event: Event) -> Vec<Command> {
        if self.phase == Phase::Finished {
            return Vec::new();
        }
        match event {
            Event::DeadlinePassed => self.run_out(),
            Event::FreezeFailed(member) => self.fail(Cause::Refused(member)),
            Event::Frozen(member) => self.count_frozen(member),
            Event::Pulsed { moving } => self.read_pulse(moving),
            Event::SnapshotFailed => {
                self.snapshotting = false;
                self.fail(Cause::Snapshot)
            }
            Event::SnapshotsTaken => {
                self.snapshotting = false;
                match self.phase {
                    Phase::Snapshotting => self.enter(Phase::Proving, Command::Pulse),
                    _ => self.settle(),
                }
            }
            Event::ThawFailed(member) => self.lose(member),
            Event::Thawed(member) => {
                self.held.remove(&member);
                self.fail(Cause::Woke(member))
            }
            Event::WardenLost if matches!(self.phase, Phase::Thawing(_)) => self.thaw_again(),
            Event::WardenLost => self.fail(Cause::Warden),
        }
    }

    fn enter(&mut self, phase: Phase, command: Command) -> Vec<Command> {
        self.phase = phase;
        vec![command]
    }

    fn count_frozen(&mut self, member: MemberIndex) -> Vec<Command> {
        let Phase::Freezing(writing) = &mut self.phase else { return Vec::new() };
        writing.remove(&member);
        if writing.is_empty() { self.enter(Phase::Checking, Command::Pulse) } else { Vec::new() }
    }

    fn read_pulse(&mut self, moving: Option<MemberIndex>) -> Vec<Command> {
        match (&self.phase, moving) {
            (Phase::Checking, Some(member)) => self.fail(Cause::Woke(member)),
            (Phase::Checking, None) => {
                self.snapshotting = true;
                self.enter(Phase::Snapshotting, Command::Snapshot)
            }
            // Whoever moved meanwhile is found by comparing the two readings.
            (Phase::Proving, _) => self.thaw(Outcome::Complete),
            _ => Vec::new(),
        }
    }

    fn run_out(&mut self) -> Vec<Command> {
        match &self.phase {
            Phase::Freezing(writing) => {
                let slow = writing.clone();
                self.fail(Cause::SlowFreeze(slow))
            }
            Phase::Checking | Phase::Snapshotting | Phase::Proving => {
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
        if self.snapshotting {
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
            Phase::Thawing(outcome) if self.held.is_empty() && !self.snapshotting => {
                let outcome = outcome.clone();
                self.enter(Phase::Finished, Command::Finish(outcome))
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
