//! Where a passphrase comes from: never from the command line, where everybody could read it.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use repository::unlock::Passphrase;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where to find a passphrase: in TOML `{ file = ".." }`, `{ env = ".." }` or `{ command = ".." }`.
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

/// Why there is no passphrase.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The command could not be run, or failed.
    #[error("the command for the passphrase failed")]
    Command(#[source] io::Error),
    /// There is an empty passphrase.
    #[error("the passphrase is empty")]
    Empty,
    /// The file cannot be read.
    #[error("cannot read the passphrase file `{}`", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody said where the passphrase is.
    #[error("no passphrase was given")]
    Missing,
    /// The environment variable is not set.
    #[error("the environment variable `{0}` is not set")]
    Variable(String),
}

impl SecretSource {
    /// The source that the environment names, if it names one: `STILLPOINT_PASSPHRASE`, or the
    /// same with `_FILE` or `_COMMAND`.
    #[allow(
        clippy::disallowed_methods,
        reason = "a passphrase must not pass through the parser of arguments"
    )]
    pub fn from_environment() -> Option<Self> {
        let is_set = |name: &str| std::env::var_os(name).is_some();
        let value = |name: &str| std::env::var(name).ok();
        if is_set("STILLPOINT_PASSPHRASE") {
            return Some(Self::Env("STILLPOINT_PASSPHRASE".into()));
        }
        let file = value("STILLPOINT_PASSPHRASE_FILE").map(|path| Self::File(path.into()));
        file.or_else(|| value("STILLPOINT_PASSPHRASE_COMMAND").map(Self::Command))
    }

    /// Fetches the passphrase.
    pub fn read(&self) -> Result<Passphrase, SecretError> {
        let bytes = match self {
            Self::Command(command) => run(command).map_err(SecretError::Command)?,
            Self::Env(name) => variable(name).ok_or_else(|| SecretError::Variable(name.clone()))?,
            Self::File(path) => {
                fs::read(path).map_err(|source| SecretError::File { path: path.clone(), source })?
            }
        };
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let passphrase = Passphrase::new(line.strip_suffix(b"\r").unwrap_or(line));
        if passphrase.is_empty() { Err(SecretError::Empty) } else { Ok(passphrase) }
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

    #[test]
    fn only_the_first_line_counts() {
        let source = SecretSource::Command("printf 'first\\r\\nsecond\\n'".into());
        let debug = format!("{:?}", source.read().unwrap());
        assert_eq!(debug, "Passphrase(..)");
    }

    #[test]
    fn empty_missing_and_failing_sources_are_refused() {
        let command = |text: &str| SecretSource::Command(text.into()).read();
        assert!(matches!(command("echo"), Err(SecretError::Empty)));
        assert!(matches!(command("exit 3"), Err(SecretError::Command(_))));
        let file = SecretSource::File("/nowhere/at/all".into()).read();
        assert!(matches!(file, Err(SecretError::File { .. })));
        let variable = SecretSource::Env("STILLPOINT_NOT_SET".into()).read();
        assert!(matches!(variable, Err(SecretError::Variable(_))));
    }
}
