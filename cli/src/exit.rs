//! Exit codes: restic's where the meaning is the same, our own from 20 on. See
//! docs/check.md#exit-codes.

use std::io;
use std::process::ExitCode;

use service::Class;
use service::error::FailureClass;

/// How a command ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// Everything was done.
    Success,
    /// It failed. (2 is for wrong usage, and clap's.)
    Failure,
    /// Something could not be saved or restored; the rest was.
    Partial,
    /// There is no repository.
    NoRepository,
    /// The key is wrong.
    WrongKey,
    /// Something of a restore point is lost.
    Lost,
    /// Objects are damaged, and no restore point has lost anything.
    Damage,
    /// Somebody altered, dropped or put back objects.
    Evidence,
    /// The user pressed Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The number that the caller sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Partial => 3,
            Self::NoRepository => 10,
            Self::WrongKey => 12,
            Self::Lost => 20,
            Self::Damage => 21,
            Self::Evidence => 22,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

impl From<Option<Class>> for Exit {
    fn from(worst: Option<Class>) -> Self {
        match worst {
            None => Self::Success,
            Some(Class::Damage) => Self::Damage,
            Some(Class::Evidence) => Self::Evidence,
            Some(Class::Loss) => Self::Lost,
        }
    }
}

impl From<FailureClass> for Exit {
    fn from(class: FailureClass) -> Self {
        match class {
            FailureClass::General => Self::Failure,
            FailureClass::NoRepository => Self::NoRepository,
            FailureClass::WrongKey => Self::WrongKey,
        }
    }
}

/// The end of a process that has nobody to tell why it failed.
pub(crate) fn of_io(result: &io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => Exit::Success.into(),
        Err(_) => Exit::Failure.into(),
    }
}
