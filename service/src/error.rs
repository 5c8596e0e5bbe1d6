//! What can go wrong, and what to do about it.

use std::time::Duration;

use catalog::CatalogError;
use consistency::BudgetError;
use consistency::error::{ConsistencyError, SnapshotError};
use consistency::hooks::HookError;
use consistency::local::{LocalError, Restoring};
use format::raw::RawPath;
use format::slot::{Kind, ParseRecoveryKeyError};
use platform::error::PlatformError;
use repository::error::RepositoryError;
use repository::location::ParseLocationError;
use repository::store::StoreError;
use restore::conflict::Conflict;
use restore::error::RestoreError;
use thiserror::Error;
use uploader::error::UploadError;
use uploader::selection::PatternError;

use crate::config::ConfigError;
use crate::demo::error::DemoError;
use crate::key::KeyFileError;
use crate::secret::SecretError;

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
    /// There is no such time zone.
    #[error(transparent)]
    UnknownZone(#[from] scheduler::zone::UnknownZone),
    /// A forecast for no time, or for too much of it.
    #[error("a forecast is for more than nothing and at most ten years")]
    Forecast,
    /// A recovery key was made, and nobody has seen it.
    #[error("the new recovery key could not be printed")]
    Unprinted(#[source] std::io::Error),
    /// Another service has the state directory.
    #[error("the service with process id {pid} has the state directory `{}`", state_dir.display())]
    Served {
        /// The state directory.
        state_dir: std::path::PathBuf,
        /// The other one.
        pid: String,
    },
    /// There is no such policy.
    #[error("there is no policy `{0}` in the configuration")]
    UnknownPolicy(String),
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
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
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
        match self.repository() {
            Some(RepositoryError::NotFound(_)) => FailureClass::NoRepository,
            Some(RepositoryError::NoSlot { .. } | RepositoryError::WrongKey { .. }) => {
                FailureClass::WrongKey
            }
            _ => FailureClass::General,
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

    /// What the user can do about it, in one sentence.
    pub fn remedy(&self) -> &'static str {
        if let Some(error) = self.repository() {
            return repository_remedy(error);
        }
        match self {
            Self::AmbiguousPoint { .. } => "give more digits; `stillpoint points` lists them",
            Self::AmbiguousSlot { .. } => "give more digits; `stillpoint key list` lists them",
            Self::Budget(BudgetError::TooShort { .. }) => {
                "let the health check or the lease wait for longer, or give --over-budget"
            }
            Self::Budget(_) => "correct the label `stillpoint.lease` of the container",
            Self::Catalog(error) => catalog_remedy(error),
            Self::Config(_) => "correct the file; `stillpoint config check` reads it again",
            Self::Consistency(error) => consistency_remedy(error),
            Self::Demo(error) => error.remedy(),
            Self::Hook(error) => hook_remedy(error),
            Self::KeyFile(error) => error.remedy(),
            Self::Location(_) => "give a path, file:///PATH or s3://BUCKET/PREFIX",
            Self::NoRepository => "give --repo URL, set STILLPOINT_REPO, or configure one",
            Self::Local(error) => local_remedy(error),
            Self::HalfDone { .. } => FINISH_OR_TAKE_BACK,
            Self::NotKept { .. } => {
                "move the volume to btrfs or XFS, or ask for whole copies with the label `stillpoint.driver=copy`"
            }
            Self::Gone { .. } => "bring the volume back, or take it out of the application",
            Self::UnknownSnapshot(_) => "`stillpoint points --local` lists what there is",
            Self::Changed { .. } => "run the backup again",
            Self::Mistake { .. } => {
                "correct the label or the declaration; `stillpoint apps` lists all"
            }
            Self::Restless { .. } => {
                "move its volumes to btrfs or XFS, allow more with --deadline, or take a point of level \
                 `fuzzy` then, with --degrade"
            }
            Self::NothingToSave(_) => "`stillpoint apps` says what of it is left out, and why",
            Self::Path { .. } | Self::ExcludeFile { .. } => "check the path and the permissions",
            Self::Pattern(_) => "write patterns as in .gitignore files, such as '*.o' or '/cache'",
            Self::Platform(error) => platform_remedy(error),
            Self::Restore(error) => restore_remedy(error),
            Self::Schedule(_) => "write it like 'daily \"02:00\"' or 'every 15m'",
            Self::RecoveryKey(_) => "compare it with the printed one, character by character",
            Self::Secret(_) => {
                "set STILLPOINT_PASSPHRASE, STILLPOINT_PASSPHRASE_FILE or STILLPOINT_PASSPHRASE_COMMAND, or give --key-file FILE"
            }
            Self::UnknownPoint(_) => "`stillpoint points` lists what there is",
            Self::UnknownSlot(_) => "`stillpoint key list` lists what there is",
            Self::Served { .. } => "stop that one, or give this one a directory with --state-dir",
            Self::UnknownPolicy(_) => {
                "declare it, and have the service read the configuration again"
            }
            Self::Forecast => "give a time such as 1y or 6mo with --for",
            Self::UnknownZone(_) => "give a name like Europe/Berlin or UTC",
            Self::Unprinted(_) => {
                "nobody has that key: `stillpoint key list` shows its slot; remove it, and add another"
            }
            Self::WhichApplication { .. } => "say which with --app NAME, or give a point's id",
            Self::Upload(UploadError::Root { .. }) => "check that the path exists and can be read",
            Self::System { .. } | Self::Upload(_) | Self::Repository(_) => {
                "look at the cause, and try again; nothing was committed"
            }
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

fn repository_remedy(error: &RepositoryError) -> &'static str {
    match error {
        RepositoryError::AlreadyExists(_) => "use it as it is, or choose another location",
        RepositoryError::Damaged { .. }
        | RepositoryError::Extents
        | RepositoryError::Listing(_)
        | RepositoryError::MissingChunk(_) => {
            "`stillpoint check` says what else is damaged, `stillpoint repair` makes the best of it"
        }
        RepositoryError::Fenced(_) => "run the backup again",
        RepositoryError::Forgotten(_) => "choose another one; `stillpoint points` lists them",
        RepositoryError::Held { .. } => "let whoever holds it release it, or choose another point",
        RepositoryError::LastSlot(_) => "add another key first, with `stillpoint key add`",
        RepositoryError::NoSlot { .. } => {
            "use a key of another kind: a passphrase, --key-file FILE, or STILLPOINT_RECOVERY_KEY"
        }
        RepositoryError::NotFound(_) => {
            "check the location, or make a repository with `stillpoint init`"
        }
        RepositoryError::Overtaken => "run the command again when no other one is at work",
        RepositoryError::SlotInUse(_) => {
            "unlock with another key, or give --force when you are sure that you have one"
        }
        RepositoryError::SoleWriter { .. } => {
            "let that backup end and prune again; when it was cut off, and nothing else writes, give --sole-writer"
        }
        RepositoryError::Slots { .. } => "restore the objects below `key/` from a copy",
        RepositoryError::Store(StoreError::Failed { source, .. }) if is_full(source.as_ref()) => {
            "free some space there, and run the command again"
        }
        RepositoryError::Store(_) => {
            "check the location, the credentials and the network, and run the command again"
        }
        RepositoryError::UnknownOutcome { .. } => {
            "when the repository can be reached again, `stillpoint points` shows whether it exists; \
             if it does not, run the backup again"
        }
        RepositoryError::UnknownPoint(_) => "`stillpoint points` lists what there is",
        RepositoryError::UnknownSlot(_) => "`stillpoint key list` lists what there is",
        RepositoryError::Unusable { .. } => {
            "use the version of stillpoint that wrote it, or a newer one"
        }
        RepositoryError::UnreadableStore(_) => {
            "choose another store: what is written to this one could not be restored"
        }
        RepositoryError::UselessSlot { .. } => {
            "remove it with `stillpoint key remove`, check this machine's memory, and add another"
        }
        RepositoryError::WrongKey { kind, .. } => match kind {
            Kind::KeyFile => "check which repository the key file was made for",
            Kind::Passphrase => "check STILLPOINT_PASSPHRASE and where it comes from",
            Kind::Recovery => "check which repository the recovery key was printed for",
        },
        _ => "run the command again; if it fails again, check this machine's memory",
    }
}

fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|e| e.kind() == std::io::ErrorKind::StorageFull)
}

fn catalog_remedy(error: &CatalogError) -> &'static str {
    match error {
        CatalogError::Damaged { .. } => {
            "move the file away; the next command makes a new one from the repository"
        }
        CatalogError::Newer { .. } => "use the version of stillpoint that wrote it, or a newer one",
        _ => "check the state directory (--state-dir) and its permissions",
    }
}

fn consistency_remedy(error: &ConsistencyError) -> &'static str {
    match error {
        ConsistencyError::NoFreezer { .. } => {
            "run as root on the host of the containers, or back up with --no-freeze (level fuzzy)"
        }
        ConsistencyError::SlowFreeze { .. } | ConsistencyError::SlowSnapshot { .. } => {
            "the application runs on; raise --deadline, put its volumes on btrfs or XFS, or take a point \
             of level `fuzzy` then, with --degrade"
        }
        ConsistencyError::Snapshot { source: SnapshotError::Remounted { .. }, .. } => {
            "the application runs on; run the backup again"
        }
        ConsistencyError::Snapshot { .. } => {
            "the application runs on; make the volume's filesystem writable, or move the volume"
        }
        ConsistencyError::StillFrozen { .. } => {
            "run `stillpoint thaw --all`; if that fails, write 0 to cgroup.freeze of its cgroup by hand"
        }
        _ => "the application runs on; try again",
    }
}

const FINISH_OR_TAKE_BACK: &str = "run `stillpoint restore --local ID` with one of these ids before the \
    application starts: the first to finish it, the other one to take it back";

fn local_remedy(error: &LocalError) -> &'static str {
    match error {
        LocalError::InUse(_) | LocalError::Restored(_) => {
            "wait until that has ended, and try again"
        }
        LocalError::Conflicts { .. } => "clear what is in the way; --plan shows it again",
        LocalError::Unfinished(_) | LocalError::Needed { .. } => FINISH_OR_TAKE_BACK,
        LocalError::Disturbed { .. } | LocalError::Written { .. } => {
            "stop the application and whatever starts it, and run the same command again"
        }
        _ => "nothing was changed; mend the cause, and try again",
    }
}

fn names(volumes: &[String]) -> String {
    let names: Vec<_> = volumes.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn hook_remedy(error: &HookError) -> &'static str {
    match error {
        HookError::Declaration { .. } => {
            "correct the labels of the container, or its hooks in the configuration"
        }
        HookError::Failed { .. } | HookError::Lost { .. } => {
            "run the hook by hand; its `on-error` may be `continue`, and --no-hooks leaves all hooks out"
        }
        _ => "check the state directory (--state-dir) and its permissions",
    }
}

fn platform_remedy(error: &PlatformError) -> &'static str {
    match error {
        PlatformError::Unreachable { .. } => {
            "start the engine, set DOCKER_HOST, or check the permissions of its socket"
        }
        PlatformError::UnknownApplication { .. } => {
            "`stillpoint apps` lists them; label containers with stillpoint.app=NAME"
        }
        _ => "check the application's declaration and the engine's log",
    }
}

fn restore_remedy(error: &RestoreError) -> &'static str {
    match error {
        RestoreError::Conflicts { conflicts, .. } => match conflicts.first() {
            Some(Conflict::Space { .. }) => "free some space, or choose another target with --to",
            Some(Conflict::NotEmpty) => {
                "choose an empty directory with --to, or go on in this one with --in-place"
            }
            _ => "choose an empty or new directory with --to",
        },
        RestoreError::Entries { .. } => {
            "do not use what was restored: the repository was written to do harm, or is damaged"
        }
        RestoreError::Forgotten(_) => "`stillpoint points` lists the points that there still are",
        RestoreError::Target { .. } => "check the path given with --to and its permissions",
        _ => "mend the cause, and run the same command again with --in-place: it goes on",
    }
}
