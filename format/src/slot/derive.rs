//! From what somebody holds to the key that wraps the root key.

use argon2::{Argon2, Params, Version};
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::SlotError;
use super::key::Passphrase;
use crate::ids::SlotId;

/// What an attacker's guess costs, and ours: about a second and 256 MiB.
pub(super) const COST: Cost = Cost { memory_kib: 256 << 10, passes: 3, lanes: 4 };
/// A hostile repository must not make us allocate or compute without end.
const COST_MAX: Cost = Cost { memory_kib: 4 << 20, passes: 64, lanes: 64 };

/// How a slot's key follows from what somebody holds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "algorithm")]
pub(super) enum Algorithm {
    /// For what a person can remember, and an attacker could guess.
    #[serde(rename = "argon2id")]
    Argon2id { cost: Cost },
    /// For what is random: nobody guesses 160 bits.
    #[serde(rename = "hkdf-sha-256")]
    HkdfSha256,
}

/// The parameters of Argon2id.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Cost {
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
}

/// The key of one slot, and the commitment that is stored beside it.
pub(super) struct Derived {
    pub(super) key: Zeroizing<[u8; 32]>,
    pub(super) commitment: [u8; 32],
}

impl Algorithm {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Argon2id { .. } => "argon2id",
            Self::HkdfSha256 => "hkdf-sha-256",
        }
    }
}

/// By Argon2id: slow, and with much memory.
pub(super) fn stretch(
    slot: SlotId,
    cost: Cost,
    passphrase: &Passphrase,
    salt: &[u8],
) -> Result<Derived, SlotError> {
    let Cost { memory_kib, passes, lanes } = cost;
    if memory_kib > COST_MAX.memory_kib || passes > COST_MAX.passes || lanes > COST_MAX.lanes {
        return Err(SlotError::Cost(slot));
    }
    let params =
        Params::new(memory_kib, passes, lanes, Some(64)).map_err(|_| SlotError::Cost(slot))?;
    let mut output = Zeroizing::new([0; 64]);
    Argon2::new(argon2::Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, output.as_mut_slice())
        .map_err(|_| SlotError::Damaged(slot))?;
    let (mut key, mut commitment) = (Zeroizing::new([0; 32]), [0; 32]);
    let (first, second) = output.split_at(32);
    key.copy_from_slice(first);
    commitment.copy_from_slice(second);
    Ok(Derived { key, commitment })
}

/// By HKDF: at once.
pub(super) fn extract(secret: &[u8], salt: &[u8]) -> Derived {
    let tree = Hkdf::<Sha256>::new(Some(salt), secret);
    let (mut key, mut commitment) = (Zeroizing::new([0; 32]), [0; 32]);
    expand(&tree, b"stillpoint slot key", &mut key);
    expand(&tree, b"stillpoint slot commitment", &mut commitment);
    Derived { key, commitment }
}

fn expand(tree: &Hkdf<Sha256>, label: &[u8], key: &mut [u8; 32]) {
    // HKDF-SHA-256 yields up to 8,160 bytes; 32 cannot be too many.
    let expanded = tree.expand(label, key);
    debug_assert!(expanded.is_ok());
}
