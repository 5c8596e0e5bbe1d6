//! What opens a key slot.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key_file::KeyFile;
use super::recovery::RecoveryKey;

/// Something that unlocks a repository. None of it ever shows in `Debug`, and all of it is
/// overwritten when it is dropped.
#[derive(Clone, Debug)]
pub enum Key {
    /// What a machine keeps in a file.
    File(KeyFile),
    /// What a person remembers.
    Passphrase(Passphrase),
    /// What a person keeps on paper.
    Recovery(RecoveryKey),
}

/// What kind of key a slot opens with.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A [`KeyFile`].
    KeyFile,
    /// A [`Passphrase`].
    Passphrase,
    /// A [`RecoveryKey`].
    Recovery,
}

/// What a person types to unlock a repository.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Key {
    /// Which kind of slot it opens.
    pub fn kind(&self) -> Kind {
        match self {
            Self::File(_) => Kind::KeyFile,
            Self::Passphrase(_) => Kind::Passphrase,
            Self::Recovery(_) => Kind::Recovery,
        }
    }
}

impl Kind {
    /// How it is written down: `key-file`, `passphrase` or `recovery`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KeyFile => "key-file",
            Self::Passphrase => "passphrase",
            Self::Recovery => "recovery",
        }
    }
}

/// What people call it: `key file`, `passphrase` or `recovery key`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyFile => "key file",
            Self::Passphrase => "passphrase",
            Self::Recovery => "recovery key",
        })
    }
}

impl Passphrase {
    /// The passphrase with these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_shows() {
        let keys = [
            Key::File(KeyFile::new([0xab; 32])),
            Key::Passphrase(Passphrase::new("secret")),
            Key::Recovery(RecoveryKey::new([0xab; 20])),
        ];
        let shown = format!("{keys:?}");
        assert_eq!(
            shown,
            "[File(KeyFile(..)), Passphrase(Passphrase(..)), Recovery(RecoveryKey(..))]"
        );
    }
}
