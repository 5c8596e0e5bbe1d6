//! Why a configuration cannot be used.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use catalog::Task;
use platform::error::PlatformError;
use repository::location::ParseLocationError;
use thiserror::Error;

use crate::notices::ChannelError;

/// Why the configuration cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// An application is declared in a way that makes no sense.
    #[error("the configuration declares an application wrongly")]
    Application(#[from] PlatformError),
    /// A hook is declared in a way that makes no sense.
    #[error("the hooks of `{application}.{container}` are declared wrongly: {reason}")]
    Hook {
        /// The application.
        application: String,
        /// The container.
        container: String,
        /// What is wrong.
        reason: String,
    },
    /// Nobody could be told so.
    #[error("the notifications to `{name}` are declared wrongly")]
    Channel {
        /// The channel.
        name: String,
        /// What is wrong.
        source: ChannelError,
    },
    /// A repository's location makes no sense.
    #[error("the location of repository `{name}` cannot be used")]
    Repository {
        /// Which repository.
        name: String,
        /// Why not.
        source: ParseLocationError,
    },
    /// A repository has two keys, and nobody says which to use.
    #[error("repository `{0}` has both a passphrase and a key file")]
    TwoKeys(String),
    /// The file cannot be read.
    #[error("cannot read the configuration `{}`", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file says something that makes no sense.
    #[error("the configuration `{}` is wrong{}", path.display(), question(meant.as_deref()))]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// The known name that is nearest to one that is unknown.
        meant: Option<String>,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// An application or a policy names something that is not there.
    #[error("`{user}` names {kind} `{name}`, which is not declared")]
    Undeclared {
        /// The application or the policy.
        user: String,
        /// What it names, such as `policy`.
        kind: &'static str,
        /// By which name.
        name: String,
    },
    /// Everybody could ask.
    #[error("`metrics.listen` is {0}, which is no loopback address")]
    NotLoopback(SocketAddr),
    /// A policy would never run.
    #[error("the blackouts of policy `{0}` leave no time for its runs")]
    NoTime(String),
    /// A policy has a key that means nothing for its task.
    #[error("policy `{policy}` has the task `{}`, for which `{key}` means nothing", task.name())]
    NotForTask {
        /// The policy.
        policy: String,
        /// Its task.
        task: Task,
        /// The key.
        key: &'static str,
    },
    /// An application has a policy that does no backups.
    #[error("application `{application}` names policy `{policy}`, which is for repositories")]
    NoBackups {
        /// The application.
        application: String,
        /// The policy.
        policy: String,
    },
    /// A policy names more than one repository.
    #[error("policy `{0}` names several repositories, and a backup goes to one so far")]
    SeveralRepositories(String),
    /// A policy would give all of its points a tag that says something of single ones.
    #[error(
        "policy `{policy}` gives its points the tag `{tag}`, which people give to single points"
    )]
    ReservedTag {
        /// The policy.
        policy: String,
        /// The tag.
        tag: String,
    },
    /// What holds for applications of the host was said of one that is not.
    #[error("application `{0}` is on Docker, which knows its directories and processes itself")]
    NotOnHost(String),
}

fn question(meant: Option<&str>) -> String {
    meant.map(|name| format!(": did you mean `{name}`?")).unwrap_or_default()
}
