//! What can be typed.
#![allow(clippy::doc_markdown, reason = "these comments are the help that people read")]

mod backup;
mod check;
mod freeze;
mod keep;
mod key;
mod note;
mod restore;
mod token;
mod upkeep;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use service::points::PointName;

pub(crate) use self::backup::{BackupArguments, SelectionArguments};
pub(crate) use self::check::{CheckArguments, DonorArguments, RepairArguments};
pub(crate) use self::freeze::{
    DeadlineArguments, FreezeArguments, HookArguments, QuiesceArguments, SnapshotArguments,
};
pub(crate) use self::key::{InitArguments, KeyVerb};
pub(crate) use self::note::TagArguments;
pub(crate) use self::restore::RestoreArguments;
pub(crate) use self::token::TokenVerb;
pub(crate) use self::upkeep::{ForgetArguments, PruneArguments};

/// Backs up applications in containers: every container frozen at one instant, all volumes
/// snapshotted, what changed stored encrypted.
#[derive(Debug, Parser)]
#[command(name = "stillpoint", version, propagate_version = true, after_help = SECRETS)]
pub(crate) struct Arguments {
    /// Where the repository lies: a path, file:///PATH or s3://BUCKET/PREFIX
    #[arg(long, global = true, value_name = "URL", env = "STILLPOINT_REPO")]
    pub(crate) repo: Option<String>,
    /// The key file of the repository, also from STILLPOINT_KEY_FILE
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", env = "STILLPOINT_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The directory of the catalog
    #[arg(long, global = true, value_name = "DIR", env = "STILLPOINT_STATE_DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// The directory of what is being frozen, the same for all commands; it may be in memory
    /// [default: /run/stillpoint]
    #[arg(long, global = true, value_name = "DIR", env = "STILLPOINT_RUNTIME_DIR")]
    pub(crate) runtime_dir: Option<PathBuf>,
    /// The directory of the cache, which may be removed at any time [default: `cache` in a state
    /// directory that was given, or the system's]
    #[arg(long, global = true, value_name = "DIR", env = "STILLPOINT_CACHE_DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Keep no cache
    #[arg(long, global = true, conflicts_with = "cache_dir")]
    pub(crate) no_cache: bool,
    /// The address of the Docker engine
    #[arg(long, global = true, value_name = "URL", env = "DOCKER_HOST")]
    pub(crate) docker_host: Option<String>,
    /// Why this is done, for `stillpoint audit`
    #[arg(long, global = true, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Print the answer as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How log lines are written
    #[arg(long, global = true, value_name = "FORMAT", env = "STILLPOINT_LOG_FORMAT",
          value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// Show no progress, and only errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Log more; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

const SECRETS: &str = "The repository is unlocked with the first of these that is set: --key-file; \
the recovery key in STILLPOINT_RECOVERY_KEY; the key file named by STILLPOINT_KEY_FILE; the \
passphrase in STILLPOINT_PASSPHRASE; what the configuration says. A name with _FILE behind it \
(STILLPOINT_PASSPHRASE_FILE, STILLPOINT_RECOVERY_KEY_FILE) names a file with the secret in its \
first line, one with _COMMAND a command that prints it.";

/// How log lines are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum LogFormat {
    /// As text, for people
    Text,
    /// Each as an object of JSON
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a new repository, with a recovery key that is printed once
    Init(InitArguments),
    /// Manage the keys that unlock the repository
    #[command(subcommand)]
    Key(KeyVerb),
    /// List the applications that can be backed up
    Apps,
    /// Freeze an application and thaw it at once: how long it stands still, what a backup would
    /// refuse, and what would be slow
    Quiesce(QuiesceArguments),
    /// Back up an application, or plain directories
    Backup(BackupArguments),
    /// Snapshot an application as for a backup, and keep that where its volumes lie: no repository is
    /// needed. `points --local` lists them, `restore --local` puts one back
    Snapshot(SnapshotArguments),
    /// List the restore points
    Points {
        /// Those that lie on this host's own filesystems, as `snapshot` makes them
        #[arg(long, conflicts_with = "tag")]
        local: bool,
        /// Only those with this tag
        #[arg(long)]
        tag: Option<String>,
        /// Only those of this application
        #[arg(long, value_name = "NAME")]
        app: Option<String>,
    },
    /// Show one restore point: its volumes, its level and the evidence for it
    Show(PointArguments),
    /// Restore a point to a directory, or a local snapshot in place; the plan is shown first
    Restore(RestoreArguments),
    /// Check that every restore point can be read, and that nobody altered the repository
    Check(CheckArguments),
    /// Read a point as a restore would, every byte of it, and write nothing
    Verify(PointArguments),
    /// Give restore points tags, or take them away
    Tag(TagArguments),
    /// Keep a restore point from being forgotten; --reason tells whoever wants to forget it
    Hold(PointArguments),
    /// End the hold of a restore point
    Release(PointArguments),
    /// Forget restore points; the plan is shown first
    Forget(ForgetArguments),
    /// Delete what no restore point needs; the plan is shown first
    Prune(PruneArguments),
    /// Make the best of a damaged repository; the plan is shown first, and nothing is deleted
    Repair(RepairArguments),
    /// Thaw what a backup that died has left frozen; every backup does so first
    Thaw {
        /// Also end freezes that are going on; their restore points are refused
        #[arg(long)]
        all: bool,
    },
    /// See it all happen: an application backed up while it writes, lost, and restored
    Demo {
        /// A new or empty directory for everything that is made
        #[arg(default_value = "stillpoint-demo")]
        directory: PathBuf,
    },
    /// Back up by the policies of the configuration and of containers' labels, until SIGTERM; SIGHUP has
    /// the configuration read again
    Serve {
        /// How long uploads may go on after SIGTERM, such as 60s
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = service::length::parse)]
        grace: std::time::Duration,
    },
    /// List what ran, goes on and waits on this host, and what happened besides
    Runs {
        /// How many, the newest first
        #[arg(long, value_name = "COUNT", default_value_t = 20)]
        limit: u32,
    },
    /// List what people had done on this host, who they were, and why
    Audit {
        /// How much, the newest first
        #[arg(long, value_name = "COUNT", default_value_t = 20)]
        limit: u32,
    },
    /// Manage the tokens with which others ask the service
    #[command(subcommand)]
    Token(TokenVerb),
    /// See to who is told of failures
    #[command(subcommand)]
    Notifications(NotificationsVerb),
    /// Ask about policies
    #[command(subcommand)]
    Policy(PolicyVerb),
    /// Ask about the configuration
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Put another configuration in the place of the one there is, and have the service go by it; what
    /// changes is shown first
    Apply {
        /// The file
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// Only show what would change
        #[arg(long)]
        plan: bool,
    },
    /// Look after this host's catalog of restore points and runs
    #[command(subcommand)]
    Catalog(CatalogVerb),
    /// Thaws what it has frozen; started by every backup
    #[command(hide = true)]
    Warden,
    /// One process of the demonstration
    #[command(hide = true)]
    DemoWriter { index: usize, processes: usize, pipes: PathBuf, volume: PathBuf },
}

impl Verb {
    /// What the verb is for, to go on after "cannot".
    pub(crate) fn purpose(&self) -> String {
        match self {
            Self::Init(_) => "make a repository".into(),
            Self::Key(KeyVerb::List) => "list the keys".into(),
            Self::Key(KeyVerb::Add(_)) => "add a key".into(),
            Self::Key(KeyVerb::Remove { slot, .. }) => format!("remove key slot `{slot}`"),
            Self::Key(KeyVerb::Rotate { slot, .. }) => format!("rotate key slot `{slot}`"),
            Self::Apps => "list the applications".into(),
            Self::Backup(backup) => match &backup.application {
                Some(name) => format!("back up `{name}`"),
                None => format!("back up {}", quoted(&backup.path)),
            },
            Self::Quiesce(trial) => format!("freeze `{}` on trial", trial.application),
            Self::Points { .. } => "list the restore points".into(),
            Self::Show(chosen) => format!("show restore point `{}`", chosen.point),
            Self::Snapshot(snapshot) => format!("snapshot `{}`", snapshot.application),
            Self::Restore(RestoreArguments { point, to: Some(to), .. }) => {
                format!("restore `{point}` to `{}`", to.display())
            }
            Self::Restore(RestoreArguments { point, to: None, .. }) => {
                format!("put local snapshot `{point}` back")
            }
            Self::Check(_) => "check the repository".into(),
            Self::Verify(chosen) => format!("verify `{}`", chosen.point),
            Self::Tag(_) => "tag the restore points".into(),
            Self::Hold(hold) => format!("hold restore point `{}`", hold.point),
            Self::Release(release) => format!("release restore point `{}`", release.point),
            Self::Forget(_) => "forget restore points".into(),
            Self::Prune(_) => "prune the repository".into(),
            Self::Repair(_) => "repair the repository".into(),
            Self::Thaw { .. } => "thaw what is frozen".into(),
            Self::Demo { directory } => {
                format!("run the demonstration in `{}`", directory.display())
            }
            Self::Serve { .. } => "serve".into(),
            Self::Runs { .. } => "list the runs".into(),
            Self::Audit { .. } => "list what was done".into(),
            Self::Notifications(NotificationsVerb::Test { .. }) => "tell anybody".into(),
            Self::Token(TokenVerb::Add(_)) => "make the token".into(),
            Self::Token(TokenVerb::List) => "list the tokens".into(),
            Self::Token(TokenVerb::Revoke { name }) => format!("revoke token `{name}`"),
            Self::Policy(PolicyVerb::Next { policy, .. }) => format!("say when `{policy}` runs"),
            Self::Policy(PolicyVerb::Simulate { policy, .. }) => {
                format!("say what `{policy}` would keep")
            }
            Self::Config(ConfigVerb::Check) => "use the configuration".into(),
            Self::Apply { file, .. } => format!("apply `{}`", file.display()),
            Self::Catalog(CatalogVerb::Rebuild { .. }) => "rebuild the catalog".into(),
            Self::Catalog(CatalogVerb::Backup) => "back the catalog up".into(),
            Self::Warden => "keep watch".into(),
            Self::DemoWriter { .. } => "write".into(),
        }
    }
}

impl Verb {
    /// Whether it changes or stops something, which somebody may ask about later.
    pub(crate) fn is_deed(&self) -> bool {
        match self {
            Self::Init(_)
            | Self::Quiesce(_)
            | Self::Snapshot(_)
            | Self::Tag(_)
            | Self::Hold(_)
            | Self::Release(_)
            | Self::Thaw { all: true } => true,
            Self::Key(key) => !matches!(key, KeyVerb::List),
            Self::Token(token) => !matches!(token, TokenVerb::List),
            Self::Backup(backup) => !backup.dry_run,
            Self::Restore(restore) => !restore.plan,
            Self::Apply { plan, .. } => !plan,
            Self::Check(check) => check.request().accept,
            Self::Forget(forget) => !forget.dry_run,
            Self::Prune(prune) => !prune.dry_run,
            Self::Repair(repair) => !repair.plan,
            Self::Catalog(catalog) => matches!(catalog, CatalogVerb::Rebuild { plan: false }),
            Self::Apps
            | Self::Points { .. }
            | Self::Show(_)
            | Self::Verify(_)
            | Self::Thaw { all: false }
            | Self::Demo { .. }
            | Self::Serve { .. }
            | Self::Runs { .. }
            | Self::Audit { .. }
            | Self::Notifications(_)
            | Self::Policy(_)
            | Self::Config(_)
            | Self::Warden
            | Self::DemoWriter { .. } => false,
        }
    }

    /// What to know when it was interrupted.
    pub(crate) fn when_interrupted(&self) -> &'static str {
        match self {
            Self::Backup(_) => {
                "interrupted; the application runs on, and `stillpoint points` shows what was committed"
            }
            Self::Forget(_) => "interrupted; `stillpoint points` shows what is left",
            Self::Prune(_) => "interrupted; the next prune goes on from here",
            Self::Key(_) => "interrupted; `stillpoint key list` shows which keys there are",
            Self::Repair(_) => "interrupted; nothing is lost by that, and the same command goes on",
            Self::Restore(RestoreArguments { local: true, .. }) => {
                "interrupted; run the same command again before the application starts"
            }
            Self::Snapshot(_) => "interrupted; the application runs on",
            Self::Catalog(CatalogVerb::Rebuild { .. }) => {
                "interrupted; the same command goes on from here"
            }
            Self::Restore(_) => "interrupted; the same command goes on from here with --in-place",
            _ => "interrupted",
        }
    }
}

fn quoted(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
}

/// One restore point.
#[derive(Args, Debug)]
pub(crate) struct PointArguments {
    /// `latest`, or the first digits of its id
    pub(crate) point: PointName,
    /// The application whose latest point is meant
    #[arg(long, value_name = "NAME")]
    pub(crate) app: Option<String>,
}

/// What to ask about policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyVerb {
    /// When a policy, or a schedule such as 'daily "02:00"', runs next
    Next {
        /// The policy's name, or a schedule
        policy: String,
        /// The time zone, such as Europe/Berlin [default: the policy's, or this machine's]
        #[arg(long)]
        zone: Option<String>,
        /// From when on, such as 2026-03-28T12:00Z [default: now]
        #[arg(long, value_name = "TIME")]
        from: Option<jiff::Timestamp>,
        /// How many runs
        #[arg(long, default_value_t = 5)]
        count: usize,
    },
    /// Which points there would be after some time of a policy, and why they would still be there
    Simulate {
        /// The policy's name, or a schedule such as 'hourly keep 24'
        policy: String,
        /// How long, such as 1y, 6mo or 90d
        #[arg(long = "for", value_name = "TIME", default_value = "1y")]
        time: jiff::Span,
        /// The time zone, such as Europe/Berlin [default: the policy's, or this machine's]
        #[arg(long)]
        zone: Option<String>,
        /// From when on, such as 2026-03-28T12:00Z [default: now]
        #[arg(long, value_name = "TIME")]
        from: Option<jiff::Timestamp>,
    },
}

/// What to do about notifications.
#[derive(Debug, Subcommand)]
pub(crate) enum NotificationsVerb {
    /// Tell whoever is told of failures that this is a test
    Test {
        /// Which table of the configuration [default: all]
        name: Option<String>,
    },
}

/// What to do with the catalog.
#[derive(Debug, Subcommand)]
pub(crate) enum CatalogVerb {
    /// Read the restore points of all repositories anew; a catalog that is damaged or lost is replaced
    /// by its newest sound backup first. The plan is shown first
    Rebuild {
        /// Only show what would be done
        #[arg(long)]
        plan: bool,
    },
    /// Back the catalog up, as every day's first backup does. The three newest are kept in the state
    /// directory, and one of each of seven days
    Backup,
}

/// What to ask about the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Read the configuration, and say whether it makes sense
    Check,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_new_key_is_of_one_kind() {
        let parse = |text: &str| Arguments::try_parse_from(text.split(' ')).is_ok();
        assert!(parse("stillpoint key add --recovery --label safe"));
        assert!(parse("stillpoint key rotate 0a --new-key-file k --key-file old"));
        assert!(parse("stillpoint init --new-key-file k --no-recovery-key"));
        assert!(!parse("stillpoint key add"));
        assert!(!parse("stillpoint key add --recovery --new-key-file k"));
        assert!(!parse("stillpoint key rotate --recovery"));
        assert!(!parse("stillpoint init --new-key-file k --key-file k"));
    }

    #[test]
    fn an_application_or_paths_but_not_both() {
        let parse = |text: &str| Arguments::try_parse_from(text.split(' ')).is_ok();
        assert!(parse("stillpoint backup shop"));
        assert!(parse("stillpoint backup --path /a /b --name x"));
        assert!(!parse("stillpoint backup"));
        assert!(!parse("stillpoint backup shop --path /a"));
        assert!(!parse("stillpoint backup shop --deadline 0"));
    }

    #[test]
    fn a_restore_is_to_a_directory_or_local() {
        let parse = |text: &str| Arguments::try_parse_from(text.split(' ')).is_ok();
        assert!(parse("stillpoint restore latest --local --app shop --plan"));
        assert!(!parse("stillpoint restore latest"));
        assert!(!parse("stillpoint restore latest --local --to /a"));
        assert!(parse("stillpoint forget 0a --local --dry-run"));
        assert!(!parse("stillpoint forget 0a --local --prune"));
        assert!(!parse("stillpoint snapshot shop --keep 0"));
    }

    #[test]
    fn nothing_is_deleted_unless_in_place() {
        let parse = |text: &str| Arguments::try_parse_from(text.split(' ')).is_ok();
        assert!(parse("stillpoint restore latest --to /a --in-place --delete"));
        assert!(!parse("stillpoint restore latest --to /a --delete"));
    }
}
