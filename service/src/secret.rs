//! Where a secret that people type comes from: never from the command line, where everybody could
//! read it.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

/// Something that people type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Secret {
    /// The passphrase of a repository.
    Passphrase,
    /// The recovery key of a repository.
    RecoveryKey,
    /// An address to which something is told.
    Address,
    /// The password of a user of a mail server.
    Password,
}

/// Which repository a secret is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Whose {
    /// The one that the command is about.
    Own,
    /// Another one that something is taken from.
    Other,
}

/// Where to find a secret: in TOML `{ file = ".." }`, `{ env = ".." }` or `{ command = ".." }`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// What a shell command prints.
    Command(String),
    /// The value of an environment variable.
    Env(String),
    /// The first line of a file.
    File(PathBuf),
}

/// Why there is no secret.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The command could not be run, or failed.
    #[error("the command for the {secret} failed")]
    Command {
        /// What it was to print.
        secret: Secret,
        /// What the system said.
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("the {0} is empty")]
    Empty(Secret),
    /// The file cannot be read.
    #[error("cannot read the {secret} file `{}`", path.display())]
    File {
        /// What was to be in it.
        secret: Secret,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody said where any secret is.
    #[error("no passphrase or other key was given")]
    Missing,
    /// The environment variable is not set.
    #[error("the environment variable `{0}` is not set")]
    Variable(String),
}

impl Secret {
    // The same with `_FILE` and `_COMMAND` say where else it is. Others only the configuration names.
    fn variable(self, whose: Whose) -> Option<&'static str> {
        Some(match (whose, self) {
            (Whose::Own, Self::Passphrase) => "STILLPOINT_PASSPHRASE",
            (Whose::Own, Self::RecoveryKey) => "STILLPOINT_RECOVERY_KEY",
            (Whose::Other, Self::Passphrase) => "STILLPOINT_FROM_PASSPHRASE",
            (Whose::Other, Self::RecoveryKey) => "STILLPOINT_FROM_RECOVERY_KEY",
            (_, Self::Address | Self::Password) => return None,
        })
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passphrase => "passphrase",
            Self::RecoveryKey => "recovery key",
            Self::Address => "address",
            Self::Password => "password",
        })
    }
}

impl SecretSource {
    /// The source that the environment names, if it names one: for a passphrase
    /// `STILLPOINT_PASSPHRASE`, or the same with `_FILE` or `_COMMAND`; `STILLPOINT_FROM_PASSPHRASE`
    /// for that of the other repository.
    #[allow(
        clippy::disallowed_methods,
        reason = "a secret must not pass through the parser of arguments"
    )]
    pub fn from_environment(secret: Secret, whose: Whose) -> Option<Self> {
        let name = secret.variable(whose)?;
        let value = |suffix: &str| std::env::var(format!("{name}{suffix}")).ok();
        if std::env::var_os(name).is_some() {
            return Some(Self::Env(name.into()));
        }
        let file = value("_FILE").map(|path| Self::File(path.into()));
        file.or_else(|| value("_COMMAND").map(Self::Command))
    }

    /// Fetches the secret: one line, without its end.
    pub fn read(&self, secret: Secret) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let bytes = match self {
            Self::Command(command) => {
                run(command).map_err(|source| SecretError::Command { secret, source })?
            }
            Self::Env(name) => variable(name).ok_or_else(|| SecretError::Variable(name.clone()))?,
            Self::File(path) => fs::read(path).map_err(|source| SecretError::File {
                secret,
                path: path.clone(),
                source,
            })?,
        };
        let bytes = Zeroizing::new(bytes);
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Err(SecretError::Empty(secret));
        }
        Ok(Zeroizing::new(line.to_vec()))
    }
}

#[allow(clippy::disallowed_methods, reason = "the variable's name comes from the configuration")]
fn variable(name: &str) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt;
    std::env::var_os(name).map(OsStringExt::into_vec)
}

fn run(command: &str) -> io::Result<Vec<u8>> {
    let output = Command::new("sh").args(["-c", command]).stderr(Stdio::inherit()).output()?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(io::Error::other(format!("it ended with {}", output.status)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &SecretSource) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        source.read(Secret::Passphrase)
    }

    #[test]
    fn only_the_first_line_counts() {
        let source = SecretSource::Command("printf 'first\\r\\nsecond\\n'".into());
        assert_eq!(*read(&source).unwrap(), b"first");
    }

    #[test]
    fn empty_missing_and_failing_sources_are_refused() {
        let command = |text: &str| read(&SecretSource::Command(text.into()));
        assert!(matches!(command("echo"), Err(SecretError::Empty(_))));
        assert!(matches!(command("exit 3"), Err(SecretError::Command { .. })));
        let file = read(&SecretSource::File("/nowhere/at/all".into()));
        assert!(matches!(file, Err(SecretError::File { .. })));
        let variable = read(&SecretSource::Env("STILLPOINT_NOT_SET".into()));
        assert!(matches!(variable, Err(SecretError::Variable(_))));
    }
}
