//! Containers that the engine itself pauses, where nobody else may.
//!
//! Slower than a cgroup, and no better than the engine: one that hangs neither pauses nor unpauses.
//! The connections are opened beforehand; when one breaks, another one is opened for the thaw.

mod question;

use std::time::Duration;

use platform::application::EnginePause;

use self::question::Question;
use super::{Freezer, FreezerError, Note, Trouble, cgroup, processes};
use crate::clock::Moment;

#[derive(Debug)]
pub(super) struct Engine {
    target: EnginePause,
    pause: Question,
    unpause: Question,
    paused: Question,
    step: Step,
    /// Whether the engine says that it unpaused it: a pause after that is somebody else's.
    unpaused: bool,
    /// When the engine was asked last.
    asked: Moment,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// Not asked for anything, or done with it.
    Idle,
    /// Asked to pause.
    Pausing,
    /// It may be paused.
    Held,
    /// Asked to unpause.
    Unpausing,
    /// Asked whether it is paused.
    Looking,
}

impl Engine {
    pub(super) fn open(target: &EnginePause) -> Result<Self, FreezerError> {
        let EnginePause { socket, container, .. } = target;
        let question = |text: String| Question::open(socket, &text);
        Ok(Self {
            target: target.clone(),
            pause: question(format!("POST /containers/{container}/pause"))?,
            unpause: question(format!("POST /containers/{container}/unpause"))?,
            paused: question(is_paused(container))?,
            step: Step::Idle,
            unpaused: false,
            asked: Moment::now(),
        })
    }

    /// The same for a container that may be paused.
    pub(super) fn open_to_thaw(target: &EnginePause) -> Result<Self, FreezerError> {
        Ok(Self { step: Step::Held, ..Self::open(target)? })
    }

    fn ask(&mut self, step: Step) -> Result<(), Trouble> {
        let question = match step {
            Step::Pausing => &mut self.pause,
            Step::Unpausing => &mut self.unpause,
            Step::Looking => &mut self.paused,
            Step::Idle | Step::Held => return Ok(()),
        };
        question.ask()?;
        (self.step, self.asked) = (step, Moment::now());
        Ok(())
    }

    // An engine that says nothing for so long is asked again.
    fn is_silent(&self) -> bool {
        self.asked.after(SILENCE_MAX) <= Moment::now()
    }

    // One step of a thaw; true when the container is seen to run.
    fn advance(&mut self) -> Result<bool, Trouble> {
        match self.step {
            Step::Idle => return Ok(true),
            // What it was asked last may be done after what it is asked now.
            Step::Pausing => match self.pause.answer() {
                Ok(None) if self.is_silent() => return Err(Trouble::Silent),
                Ok(None) => return Ok(false),
                Ok(Some(answer)) if !may_have_paused(answer.status) => {
                    self.step = Step::Idle;
                    return Ok(true);
                }
                Ok(Some(_)) | Err(_) => self.ask(Step::Unpausing)?,
            },
            Step::Held if self.unpaused => self.ask(Step::Looking)?,
            Step::Held => self.ask(Step::Unpausing)?,
            // Whatever the answer is, what counts is whether the container runs.
            Step::Unpausing => match self.unpause.answer() {
                Ok(None) => {}
                Ok(Some(answer)) => {
                    self.unpaused = answer.status == DONE;
                    self.ask(Step::Looking)?;
                }
                Err(_) => self.ask(Step::Looking)?,
            },
            Step::Looking => match self.paused.answer()? {
                None => {}
                Some(answer) if answer.lists_nothing()? || self.unpaused => self.step = Step::Idle,
                Some(_) => return Err(Trouble::Stuck),
            },
        }
        if self.step == Step::Idle {
            return Ok(true);
        }
        if self.is_silent() { Err(Trouble::Silent) } else { Ok(false) }
    }
}

impl Freezer for Engine {
    fn processes(&self) -> Result<Vec<u32>, FreezerError> {
        inside(&self.target)
    }

    fn is_foreign(&mut self) -> Result<bool, Trouble> {
        Ok(!self.paused.ask_and_wait(SILENCE_MAX)?.lists_nothing()?)
    }

    fn freeze(&mut self, _note: Note<'_>) -> Result<(), Trouble> {
        self.unpaused = false;
        self.ask(Step::Pausing)
    }

    fn settle(&mut self, _note: Note<'_>) -> Result<bool, Trouble> {
        let Some(answer) = self.pause.answer()? else { return Ok(false) };
        self.step = if may_have_paused(answer.status) { Step::Held } else { Step::Idle };
        if answer.status == DONE { Ok(true) } else { Err(answer.refusal()) }
    }

    fn thaw(&mut self) -> Result<bool, Trouble> {
        let thawed = self.advance();
        // A connection that broke: from the beginning.
        if thawed.is_err() && self.step != Step::Pausing {
            self.step = Step::Held;
        }
        thawed
    }

    fn awaits_answer(&self) -> bool {
        matches!(self.step, Step::Pausing | Step::Unpausing | Step::Looking)
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(2)
    }
}

/// Every process of a container, also those that somebody started in it from outside; by its first one
/// where its cgroup cannot be seen.
pub(super) fn inside(target: &EnginePause) -> Result<Vec<u32>, FreezerError> {
    match &target.cgroup {
        Some(directory) => cgroup::processes(directory),
        None => Ok(processes::family(target.root).into_iter().collect()),
    }
}

/// Whether a container is paused, asked from outside.
#[derive(Debug)]
pub(super) struct PausedGauge(Question);

impl PausedGauge {
    pub(super) fn open(target: &EnginePause) -> Result<Self, FreezerError> {
        Ok(Self(Question::open(&target.socket, &is_paused(&target.container))?))
    }

    pub(super) fn is_paused(&mut self) -> Result<bool, Trouble> {
        Ok(!self.0.ask_and_wait(SILENCE_MAX)?.lists_nothing()?)
    }
}

// A short answer, unlike that to an inspection.
fn is_paused(container: &str) -> String {
    format!(
        "GET /containers/json?all=1&filters=%7B%22id%22%3A%5B%22{container}%22%5D%2C%22status%22%3A%5B%22paused%22%5D%7D"
    )
}

// There is no such container, or it is paused or does not run: not by what we asked.
fn may_have_paused(status: u16) -> bool {
    !matches!(status, 304 | 404 | 409)
}

const DONE: u16 = 204;
const SILENCE_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
