//! What can go wrong, and what to do about it.

mod remedy;

use std::time::Duration;

use catalog::CatalogError;
use consistency::BudgetError;
use consistency::error::ConsistencyError;
use consistency::hooks::HookError;
use consistency::local::{LocalError, Restoring};
use format::raw::RawPath;
use format::slot::ParseRecoveryKeyError;
use platform::error::PlatformError;
use repository::error::{RepositoryError, chain};
use repository::location::ParseLocationError;
use restore::error::RestoreError;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uploader::error::UploadError;
use uploader::selection::PatternError;

use crate::client::ClientError;
use crate::config::ConfigError;
use crate::demo::error::DemoError;
use crate::key::KeyFileError;
use crate::rebuild::RebuildError;
use crate::secret::SecretError;
use crate::serve::{HttpError, RunError};
use crate::tokens::TokenError;

/// Why something did not happen.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The start of a point's id fits several points.
    #[error("`{prefix}` fits {count} restore points")]
    AmbiguousPoint {
        /// What was asked for.
        prefix: String,
        /// How many points fit.
        count: usize,
    },
    /// What changes takes longer to read than the application may stand still.
    #[error("`{name}` changes too fast: to read what changed takes {} ms, and it may stand still for {} ms", took.as_millis(), limit.as_millis())]
    Restless {
        /// The application.
        name: String,
        /// How long the reading took when nothing was frozen.
        took: Duration,
        /// How long the freeze may last.
        limit: Duration,
    },
    /// The service was to do it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// An application has other volumes than when it was made ready for its freeze.
    #[error("the volumes of `{name}` changed while its backup was prepared")]
    Changed {
        /// The application.
        name: String,
    },
    /// A local snapshot failed.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// Some files were replaced by those of a local snapshot, and others were not or may have been used
    /// meanwhile.
    #[error("{note}")]
    HalfDone {
        /// What was being done.
        note: Restoring,
        /// Why it was not finished.
        source: Box<ServiceError>,
    },
    /// There are no snapshots of some volumes that could stay.
    #[error("no snapshot of {} can be kept: it would be read in the freeze", names(volumes))]
    NotKept {
        /// The volumes.
        volumes: Vec<String>,
    },
    /// A volume that is to be snapshotted cannot be found.
    #[error("volume `{volume}` cannot be found: {reason}")]
    Gone {
        /// The volume.
        volume: String,
        /// Why not.
        reason: String,
    },
    /// There is no such local snapshot.
    #[error("there is no local snapshot `{0}`")]
    UnknownSnapshot(String),
    /// What is declared about an application makes no sense.
    #[error("`{name}` is not backed up: {mistake}")]
    Mistake {
        /// The application.
        name: String,
        /// The first thing that makes no sense, in a sentence.
        mistake: String,
    },
    /// The start of a slot's id fits several slots.
    #[error("`{start}` fits {count} key slots")]
    AmbiguousSlot {
        /// What was asked for.
        start: String,
        /// How many slots fit.
        count: usize,
    },
    /// An application may not stand still for long enough.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The freeze or the snapshot failed.
    #[error(transparent)]
    Consistency(#[from] ConsistencyError),
    /// A file with patterns cannot be read.
    #[error("cannot read the patterns in `{}`", path.display())]
    ExcludeFile {
        /// Which file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The demonstration failed.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// A hook of an application failed, or makes no sense.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// A key file cannot be read or made.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The repository's location makes no sense.
    #[error("the location of the repository cannot be used")]
    Location(#[from] ParseLocationError),
    /// Nobody said which repository.
    #[error("no repository was named")]
    NoRepository,
    /// An application has no volume whose files can be found.
    #[error("application `{0}` has no volumes that could be saved")]
    NothingToSave(String),
    /// A path to back up does not exist or cannot be read.
    #[error("cannot back up `{path}`")]
    Path {
        /// Which path.
        path: RawPath,
        /// What the system said.
        source: std::io::Error,
    },
    /// A pattern of files to leave out makes no sense.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The platform failed.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// A recovery key was mistyped.
    #[error(transparent)]
    RecoveryKey(#[from] ParseRecoveryKeyError),
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The restore failed.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A schedule makes no sense.
    #[error("the schedule cannot be used")]
    Schedule(#[from] scheduler::ParseScheduleError),
    /// There is no passphrase.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The system refused something basic.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no such restore point.
    #[error("there is no restore point `{0}`")]
    UnknownPoint(String),
    /// There is no such key slot.
    #[error("there is no key slot `{0}`")]
    UnknownSlot(String),
    /// There is no such repository in the configuration.
    #[error("there is no repository `{0}` in the configuration")]
    UnknownRepository(String),
    /// A token cannot be made or revoked.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// There is no such channel in the configuration.
    #[error("the configuration has no notifications to `{0}`")]
    UnknownChannel(String),
    /// There is no such time zone.
    #[error(transparent)]
    UnknownZone(#[from] scheduler::zone::UnknownZone),
    /// A forecast for no time, or for too much of it.
    #[error("a forecast is for more than nothing and at most ten years")]
    Forecast,
    /// A recovery key was made, and nobody has seen it.
    #[error("the new recovery key could not be printed")]
    Unprinted(#[source] std::io::Error),
    /// The service cannot be asked.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The catalog has to be rebuilt.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
    /// Another service has the state directory.
    #[error("process {pid} has the state directory `{}`, a service or a rebuild", state_dir.display())]
    Served {
        /// The state directory.
        state_dir: std::path::PathBuf,
        /// The other one.
        pid: String,
    },
    /// There is no such policy.
    #[error("there is no policy `{0}` in the configuration")]
    UnknownPolicy(String),
    /// A policy cannot run.
    #[error("policy `{name}` cannot run")]
    Policy {
        /// Which one.
        name: String,
        /// Why not.
        source: Box<ServiceError>,
    },
    /// A run of the service did not do what it was for.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A policy for repositories makes no points.
    #[error("policy `{0}` makes no points")]
    NoPoints(String),
    /// A service cannot change the directory of its state.
    #[error("the state directory is another one now")]
    OtherState,
    /// A policy would make too many points.
    #[error(transparent)]
    TooManyPoints(#[from] scheduler::simulation::TooManyPoints),
    /// The upload failed.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// `latest` of several applications.
    #[error("the repository has points of several applications: {}", names.join(", "))]
    WhichApplication {
        /// The applications.
        names: Vec<String>,
    },
}

/// What the caller of a program should know of a failure; restic's exit codes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Something else.
    General,
    /// There is no repository.
    NoRepository,
    /// The key is wrong, or of a kind that has no slot.
    WrongKey,
}

impl ServiceError {
    /// What kind of failure it is.
    pub fn class(&self) -> FailureClass {
        if let Self::Client(ClientError::Failed(failure)) = self {
            return failure.class;
        }
        match self.repository() {
            Some(RepositoryError::NotFound(_)) => FailureClass::NoRepository,
            Some(RepositoryError::NoSlot { .. } | RepositoryError::WrongKey { .. }) => {
                FailureClass::WrongKey
            }
            _ => FailureClass::General,
        }
    }

    /// Why, in one line that may be kept: without what somebody wrote into a configuration, which may be a
    /// secret in the wrong place.
    pub fn for_the_record(&self) -> String {
        match self {
            Self::Config(error @ ConfigError::Wrong { .. }) => {
                format!("{error}; `stillpoint config check` says where")
            }
            // There may be a user and his password in the address.
            Self::Config(error @ ConfigError::Repository { .. }) => error.to_string(),
            _ => chain(self),
        }
    }

    /// Whether an application could not be frozen for as short as it has to be.
    pub(crate) fn is_too_slow(&self) -> bool {
        matches!(
            self,
            Self::Restless { .. }
                | Self::Budget(BudgetError::TooShort { .. })
                | Self::Consistency(
                    ConsistencyError::SlowFreeze { .. } | ConsistencyError::SlowSnapshot { .. }
                )
        )
    }

    /// Whether the same may succeed later, although nobody does anything about it.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Catalog(error) => {
                !matches!(error, CatalogError::Damaged { .. } | CatalogError::Newer { .. })
            }
            Self::Platform(error) => matches!(error, PlatformError::Unreachable { .. }),
            _ => matches!(
                self.repository(),
                Some(
                    RepositoryError::Fenced(_)
                        | RepositoryError::Overtaken
                        | RepositoryError::SoleWriter { .. }
                        | RepositoryError::Store(_)
                        | RepositoryError::UnknownOutcome { .. }
                )
            ),
        }
    }

    // The error of the repository behind this one, wherever it came through.
    fn repository(&self) -> Option<&RepositoryError> {
        match self {
            Self::Repository(error)
            | Self::Upload(UploadError::Repository(error))
            | Self::Restore(RestoreError::Repository(error)) => Some(error),
            _ => None,
        }
    }
}

fn names(volumes: &[String]) -> String {
    let names: Vec<_> = volumes.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
