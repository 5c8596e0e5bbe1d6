//! Key slots: the root key, wrapped by something that a person or a machine holds.
//!
//! See docs/format.md#key-slots.

mod derive;
mod key;
mod key_file;
mod label;
mod recovery;
#[cfg(test)]
mod tests;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use self::derive::{Algorithm, COST, Derived};
pub use self::key::{Key, Kind, Passphrase};
pub use self::key_file::{KeyFile, ParseKeyFileError};
pub use self::label::{Label, ParseLabelError};
pub use self::recovery::{ParseRecoveryKeyError, RecoveryKey};
use crate::hex::Hex;
use crate::ids::{RepositoryId, SlotId};
use crate::keys::{Keys, RootKey};

/// No slot has more bytes; what is longer need not be read.
pub const SLOT_BYTES_MAX: u64 = 16 << 10;
/// The salt gives every slot a key of its own, which is used once.
const NONCE: [u8; 12] = [0; 12];

/// The content of `key/<slot>`, as JSON in the clear: the root key, wrapped.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Slot {
    #[serde(rename = "slot")]
    id: SlotId,
    kind: Kind,
    label: Label,
    #[serde(deserialize_with = "as_written")]
    created: Timestamp,
    #[serde(flatten)]
    algorithm: Algorithm,
    salt: Hex,
    commitment: Hex,
    wrapped: Hex,
    proof: Hex,
}

/// What stands on a slot for people to read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Inscription {
    /// What the slot is called.
    pub label: Label,
    /// When it was made.
    pub created: Timestamp,
}

/// Why a slot did not give the root key.
#[derive(Debug, Error)]
pub enum SlotError {
    /// The parameters are beyond any that this program would write.
    #[error("key slot {0} asks for an unreasonable amount of memory or time")]
    Cost(SlotId),
    /// The slot was altered, or belongs to another repository.
    #[error("key slot {0} is damaged")]
    Damaged(SlotId),
    /// The object is no slot at all.
    #[error("object `key/{slot}` is no key slot")]
    Malformed {
        /// Which slot.
        slot: SlotId,
        /// What is wrong with its text.
        source: serde_json::Error,
    },
    /// The slot is of a kind that this program does not know.
    #[error("key slot {slot} is of a kind that this program does not know: {kind} by {algorithm}")]
    UnknownKind {
        /// Which slot.
        slot: SlotId,
        /// What opens it.
        kind: String,
        /// How.
        algorithm: String,
    },
    /// This key does not open the slot.
    #[error("the {kind} does not open key slot {slot}")]
    WrongKey {
        /// Which slot.
        slot: SlotId,
        /// What was tried.
        kind: Kind,
    },
}

impl Slot {
    /// A slot that opens with `key`. `salt` must be random.
    pub fn wrap(
        (root, repository): (&RootKey, RepositoryId),
        id: SlotId,
        key: &Key,
        inscription: Inscription,
        salt: [u8; 32],
    ) -> Result<Self, SlotError> {
        let algorithm = match key.kind() {
            Kind::Passphrase => Algorithm::Argon2id { cost: COST },
            Kind::KeyFile | Kind::Recovery => Algorithm::HkdfSha256,
        };
        let Inscription { label, created } = inscription;
        let (kind, salt, empty) = (key.kind(), Hex::new(salt), || Hex::new([]));
        let (commitment, wrapped, proof) = (empty(), empty(), empty());
        let mut made =
            Self { id, kind, label, created, algorithm, salt, commitment, wrapped, proof };
        let derived = made.derive(key)?;
        made.commitment = Hex::new(derived.commitment);
        let mut wrapped = Zeroizing::new(root.as_bytes().to_vec());
        let tag = cipher(&derived)
            .encrypt_inout_detached(
                &NONCE.into(),
                &made.binding(repository),
                InOutBuf::from(wrapped.as_mut_slice()),
            )
            .map_err(|_| SlotError::Damaged(id))?;
        made.wrapped = Hex::new([wrapped.as_slice(), &tag].concat());
        made.proof = Hex::new(made.prove(&Keys::derive(root, repository)));
        Ok(made)
    }

    /// Reads the object `key/<slot>`.
    pub fn parse(slot: SlotId, bytes: &[u8]) -> Result<Self, SlotError> {
        let malformed = |source| SlotError::Malformed { slot, source };
        let header: Header = serde_json::from_slice(bytes).map_err(malformed)?;
        if header.slot != slot {
            return Err(SlotError::Damaged(slot));
        }
        let known = [
            (Kind::KeyFile, "hkdf-sha-256"),
            (Kind::Passphrase, "argon2id"),
            (Kind::Recovery, "hkdf-sha-256"),
        ];
        if !known.iter().any(|(k, a)| k.as_str() == header.kind && *a == header.algorithm) {
            let (kind, algorithm) = (printable(&header.kind), printable(&header.algorithm));
            return Err(SlotError::UnknownKind { slot, kind, algorithm });
        }
        let parsed: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        let lengths = [&parsed.salt, &parsed.commitment, &parsed.wrapped, &parsed.proof];
        if lengths.map(|hex| hex.as_bytes().len()) != [32, 32, 48, 32] {
            return Err(SlotError::Damaged(slot));
        }
        Ok(parsed)
    }

    /// The bytes of the object.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Texts and numbers always have a JSON form.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// The slot's id, which is also in its name.
    pub fn id(&self) -> SlotId {
        self.id
    }

    /// What opens it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What people call it.
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// When it was made.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// The root key, if `key` is the one that the slot was made with.
    pub fn unwrap(&self, repository: RepositoryId, key: &Key) -> Result<RootKey, SlotError> {
        let derived = self.derive(key)?;
        // The commitment tells a wrong key from a damaged slot, and keeps one slot from opening
        // under many keys.
        if !bool::from(derived.commitment.ct_eq(self.commitment.as_bytes())) {
            return Err(SlotError::WrongKey { slot: self.id, kind: self.kind });
        }
        let damaged = || SlotError::Damaged(self.id);
        let (key, tag) = self.wrapped.as_bytes().split_at_checked(32).ok_or_else(damaged)?;
        let mut root = Zeroizing::new(<[u8; 32]>::try_from(key).map_err(|_| damaged())?);
        cipher(&derived)
            .decrypt_inout_detached(
                &NONCE.into(),
                &self.binding(repository),
                root.as_mut_slice().into(),
                &tag.try_into().map_err(|_| damaged())?,
            )
            .map_err(|_| damaged())?;
        Ok(RootKey::new(*root))
    }

    /// Whether a holder of this root key made the slot, and nobody altered it since: then whoever
    /// has its key can open it.
    pub fn is_proven(&self, root: &RootKey, repository: RepositoryId) -> bool {
        self.is_proven_by(&Keys::derive(root, repository))
    }

    /// The same for those who no longer have the root key.
    pub fn is_proven_by(&self, keys: &Keys) -> bool {
        self.prove(keys).as_slice().ct_eq(self.proof.as_bytes()).into()
    }

    fn derive(&self, key: &Key) -> Result<Derived, SlotError> {
        let salt = self.salt.as_bytes();
        match (self.kind, self.algorithm, key) {
            (Kind::Passphrase, Algorithm::Argon2id { cost }, Key::Passphrase(passphrase)) => {
                derive::stretch(self.id, cost, passphrase, salt)
            }
            (Kind::KeyFile, Algorithm::HkdfSha256, Key::File(file)) => {
                Ok(derive::extract(file.as_bytes(), salt))
            }
            (Kind::Recovery, Algorithm::HkdfSha256, Key::Recovery(recovery)) => {
                Ok(derive::extract(recovery.as_bytes(), salt))
            }
            _ => Err(SlotError::WrongKey { slot: self.id, kind: key.kind() }),
        }
    }

    // Everything in the clear; the salt and the commitment are bound by the key itself.
    fn binding(&self, repository: RepositoryId) -> Vec<u8> {
        let mut bound = b"stillpoint slot".to_vec();
        bound.extend_from_slice(repository.as_bytes());
        bound.extend_from_slice(self.id.as_bytes());
        let created = self.created.to_string();
        let texts =
            [self.kind.as_str(), self.algorithm.as_str(), self.label.as_str(), created.as_str()];
        for text in texts {
            bound.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bound.extend_from_slice(text.as_bytes());
        }
        if let Algorithm::Argon2id { cost } = self.algorithm {
            for number in [cost.memory_kib, cost.passes, cost.lanes] {
                bound.extend_from_slice(&number.to_le_bytes());
            }
        }
        bound
    }

    fn prove(&self, keys: &Keys) -> [u8; 32] {
        let mut hasher = keys.slot_hasher();
        let binding = self.binding(keys.repository());
        let stored = [&self.salt, &self.commitment, &self.wrapped].map(Hex::as_bytes);
        for part in [binding.as_slice()].into_iter().chain(stored) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }
}

/// What every slot has, of whatever kind.
#[derive(Deserialize)]
struct Header {
    slot: SlotId,
    kind: String,
    algorithm: String,
}

// A time has several spellings, and the proof is of one: another one would be altered unnoticed.
fn as_written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time: Timestamp = text.parse().map_err(D::Error::custom)?;
    let is_usual = time.to_string() == text;
    is_usual.then_some(time).ok_or_else(|| D::Error::custom("the time is spelt unusually"))
}

// It comes from whoever can write to the store, and goes to a terminal.
fn printable(text: &str) -> String {
    let short = text.chars().take(32);
    let shown: String = short.filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    format!("`{shown}`")
}

fn cipher(derived: &Derived) -> Aes256Gcm {
    Aes256Gcm::new((&*derived.key).into())
}
