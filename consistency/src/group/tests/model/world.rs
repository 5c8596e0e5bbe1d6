//! Hosts with one member and one volume each, a coordinator for each run, and messages between.

use std::collections::BTreeSet;
use std::fmt;

use super::rules::Rule;
use crate::group::{Command, Event, Group, Look, MemberIndex, Outcome, Parties, PlaceIndex, Sight};
use crate::member::Member;
use format::ids::PointId;

/// How large a world is, and what is missing in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    hosts: usize,
    runs: usize,
    /// Whether somebody unpauses a member once, and pauses one once.
    meddling: bool,
    without: Option<Rule>,
}

impl Bounds {
    pub(super) fn meddling() -> (&'static str, Self) {
        ("somebody meddles", Self { hosts: 2, runs: 1, meddling: true, without: None })
    }

    pub(super) fn two_runs() -> (&'static str, Self) {
        ("two runs", Self { hosts: 1, runs: 2, meddling: false, without: None })
    }

    pub(super) fn all() -> [(&'static str, Self); 2] {
        [Self::meddling(), Self::two_runs()]
    }

    pub(super) fn without(self, rule: Rule) -> Self {
        Self { without: Some(rule), ..self }
    }

    fn lacks(&self, rule: Rule) -> bool {
        self.without == Some(rule)
    }
}

/// What must never be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Harm {
    FalseConsistent,
    FrozenAgain,
    LeftFrozen,
}

impl Harm {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::FalseConsistent => "a false \"consistent\"",
            Self::FrozenAgain => "a member frozen again after its deadline",
            Self::LeftFrozen => "a member left frozen",
        }
    }
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Start(usize),
    Obey(Order),
    EndSnapshot { run: usize, host: usize },
    Hear { by: usize, said: Said },
    GiveUp(usize),
    Deadline { run: usize, host: usize },
    Unpause(usize),
    Pause(usize),
}

/// From a coordinator to a host.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Order {
    run: usize,
    host: usize,
    what: What,
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum What {
    Freeze,
    Look(Look),
    Snapshot,
    Thaw,
}

/// From a host to whoever coordinates.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Said {
    run: usize,
    event: Event,
}

#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
enum Shot {
    #[default]
    None,
    Begun,
    Whole,
}

/// What a host has for one run.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
struct Part {
    warden: Member,
    /// Whether the warden's deadline is to come.
    timed: bool,
    froze: bool,
    /// How often the member had run at the first look.
    base: Option<u8>,
    shot: Shot,
}

#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
struct Host {
    frozen: bool,
    /// By somebody else, so that it is not for us to thaw.
    paused: bool,
    /// How often it began to run.
    wakes: u8,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct State {
    groups: Vec<Option<Group>>,
    parts: Vec<Vec<Part>>,
    hosts: Vec<Host>,
    /// By run: whether a member ran between the begin of the first snapshot and the last one's end.
    torn: Vec<bool>,
    orders: BTreeSet<Order>,
    said: BTreeSet<Said>,
    unpaused: bool,
    repaused: bool,
}

impl State {
    pub(super) fn first(bounds: &Bounds) -> Self {
        Self {
            groups: vec![None; bounds.runs],
            parts: vec![vec![Part::default(); bounds.hosts]; bounds.runs],
            hosts: vec![Host::default(); bounds.hosts],
            torn: vec![false; bounds.runs],
            orders: BTreeSet::new(),
            said: BTreeSet::new(),
            unpaused: false,
            repaused: false,
        }
    }

    /// Everything that may happen next.
    pub(super) fn steps(&self, bounds: &Bounds) -> Vec<Step> {
        let mut steps = Vec::new();
        // A run may begin while the one before hangs.
        steps.extend(self.groups.iter().position(Option::is_none).map(Step::Start));
        steps.extend(self.orders.iter().copied().map(Step::Obey));
        for (run, group) in self.groups.iter().enumerate().filter(|(_, group)| group.is_some()) {
            steps.extend(self.said.iter().map(|said| Step::Hear { by: run, said: *said }));
            steps.extend(group.iter().map(|_| Step::GiveUp(run)));
            for (host, part) in self.parts[run].iter().enumerate() {
                if part.shot == Shot::Begun {
                    steps.push(Step::EndSnapshot { run, host });
                }
                if part.timed {
                    steps.push(Step::Deadline { run, host });
                }
            }
        }
        for (host, state) in self.hosts.iter().enumerate().filter(|_| bounds.meddling) {
            if state.frozen && !self.unpaused {
                steps.push(Step::Unpause(host));
            }
            if !state.frozen && !self.repaused {
                steps.push(Step::Pause(host));
            }
        }
        steps
    }

    /// Does one thing, and answers what harm was done.
    pub(super) fn take(&mut self, step: Step, bounds: &Bounds) -> Option<Harm> {
        let mut harm = None;
        match step {
            Step::Start(run) => {
                let (group, commands) = Group::start(name(run), parties(bounds.hosts));
                self.groups[run] = Some(group);
                for part in &mut self.parts[run] {
                    let _ = part.warden.arm(name(run));
                }
                harm = self.command(run, commands);
            }
            Step::Obey(order) => harm = self.obey(order, bounds),
            Step::EndSnapshot { run, host } => {
                self.parts[run][host].shot = Shot::Whole;
                self.say(run, Event::Taken(PlaceIndex(host)));
            }
            Step::Hear { by, said } => {
                for said in heard(by, said, bounds) {
                    harm = harm.or(self.hear(by, said));
                }
            }
            Step::GiveUp(run) => {
                harm = self.hear(run, Said { run, event: Event::DeadlinePassed });
            }
            Step::Deadline { run, host } => self.end(run, host, bounds),
            Step::Unpause(host) => {
                self.unpaused = true;
                self.wake(host);
            }
            Step::Pause(host) => {
                self.repaused = true;
                (self.hosts[host].frozen, self.hosts[host].paused) = (true, true);
            }
        }
        self.watch();
        harm.or_else(|| self.left_frozen())
    }

    fn hear(&mut self, by: usize, said: Said) -> Option<Harm> {
        let group = self.groups[by].as_mut()?;
        let commands = group.step(name(said.run), said.event);
        self.command(by, commands)
    }

    fn command(&mut self, run: usize, commands: Vec<Command>) -> Option<Harm> {
        let mut harm = None;
        for command in commands {
            let (what, hosts): (_, Vec<usize>) = match command {
                Command::Abandon => continue,
                Command::Freeze(members) => (What::Freeze, numbers(&members)),
                Command::Look(look, members) => (What::Look(look), numbers(&members)),
                Command::Snapshot(places) => (What::Snapshot, places.iter().map(|p| p.0).collect()),
                Command::Thaw(members) => (What::Thaw, numbers(&members)),
                Command::Finish(outcome) => {
                    let consistent = Outcome::Complete { moved: BTreeSet::new() };
                    let whole = self.parts[run].iter().all(|part| part.shot == Shot::Whole);
                    if outcome == consistent && (self.torn[run] || !whole) {
                        harm = Some(Harm::FalseConsistent);
                    }
                    continue;
                }
            };
            self.orders.extend(hosts.into_iter().map(|host| Order { run, host, what }));
        }
        harm
    }

    fn obey(&mut self, order: Order, bounds: &Bounds) -> Option<Harm> {
        let Order { mut run, host, what } = order;
        if bounds.lacks(Rule::MemberToken) {
            run = self.groups.iter().rposition(Option::is_some).unwrap_or(run);
        }
        let member = MemberIndex(host);
        let part = &mut self.parts[run][host];
        match what {
            What::Freeze => {
                if part.warden.freeze(name(run)).is_err() {
                    return None;
                }
                if self.hosts[host].frozen {
                    part.warden.spend();
                    self.say(run, Event::FreezeFailed(member));
                    return None;
                }
                let again = std::mem::replace(&mut part.froze, true);
                part.timed = !bounds.lacks(Rule::Deadline);
                self.hosts[host].frozen = true;
                self.say(run, Event::Frozen(member));
                return again.then_some(Harm::FrozenAgain);
            }
            What::Look(look) => {
                let sight = self.look(run, host, look, bounds);
                self.say(run, Event::Looked { look, member, sight });
            }
            What::Snapshot if part.shot == Shot::None => part.shot = Shot::Begun,
            What::Snapshot => {}
            What::Thaw => self.end(run, host, bounds),
        }
        None
    }

    fn look(&mut self, run: usize, host: usize, look: Look, bounds: &Bounds) -> Sight {
        let (Host { frozen, wakes, .. }, part) = (self.hosts[host], &mut self.parts[run][host]);
        let still = match look {
            Look::Before => {
                // The first look is the first, however often it is asked for.
                let base = *part.base.get_or_insert(wakes);
                frozen && base == wakes
            }
            Look::After => frozen && (part.base == Some(wakes) || bounds.lacks(Rule::Continuity)),
        };
        if still { Sight::Still } else { Sight::Moved }
    }

    // The thaw, ordered or at the deadline.
    fn end(&mut self, run: usize, host: usize, bounds: &Bounds) {
        let part = &mut self.parts[run][host];
        part.timed = false;
        let thaw = part.warden.spend();
        if bounds.lacks(Rule::FreezesOnce) {
            part.warden = Member::default();
            let _ = part.warden.arm(name(run));
        }
        if thaw {
            self.wake(host);
        }
        self.say(run, Event::Thawed(MemberIndex(host)));
    }

    fn wake(&mut self, host: usize) {
        let host = &mut self.hosts[host];
        if host.frozen {
            host.wakes += 1;
        }
        (host.frozen, host.paused) = (false, false);
    }

    fn say(&mut self, run: usize, event: Event) {
        self.said.insert(Said { run, event });
    }

    fn watch(&mut self) {
        let runs = self.hosts.iter().any(|host| !host.frozen);
        for (torn, parts) in self.torn.iter_mut().zip(&self.parts) {
            let begun = parts.iter().any(|part| part.shot != Shot::None);
            let whole = parts.iter().all(|part| part.shot == Shot::Whole);
            *torn |= begun && !whole && runs;
        }
    }

    fn left_frozen(&self) -> Option<Harm> {
        let guarded = |host: usize| self.parts.iter().any(|parts| parts[host].timed);
        let mut hosts = self.hosts.iter().enumerate();
        let left = hosts.any(|(number, host)| host.frozen && !host.paused && !guarded(number));
        left.then_some(Harm::LeftFrozen)
    }
}

// What a coordinator takes a message for: itself, unless a rule is missing.
fn heard(by: usize, said: Said, bounds: &Bounds) -> Vec<Said> {
    let mut run = said.run;
    if bounds.lacks(Rule::Token) {
        run = by;
    }
    let all = |event: fn(usize) -> Event| (0..bounds.hosts).map(event).collect::<Vec<_>>();
    let still = |look, host| Event::Looked { look, member: MemberIndex(host), sight: Sight::Still };
    let mut events = vec![said.event];
    match said.event {
        Event::Looked { look: Look::Before, sight: Sight::Still, .. }
            if bounds.lacks(Rule::SeenBefore) =>
        {
            events.extend((0..bounds.hosts).map(|host| still(Look::Before, host)));
        }
        Event::Looked { look: Look::After, .. } if bounds.lacks(Rule::SeenAfter) => {
            events.extend((0..bounds.hosts).map(|host| still(Look::After, host)));
        }
        Event::Looked { look: Look::Before, member, sight } if bounds.lacks(Rule::LookNumber) => {
            events.push(Event::Looked { look: Look::After, member, sight });
        }
        Event::Taken(_) if bounds.lacks(Rule::AllTaken) => {
            events.extend(all(|host| Event::Taken(PlaceIndex(host))));
        }
        _ => {}
    }
    events.into_iter().map(|event| Said { run, event }).collect()
}

fn name(run: usize) -> PointId {
    PointId::new([u8::try_from(run).unwrap(); 16])
}

fn parties(hosts: usize) -> Parties {
    let held: BTreeSet<_> = (0..hosts).map(MemberIndex).collect();
    let places = (0..hosts).map(PlaceIndex).collect();
    Parties { watched: held.clone(), held, places }
}

fn numbers(members: &BTreeSet<MemberIndex>) -> Vec<usize> {
    members.iter().map(|member| member.0).collect()
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(run) => write!(f, "run {run} begins"),
            Self::Obey(Order { run, host, what }) => {
                write!(f, "host {host} takes an order of run {run}: {what:?}")
            }
            Self::EndSnapshot { run, host } => {
                write!(f, "the snapshot of host {host} for run {run} is whole")
            }
            Self::Hear { by, said: Said { run, event } } => {
                write!(f, "the coordinator of run {by} hears of run {run}: {event:?}")
            }
            Self::GiveUp(run) => write!(f, "the coordinator of run {run} has waited too long"),
            Self::Deadline { run, host } => {
                write!(f, "host {host} thaws at the deadline of run {run}")
            }
            Self::Unpause(host) => write!(f, "somebody unpauses the member of host {host}"),
            Self::Pause(host) => write!(f, "somebody pauses the member of host {host}"),
        }
    }
}
