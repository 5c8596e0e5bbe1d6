//! The machine against every order of events, and against the orders people ask about.

mod model;

use super::*;

const RUN: PointId = PointId::new([1; 16]);
const HERE: PlaceIndex = PlaceIndex(0);

fn parties(members: BTreeSet<MemberIndex>) -> Parties {
    Parties { held: members.clone(), watched: members, places: BTreeSet::from([HERE]) }
}

fn looked(look: Look, member: usize, sight: Sight) -> Event {
    Event::Looked { look, member: MemberIndex(member), sight }
}

fn pair() -> BTreeSet<MemberIndex> {
    BTreeSet::from([MemberIndex(0), MemberIndex(1)])
}

fn events() -> Vec<Event> {
    let mut events = vec![
        Event::DeadlinePassed,
        Event::SnapshotFailed(HERE),
        Event::Taken(HERE),
        Event::WardenLost,
    ];
    for member in pair() {
        for look in [Look::Before, Look::After] {
            events.push(looked(look, member.0, Sight::Still));
            events.push(looked(look, member.0, Sight::Moved));
        }
        events.push(Event::Frozen(member));
        events.push(Event::FreezeFailed(member));
        events.push(Event::Thawed(member));
        events.push(Event::ThawFailed(member));
    }
    events
}

/// What can be said of a group from outside, by nothing but its commands and events.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a thing that was seen or not")]
struct Witness {
    frozen: BTreeSet<MemberIndex>,
    told_to_thaw: BTreeSet<MemberIndex>,
    spoilt: bool,
    snapshotting: bool,
    proven: bool,
    finished: bool,
    proofs: BTreeSet<MemberIndex>,
}

impl Witness {
    fn hear(&mut self, event: &Event) {
        match event {
            Event::Frozen(member) => drop(self.frozen.insert(*member)),
            Event::Thawed(member) | Event::ThawFailed(member) => {
                self.frozen.remove(member);
                self.spoilt |= !self.proven;
            }
            Event::DeadlinePassed | Event::FreezeFailed(_) | Event::WardenLost => {
                self.spoilt |= !self.proven;
            }
            Event::SnapshotFailed(_) => {
                self.spoilt |= !self.proven;
                self.snapshotting = false;
            }
            Event::Taken(_) => self.snapshotting = false,
            Event::Looked { look: Look::After, member, .. } => {
                self.proofs.insert(*member);
                self.proven |= self.proofs == pair() && !self.spoilt;
            }
            Event::Looked { look: Look::Before, .. } => {}
        }
    }

    fn see(&mut self, command: &Command) {
        assert!(!self.finished, "{command:?} after the end");
        match command {
            Command::Snapshot(_) => {
                assert_eq!(self.frozen, pair(), "snapshot while a member writes");
                assert!(!self.spoilt, "snapshot after a failure");
                self.snapshotting = true;
            }
            Command::Thaw(members) => self.told_to_thaw.extend(members),
            Command::Finish(outcome) => {
                assert!(!self.snapshotting, "the end while a snapshot is made");
                let complete = matches!(outcome, Outcome::Complete { .. });
                assert!(!complete || self.proven, "complete without proof");
                self.finished = true;
            }
            Command::Abandon | Command::Freeze(_) | Command::Look(..) => {}
        }
    }
}

// An event that nobody could have caused is left out; all others are tried.
fn possible(group: &Group, event: &Event) -> bool {
    match event {
        Event::Looked { look: Look::Before, .. } => matches!(group.phase, Phase::Checking(_)),
        Event::Looked { .. } => matches!(group.phase, Phase::Proving { .. }),
        Event::Taken(_) | Event::SnapshotFailed(_) => !group.taking.is_empty(),
        Event::Thawed(member) | Event::ThawFailed(member) => group.held.contains(member),
        _ => true,
    }
}

// One step of every kind from one state; returns the states it leads to.
fn spread(group: &Group, witness: &Witness, ends: &mut BTreeSet<String>) -> Vec<(Group, Witness)> {
    let mut next = Vec::new();
    for event in events().into_iter().filter(|event| possible(group, event)) {
        let (mut after, mut witness) = (group.clone(), witness.clone());
        witness.hear(&event);
        for command in after.step(RUN, event) {
            witness.see(&command);
            if let Command::Finish(outcome) = &command {
                ends.insert(format!("{outcome:?}"));
            }
        }
        if matches!(after.phase, Phase::Thawing(_)) {
            assert!(after.held.is_subset(&witness.told_to_thaw), "{event:?} left some frozen");
        }
        if !witness.finished {
            next.push((after, witness));
        }
    }
    next
}

#[test]
fn no_order_of_events_breaks_an_invariant() {
    let (group, commands) = Group::start(RUN, parties(pair()));
    assert_eq!(commands, [Command::Freeze(pair())]);
    let (mut seen, mut ends) = (BTreeSet::new(), BTreeSet::new());
    let mut pending = vec![(group, Witness::default())];
    // The states are finite: this ends when every order of events, however long, was tried.
    while let Some((group, witness)) = pending.pop() {
        if seen.insert(format!("{group:?} {witness:?}")) {
            pending.extend(spread(&group, &witness, &mut ends));
        }
    }
    assert!(seen.len() > 100, "{} states", seen.len());
    for end in ["Complete", "StillFrozen", "SlowFreeze", "SlowSnapshot", "Warden", "Woke"] {
        assert!(ends.iter().any(|found| found.contains(end)), "{end} in {ends:?}");
    }
}

fn walk(events: impl IntoIterator<Item = Event>) -> Vec<Command> {
    let (mut group, _) = Group::start(RUN, parties(pair()));
    events.into_iter().flat_map(|event| group.step(RUN, event)).collect()
}

#[test]
fn a_good_freeze_looks_before_and_after_the_snapshots() {
    let looks = |look| [0, 1].map(|member| looked(look, member, Sight::Still));
    let mut events = vec![Event::Frozen(MemberIndex(1)), Event::Frozen(MemberIndex(0))];
    events.extend(looks(Look::Before));
    events.push(Event::Taken(HERE));
    events.extend(looks(Look::After));
    events.extend([Event::Thawed(MemberIndex(0)), Event::Thawed(MemberIndex(1))]);
    let expected = [
        Command::Look(Look::Before, pair()),
        Command::Snapshot(BTreeSet::from([HERE])),
        Command::Look(Look::After, pair()),
        Command::Thaw(pair()),
        Command::Finish(Outcome::Complete { moved: BTreeSet::new() }),
    ];
    assert_eq!(walk(events), expected);
}

#[test]
fn what_is_said_of_another_run_is_not_heard() {
    let (mut group, _) = Group::start(RUN, parties(pair()));
    let before = group.clone();
    for event in events() {
        assert_eq!(group.step(PointId::new([9; 16]), event), []);
        assert_eq!(group, before);
    }
}

#[test]
fn one_slow_member_means_no_snapshot_and_everyone_thawed() {
    let commands = walk([Event::Frozen(MemberIndex(0)), Event::DeadlinePassed]);
    assert_eq!(commands, [Command::Thaw(pair())]);
}

#[test]
fn a_member_that_moves_at_the_first_look_means_no_snapshot() {
    let commands = walk([
        Event::Frozen(MemberIndex(0)),
        Event::Frozen(MemberIndex(1)),
        looked(Look::Before, 0, Sight::Moved),
    ]);
    assert_eq!(commands, [Command::Look(Look::Before, pair()), Command::Thaw(pair())]);
}

#[test]
fn a_warden_lost_while_thawing_means_thawing_without_it() {
    let commands = walk([Event::DeadlinePassed, Event::WardenLost]);
    assert_eq!(commands, [Command::Thaw(pair()), Command::Thaw(pair())]);
}

#[test]
fn the_end_waits_for_snapshots_that_cannot_be_taken_back() {
    let commands = walk([
        Event::Frozen(MemberIndex(0)),
        Event::Frozen(MemberIndex(1)),
        looked(Look::Before, 0, Sight::Still),
        looked(Look::Before, 1, Sight::Still),
        Event::DeadlinePassed,
        Event::Thawed(MemberIndex(0)),
        Event::Thawed(MemberIndex(1)),
        Event::Taken(HERE),
    ]);
    let end = Command::Finish(Outcome::Failed(Cause::SlowSnapshot));
    assert_eq!(commands[2..], [Command::Abandon, Command::Thaw(pair()), end]);
}

#[test]
fn a_group_without_members_is_still_at_once() {
    let (mut group, commands) = Group::start(RUN, parties(BTreeSet::new()));
    assert_eq!(commands, [Command::Snapshot(BTreeSet::from([HERE]))]);
    let end = Command::Finish(Outcome::Complete { moved: BTreeSet::new() });
    assert_eq!(group.step(RUN, Event::Taken(HERE)), [end]);
}
