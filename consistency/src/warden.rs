//! The warden: a process of its own that alone freezes, and thaws whatever becomes of us.
//!
//! It is this program run again with a hidden verb, on a pipe to us. When the pipe closes, at the
//! deadline, or when it is told to end, it thaws everything it froze; afterwards it freezes
//! nothing more, so that a service that was merely stalled cannot freeze again.

mod guard;
mod hold;
mod outbox;
mod protocol;
mod ring;
mod shelter;
mod signals;

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::thread::set_name;

use self::guard::{Site, run};
use self::protocol::Lines;
pub(crate) use self::protocol::{Armed, Order, Reason, Report, raw};
use self::shelter::Shelter;
use crate::clock::{Moment, timeout};

/// How to run this program as a warden.
#[derive(Clone, Debug)]
pub struct WardenProgram {
    /// The program, usually the one that runs now.
    pub program: PathBuf,
    /// Its arguments, such as the hidden verb `warden`.
    pub arguments: Vec<OsString>,
    /// The directory of its journals, on a filesystem that needs nothing of what is frozen.
    pub journals: PathBuf,
}

/// A warden that runs. Dropping it makes it thaw and end.
#[must_use = "the warden ends when this is dropped"]
#[derive(Debug)]
pub(crate) struct Warden {
    child: Child,
    orders: Option<ChildStdin>,
    reports: ChildStdout,
    lines: Lines,
}

impl Warden {
    /// Starts a warden that waits for its orders.
    pub(crate) fn start(program: &WardenProgram) -> io::Result<Self> {
        let mut child = Command::new(&program.program)
            .args(&program.arguments)
            // It needs nothing of it, and there may be keys and passphrases in it.
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        match (child.stdin.take(), child.stdout.take()) {
            (orders @ Some(_), Some(reports)) => {
                Ok(Self { child, orders, reports, lines: Lines::default() })
            }
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Sends one order.
    pub(crate) fn order(&mut self, order: &Order) -> io::Result<()> {
        let Some(orders) = &mut self.orders else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        orders.write_all(&line)
    }

    /// Takes what has arrived, waiting for it if need be; an error when nothing more can come.
    pub(crate) fn receive(&mut self) -> io::Result<Vec<Report>> {
        let mut buffer = [0; 4096];
        let count = match rustix::io::read(&self.reports, &mut buffer) {
            Err(Errno::INTR) => return Ok(Vec::new()),
            other => other?,
        };
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.lines.push(buffer.get(..count).unwrap_or_default());
        let mut reports = Vec::new();
        while let Some(line) = self.lines.next_line()? {
            reports.push(serde_json::from_slice(line)?);
        }
        Ok(reports)
    }
}

impl Warden {
    /// Makes sure that it does nothing any more, whatever it was about to do.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        // One that is stuck in the kernel does not end, and does nothing either.
        for _ in 0..KILL_TRIES {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            thread::sleep(KILL_PAUSE);
        }
    }
}

impl AsFd for Warden {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reports.as_fd()
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        self.orders = None;
        // It ends when everything is thawed. One that cannot thaw stays, and goes on trying.
        let end = Moment::now().after(FAREWELL);
        loop {
            let wait = end.wait_from(Moment::now());
            let mut fds = [PollFd::new(&self.reports, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout(wait))) {
                Err(Errno::INTR) => continue,
                Err(_) | Ok(0) => break,
                Ok(_) => {}
            }
            if self.receive().is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) {
                // Its output is closed: it is about to end.
                let _ = self.child.wait();
                return;
            }
        }
        tracing::error!(pid = self.child.id(), "the warden did not end; it goes on thawing");
        let _ = self.child.try_wait();
    }
}

/// The life of a warden process; returns when its work is done and everything is thawed.
///
/// Call it from the hidden verb that [`WardenProgram`] names, with nothing written to standard
/// output before or after.
pub fn serve() -> io::Result<()> {
    // A leader of a session already: no harm, it has no terminal to lose.
    let _ = rustix::process::setsid();
    let _ = set_name(c"stillpoint-ward");
    let stop = signals::end_requested()?;
    let shelter = Shelter::take();
    let (orders, reports) = (io::stdin(), io::stdout());
    let failures = run(Site {
        orders: orders.as_fd(),
        reports: reports.as_fd(),
        stop: Some(stop.as_fd()),
        exposed: shelter.exposed.clone(),
    })?;
    drop(shelter);
    // Nobody else is there to tell it, and now nothing is frozen that this could wait for.
    if let Some(failures) = failures {
        io::stderr().write_all(failures.as_bytes())?;
    }
    Ok(())
}

const FAREWELL: Duration = Duration::from_secs(2);
const KILL_TRIES: u32 = 100;
const KILL_PAUSE: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warden_inherits_nothing_from_the_environment() {
        assert!(std::env::vars_os().next().is_some());
        let program = WardenProgram {
            program: "/usr/bin/env".into(),
            arguments: Vec::new(),
            journals: "/nowhere".into(),
        };
        let mut warden = Warden::start(&program).unwrap();
        let end = warden.receive().unwrap_err();
        // Had there been anything, it would have been printed.
        assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
    }
}
