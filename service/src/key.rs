//! Where the key of a repository comes from, and how a new one is made.

mod file;

use std::path::PathBuf;

use repository::unlock::{self, Key, Passphrase, RecoveryKey};
use serde::{Serialize, Serializer};

pub use self::file::KeyFileError;
use crate::error::ServiceError;
use crate::secret::{Secret, SecretSource, Whose};

/// Where a key is that exists.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeySource {
    /// A key file.
    File(PathBuf),
    /// A passphrase that is read from here.
    Passphrase(SecretSource),
    /// A recovery key that is read from here.
    Recovery(SecretSource),
}

/// What a new slot is to open with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NewKey {
    /// A key or passphrase that exists.
    Existing(KeySource),
    /// A key file that is to be made at this path.
    File(PathBuf),
    /// A recovery key that is to be made, and printed.
    Recovery,
}

/// A recovery key that its owner has to see once. `Debug` does not show it, JSON and
/// [`text`](Self::text) do.
#[derive(Clone, Debug)]
pub struct PrintedKey(RecoveryKey);

impl KeySource {
    /// The source that the environment names, if it names one. A recovery key goes first: nobody
    /// sets it unless the others fail.
    pub fn from_environment() -> Option<Self> {
        Self::recovery(Whose::Own).or_else(Self::usual_from_environment)
    }

    /// The same for another repository that something is taken from.
    pub fn other_from_environment() -> Option<Self> {
        Self::recovery(Whose::Other).or_else(|| Self::usual(Whose::Other))
    }

    /// The same without a recovery key.
    pub fn usual_from_environment() -> Option<Self> {
        Self::usual(Whose::Own)
    }

    fn recovery(whose: Whose) -> Option<Self> {
        SecretSource::from_environment(Secret::RecoveryKey, whose).map(Self::Recovery)
    }

    #[allow(clippy::disallowed_methods, reason = "beside the variables of the other keys")]
    fn usual(whose: Whose) -> Option<Self> {
        let variable = match whose {
            Whose::Own => "STILLPOINT_KEY_FILE",
            Whose::Other => "STILLPOINT_FROM_KEY_FILE",
        };
        let file = std::env::var_os(variable).map(|path| Self::File(path.into()));
        let passphrase = || SecretSource::from_environment(Secret::Passphrase, whose);
        file.or_else(|| passphrase().map(Self::Passphrase))
    }

    /// Fetches the key.
    pub fn read(&self) -> Result<Key, ServiceError> {
        Ok(match self {
            Self::File(path) => Key::File(file::read(path)?),
            Self::Passphrase(source) => {
                Key::Passphrase(Passphrase::new(source.read(Secret::Passphrase)?.as_slice()))
            }
            Self::Recovery(source) => {
                let typed = source.read(Secret::RecoveryKey)?;
                Key::Recovery(RecoveryKey::parse(&String::from_utf8_lossy(&typed))?)
            }
        })
    }
}

impl NewKey {
    /// Makes the key. A key file is on the disk before anything depends on it.
    pub(crate) fn make(&self) -> Result<Key, ServiceError> {
        match self {
            Self::Existing(source) => source.read(),
            Self::File(path) => {
                let key = unlock::new_key_file();
                file::create(path, &key)?;
                Ok(Key::File(key))
            }
            Self::Recovery => Ok(Key::Recovery(unlock::new_recovery_key())),
        }
    }
}

impl PrintedKey {
    /// What is to be printed of a key that was made; nothing of one that its owner has already.
    pub(crate) fn of(new: &NewKey, key: &Key) -> Option<Self> {
        match (new, key) {
            (NewKey::Recovery, Key::Recovery(key)) => Some(Self(key.clone())),
            _ => None,
        }
    }

    /// The key as it is printed.
    pub fn text(&self) -> String {
        self.0.text().to_string()
    }
}

impl Serialize for PrintedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.text())
    }
}
