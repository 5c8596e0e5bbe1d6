//! Why a run did not do what it was for.

use format::ids::PointId;
use repository::check::Class;
use thiserror::Error;

/// Why a run did not do what it was for, although nothing it worked with failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// It was begun so often, and never got to its end.
    #[error("it was begun {0} times, and cut off each time")]
    CutOff(u32),
    /// It could not begin in time, and its policy does not want it later.
    #[error("it could not begin in time, and its policy does not catch up")]
    TooLate,
    /// The check has found something.
    #[error("the check has {count} findings: {}", meaning(*worst))]
    Findings {
        /// How many.
        count: usize,
        /// How bad the worst is.
        worst: Class,
    },
    /// Points that were read have lost something.
    #[error("something is lost of {}", names(points))]
    Lossy {
        /// The points.
        points: Vec<PointId>,
    },
}

impl RunError {
    /// What the user can do about it, in one sentence.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::CutOff(_) => "look into the log for what ended the service, and back up by hand",
            Self::TooLate => "let it catch up, with `catch_up = true`, or wait for its next time",
            Self::Findings { .. } => {
                "`stillpoint check` names all, `stillpoint repair` makes the best of them"
            }
            Self::Lossy { .. } => {
                "`stillpoint verify` names what is lost, `stillpoint repair` makes the best of it"
            }
        }
    }
}

fn names(points: &[PointId]) -> String {
    let names: Vec<_> = points.iter().map(ToString::to_string).collect();
    names.join(", ")
}

fn meaning(worst: Class) -> &'static str {
    match worst {
        Class::Damage => {
            "objects are damaged or missing, and every point can be restored all the same"
        }
        Class::Evidence => "somebody altered, dropped or put back what only a key holder can write",
        Class::Loss => "something of a point cannot be restored",
    }
}
