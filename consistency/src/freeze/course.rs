//! One freeze in its course: what the group commands is done, and what happens is told to it.
//!
//! All waiting is in [`Course::wait`]. When anything goes wrong here, a panic included, the warden
//! is dropped: its pipe closes, and it thaws.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use format::ids::PointId;
use format::raw::RawPath;
use platform::application::Volume;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::Request;
use super::looks::Looks;
use super::record::Record;
use super::units::Units;
use crate::clock::{Moment, micros, timeout};
use crate::drivers::{Failure, Plan, Taken};
use crate::error::{ConsistencyError, SnapshotError, WardenSaid};
use crate::group::{Command, Event, Group, MemberIndex, Outcome, Parties, PlaceIndex};
use crate::journal::{self, Sweep, Swept, Which};
use crate::needed::needed;
use crate::still::StillReader;
use crate::warden::{Order, Report, Warden, raw};

/// Starts a warden and has it open every target; nothing is frozen yet.
pub(super) fn arm(request: &Request, units: &Units) -> Result<Option<Warden>, ConsistencyError> {
    if units.held().is_empty() {
        return Ok(None);
    }
    let failure = |action| move |source| ConsistencyError::Warden { action, source };
    let mut warden = Warden::start(&request.warden).map_err(failure("be started"))?;
    let order = Order::Arm {
        run: request.run,
        deadline_micros: micros(request.deadline),
        journals: raw(&request.warden.journals),
        needed: needed(&request.warden.journals, &request.engine_sockets),
        targets: units.armed(),
    };
    warden.order(&order).map_err(failure("take its orders"))?;
    let answer = first_report(&mut warden).map_err(failure("answer"))?;
    match answer {
        Report::Armed { exposed } => {
            tell_of_exposure(&exposed);
            Ok(Some(warden))
        }
        Report::Refused { target: Some(target), reason } => Err(ConsistencyError::FreezeFailed {
            member: units.name(MemberIndex(target)),
            source: WardenSaid(reason.into_owned()),
        }),
        Report::Refused { target: None, reason } => {
            Err(failure("be armed")(io::Error::other(reason.into_owned())))
        }
        _ => Err(failure("answer")(io::ErrorKind::InvalidData.into())),
    }
}

// What is refused to every ordinary user is no news.
fn tell_of_exposure(exposed: &[String]) {
    for lack in exposed {
        if geteuid().is_root() {
            tracing::warn!("{lack}");
        } else {
            tracing::info!("{lack}");
        }
    }
}

/// Freezes, snapshots and thaws. Everything is thawed at the end, unless the outcome says
/// otherwise.
pub(super) fn run(
    request: &Request,
    units: &Units,
    plan: &Plan,
    looks: Looks,
    warden: Option<Warden>,
) -> (Outcome, Record) {
    let abandoned = Arc::new(AtomicBool::new(false));
    let reader = request.reader.as_deref();
    let volumes = &request.application.volumes[..];
    thread::scope(|scope| {
        let begin = Moment::now();
        let (held, watched, places) = (units.held(), units.all(), BTreeSet::from([HERE]));
        let (group, commands) = Group::start(request.run, Parties { held, watched, places });
        let journals = &request.warden.journals;
        let course = Course {
            run: request.run,
            journal: journal::path_of(journals, &request.run.to_string()),
            units,
            looks,
            plan,
            volumes,
            reader,
            abandoned: &abandoned,
            scope,
            group,
            warden,
            record: Record::new(begin, units.count()),
            deadline: Some(begin.after(request.deadline)),
            patience: None,
            making: None,
        };
        course.follow(commands)
    })
}

struct Course<'scope, 'env> {
    run: PointId,
    /// Where the warden has written down what it freezes.
    journal: PathBuf,
    looks: Looks,
    units: &'env Units,
    plan: &'env Plan,
    volumes: &'env [Volume],
    reader: Option<&'env dyn StillReader>,
    abandoned: &'env Arc<AtomicBool>,
    scope: &'scope Scope<'scope, 'env>,
    group: Group,
    /// `None` when there is nothing to freeze, or when it was lost.
    warden: Option<Warden>,
    record: Record,
    /// When everything must be done, until that was told.
    deadline: Option<Moment>,
    /// When to stop waiting for the warden's thaw.
    patience: Option<Moment>,
    making: Option<Making<'scope>>,
}

// The thread that makes the snapshots; the pipe hangs up when it ends.
struct Making<'scope> {
    ended: PipeReader,
    thread: ScopedJoinHandle<'scope, Result<Vec<Taken>, Failure>>,
}

impl<'scope> Course<'scope, '_> {
    fn follow(mut self, commands: Vec<Command>) -> (Outcome, Record) {
        let mut commands = VecDeque::from(commands);
        let mut events = VecDeque::new();
        loop {
            while let Some(command) = commands.pop_front() {
                if let Command::Finish(outcome) = command {
                    self.record.end = Moment::now();
                    self.record.traces = self.traces();
                    return (outcome, std::mem::take(&mut self.record));
                }
                events.extend(self.perform(command));
            }
            match events.pop_front() {
                Some(event) => commands.extend(self.group.step(self.run, event)),
                None => events.extend(self.wait()),
            }
        }
    }

    fn perform(&mut self, command: Command) -> Vec<Event> {
        match command {
            Command::Abandon => {
                self.abandoned.store(true, Ordering::Relaxed);
                Vec::new()
            }
            Command::Finish(_) => Vec::new(),
            Command::Freeze(_) => self.order(&Order::Freeze { run: self.run }),
            Command::Look(look, members) => self.looks.look(look, &members),
            Command::Snapshot(_) => match self.begin_snapshots() {
                Ok(making) => {
                    self.making = Some(making);
                    Vec::new()
                }
                Err(source) => vec![self.fail_snapshots(SnapshotError::Thread { source })],
            },
            Command::Thaw(members) => self.thaw(&members),
        }
    }

    fn order(&mut self, order: &Order) -> Vec<Event> {
        match self.warden.as_mut().map(|warden| warden.order(order)) {
            Some(Ok(())) => Vec::new(),
            _ => self.lose_warden(),
        }
    }

    // It is not listened to any more, and must not act late: what it holds is thawed without it.
    fn lose_warden(&mut self) -> Vec<Event> {
        if let Some(warden) = self.warden.take() {
            // One that waits for an engine goes on asking, and freezes nothing any more.
            let asks = self.patience.is_some() && self.units.has_engines();
            if asks { drop(warden) } else { warden.kill() }
        }
        self.patience = None;
        vec![Event::WardenLost]
    }

    fn traces(&self) -> BTreeMap<MemberIndex, String> {
        let all = self.units.all().into_iter();
        all.filter_map(|member| Some((member, self.looks.trace(member)?.to_owned()))).collect()
    }

    // By the warden, or without it when it is gone: by what it has written down.
    fn thaw(&mut self, members: &BTreeSet<MemberIndex>) -> Vec<Event> {
        if self.warden.is_some() {
            self.patience = Some(Moment::now().after(THAW_PATIENCE));
            return self.order(&Order::Thaw { run: self.run });
        }
        let mut swept = Swept::default();
        let sweep = journal::sweep_one(&self.journal, Which::All, &mut swept);
        for failure in &swept.failures {
            tracing::error!("{failure}");
        }
        let event = |member: &MemberIndex| match sweep {
            Sweep::Done => Event::Thawed(*member),
            Sweep::Busy | Sweep::Failed => Event::ThawFailed(*member),
        };
        members.iter().map(event).collect()
    }

    // The one place where anything is waited for.
    fn wait(&mut self) -> Vec<Event> {
        let next = self.deadline.into_iter().chain(self.patience).min();
        let limit = next.map(|moment| timeout(moment.wait_from(Moment::now())));
        let warden = self.warden.as_ref().map(AsFd::as_fd);
        let making = self.making.as_ref().map(|making| making.ended.as_fd());
        let mut fds: Vec<_> = warden
            .into_iter()
            .chain(making)
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            // Whoever cannot wait must not keep anything frozen.
            Err(_) => return self.lose_warden(),
        }
        let mut stirred = fds.iter().map(|fd| !fd.revents().is_empty());
        let told = warden.is_some() && stirred.next().unwrap_or(false);
        let ended = making.is_some() && stirred.next().unwrap_or(false);
        let mut events = if told { self.listen() } else { Vec::new() };
        if ended {
            events.extend(self.end_snapshots());
        }
        events.extend(self.look_at_the_time());
        events
    }

    fn look_at_the_time(&mut self) -> Vec<Event> {
        let now = Moment::now();
        let mut events = Vec::new();
        if self.deadline.take_if(|deadline| *deadline <= now).is_some() {
            events.push(Event::DeadlinePassed);
        }
        if self.patience.is_some_and(|patience| patience <= now) {
            events.extend(self.lose_warden());
        }
        events
    }

    fn listen(&mut self) -> Vec<Event> {
        let Some(Ok(reports)) = self.warden.as_mut().map(Warden::receive) else {
            return self.lose_warden();
        };
        let mut events = Vec::new();
        for report in reports {
            match self.record.note(report) {
                Ok(event) => events.extend(event),
                Err(_) => events.extend(self.lose_warden()),
            }
        }
        events
    }

    fn begin_snapshots(&self) -> io::Result<Making<'scope>> {
        let (plan, volumes) = (self.plan, self.volumes);
        let (reader, abandoned) = (self.reader, self.abandoned);
        let (ended, end) = io::pipe()?;
        let work = move || {
            let _end: PipeWriter = end;
            plan.take(volumes, reader, abandoned)
        };
        let thread = thread::Builder::new().name("snapshot".to_owned());
        Ok(Making { ended, thread: thread.spawn_scoped(self.scope, work)? })
    }

    fn end_snapshots(&mut self) -> Option<Event> {
        match self.making.take()?.thread.join() {
            Ok(Ok(taken)) => {
                self.record.snapshots = Some(Ok(taken));
                Some(Event::Taken(HERE))
            }
            Ok(Err(failure)) => {
                self.record.snapshots = Some(Err(failure));
                Some(Event::SnapshotFailed(HERE))
            }
            Err(_) => Some(self.fail_snapshots(SnapshotError::Unfinished)),
        }
    }

    // For a fault that is of no volume in particular.
    fn fail_snapshots(&mut self, error: SnapshotError) -> Event {
        let first = self.volumes.first();
        let volume = first.map_or_else(RawPath::default, |volume| volume.name.clone());
        self.record.snapshots = Some(Err(Failure { volume, error }));
        Event::SnapshotFailed(HERE)
    }
}

impl Drop for Course<'_, '_> {
    // The scope waits for its threads, also in a panic.
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }
}

// Its first report: whether it could open everything.
fn first_report(warden: &mut Warden) -> io::Result<Report> {
    let end = Moment::now().after(ARM_PATIENCE);
    loop {
        let limit = timeout(end.wait_from(Moment::now()));
        let mut fds = [PollFd::new(&*warden, PollFlags::IN)];
        match poll(&mut fds, Some(&limit)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Err(Errno::INTR) => continue,
            other => other?,
        };
        if let Some(report) = warden.receive()?.into_iter().next() {
            return Ok(report);
        }
    }
}

// The one place of a freeze on one host.
const HERE: PlaceIndex = PlaceIndex(0);
// To start a process and open some files takes milliseconds; this is for a machine that thrashes.
const ARM_PATIENCE: Duration = Duration::from_secs(5);
// A thaw takes milliseconds, too. After this it is tried without the warden.
const THAW_PATIENCE: Duration = Duration::from_secs(5);
