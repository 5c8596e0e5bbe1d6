//! What the user can do about an error, in one sentence each.

use std::borrow::Cow;

use catalog::CatalogError;
use consistency::BudgetError;
use consistency::error::{ConsistencyError, SnapshotError};
use consistency::hooks::HookError;
use consistency::local::LocalError;
use format::slot::Kind;
use platform::error::PlatformError;
use repository::error::RepositoryError;
use repository::store::StoreError;
use restore::conflict::Conflict;
use restore::error::RestoreError;
use uploader::error::UploadError;

use super::ServiceError;
use crate::client::ClientError;

impl ServiceError {
    /// What the user can do about it, in one sentence.
    pub fn remedy(&self) -> Cow<'static, str> {
        match self {
            Self::Client(ClientError::Failed(failure)) => failure.hint.clone().into(),
            _ => self.own_remedy().into(),
        }
    }

    fn own_remedy(&self) -> &'static str {
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
            Self::Client(error) => error.remedy(),
            Self::Http(error) => error.remedy(),
            Self::Rebuild(error) => error.remedy(),
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
            Self::Token(error) => error.remedy(),
            Self::UnknownChannel(_) => "add a table `[notifications.NAME]` to it",
            Self::UnknownSlot(_) => "`stillpoint key list` lists what there is",
            Self::Served { .. } => "stop that one, or give this one a directory with --state-dir",
            Self::UnknownPolicy(_) | Self::UnknownRepository(_) => {
                "declare it, and have the service read the configuration again"
            }
            Self::Policy { source, .. } => source.own_remedy(),
            Self::Run(error) => error.remedy(),
            Self::NoPoints(_) => "name a policy with the task `backup`",
            Self::OtherState => "start the service anew",
            Self::TooManyPoints(_) => "give a shorter time with --for",
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
            "run `stillpoint catalog rebuild`: points come from the repositories, the rest from its backup"
        }
        CatalogError::Schema { .. } => {
            "move the file away, and run `stillpoint catalog rebuild`; keep it, for this should not be"
        }
        CatalogError::Foreign { .. } => "give another state directory with --state-dir",
        CatalogError::Full { .. } => "free some space there, and run the command again",
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
