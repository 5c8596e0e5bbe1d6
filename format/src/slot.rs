//! Key slots: the root key, wrapped by something that a person or a machine holds.
//!
//! See docs/format.md#key-slots.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::hex::Hex;
use crate::ids::{RepositoryId, SlotId};
use crate::keys::RootKey;

/// What an attacker's guess costs, and ours: about a second and 256 MiB.
const COST: Cost = Cost { memory_kib: 256 << 10, passes: 3, lanes: 4 };
/// A hostile repository must not make us allocate or compute without end.
const COST_MAX: Cost = Cost { memory_kib: 4 << 20, passes: 64, lanes: 64 };
/// The salt gives every slot a key of its own, which is used once.
const NONCE: [u8; 12] = [0; 12];

/// The content of `key/<slot>`, as JSON in the clear: a root key wrapped by a passphrase.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PassphraseSlot {
    /// The slot's id, which is also in its name.
    pub slot: SlotId,
    /// Always `argon2id`.
    algorithm: String,
    cost: Cost,
    salt: Hex,
    commitment: Hex,
    wrapped: Hex,
}

/// The parameters of Argon2id.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
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
    /// The slot is of a kind that this program does not know.
    #[error("key slot {slot} uses `{algorithm}`, which this program does not know")]
    UnknownAlgorithm {
        /// Which slot.
        slot: SlotId,
        /// What it uses.
        algorithm: String,
    },
    /// This passphrase does not open the slot.
    #[error("the passphrase does not open key slot {0}")]
    WrongPassphrase(SlotId),
}

impl PassphraseSlot {
    /// A slot that opens with `passphrase`. `salt` must be random.
    pub fn wrap(
        root: &RootKey,
        repository: RepositoryId,
        slot: SlotId,
        passphrase: &[u8],
        salt: [u8; 32],
    ) -> Result<Self, SlotError> {
        let stretched = stretch(slot, COST, passphrase, &salt)?;
        let mut wrapped = root.as_bytes().to_vec();
        let tag = cipher(&stretched)
            .encrypt_inout_detached(
                &NONCE.into(),
                &binding(repository, slot, COST),
                InOutBuf::from(wrapped.as_mut_slice()),
            )
            .map_err(|_| SlotError::Damaged(slot))?;
        wrapped.extend_from_slice(&tag);
        Ok(Self {
            slot,
            algorithm: "argon2id".into(),
            cost: COST,
            salt: Hex::new(salt),
            commitment: Hex::new(stretched.commitment),
            wrapped: Hex::new(wrapped),
        })
    }

    /// The root key, if `passphrase` is the one that the slot was made with.
    pub fn unwrap(
        &self,
        repository: RepositoryId,
        passphrase: &[u8],
    ) -> Result<RootKey, SlotError> {
        if self.algorithm != "argon2id" {
            return Err(SlotError::UnknownAlgorithm {
                slot: self.slot,
                algorithm: self.algorithm.clone(),
            });
        }
        let stretched = stretch(self.slot, self.cost, passphrase, self.salt.as_bytes())?;
        // The commitment tells a wrong passphrase from a damaged slot, and keeps one slot from
        // opening under many passphrases.
        if !bool::from(stretched.commitment.ct_eq(self.commitment.as_bytes())) {
            return Err(SlotError::WrongPassphrase(self.slot));
        }
        let damaged = || SlotError::Damaged(self.slot);
        let (key, tag) = self.wrapped.as_bytes().split_at_checked(32).ok_or_else(damaged)?;
        let mut root = Zeroizing::new(<[u8; 32]>::try_from(key).map_err(|_| damaged())?);
        cipher(&stretched)
            .decrypt_inout_detached(
                &NONCE.into(),
                &binding(repository, self.slot, self.cost),
                root.as_mut_slice().into(),
                &tag.try_into().map_err(|_| damaged())?,
            )
            .map_err(|_| damaged())?;
        Ok(RootKey::new(*root))
    }
}

struct Stretched {
    key: Zeroizing<[u8; 32]>,
    commitment: [u8; 32],
}

fn stretch(
    slot: SlotId,
    cost: Cost,
    passphrase: &[u8],
    salt: &[u8],
) -> Result<Stretched, SlotError> {
    let Cost { memory_kib, passes, lanes } = cost;
    if memory_kib > COST_MAX.memory_kib || passes > COST_MAX.passes || lanes > COST_MAX.lanes {
        return Err(SlotError::Cost(slot));
    }
    let params =
        Params::new(memory_kib, passes, lanes, Some(64)).map_err(|_| SlotError::Cost(slot))?;
    let mut output = Zeroizing::new([0; 64]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, salt, output.as_mut_slice())
        .map_err(|_| SlotError::Damaged(slot))?;
    let (mut key, mut commitment) = (Zeroizing::new([0; 32]), [0; 32]);
    let (first, second) = output.split_at(32);
    key.copy_from_slice(first);
    commitment.copy_from_slice(second);
    Ok(Stretched { key, commitment })
}

fn cipher(stretched: &Stretched) -> Aes256Gcm {
    Aes256Gcm::new((&*stretched.key).into())
}

fn binding(repository: RepositoryId, slot: SlotId, cost: Cost) -> Vec<u8> {
    let mut bound = b"stillpoint slot".to_vec();
    bound.extend_from_slice(repository.as_bytes());
    bound.extend_from_slice(slot.as_bytes());
    for number in [cost.memory_kib, cost.passes, cost.lanes] {
        bound.extend_from_slice(&number.to_le_bytes());
    }
    bound
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPOSITORY: RepositoryId = RepositoryId::new([1; 16]);

    fn slot() -> PassphraseSlot {
        PassphraseSlot::wrap(
            &RootKey::new([9; 32]),
            REPOSITORY,
            SlotId::new([2; 8]),
            b"right",
            [3; 32],
        )
        .unwrap()
    }

    #[test]
    fn the_right_passphrase_opens_and_others_do_not() {
        let slot = slot();
        assert_eq!(slot.unwrap(REPOSITORY, b"right").unwrap().as_bytes(), &[9; 32]);
        assert!(matches!(slot.unwrap(REPOSITORY, b"wrong"), Err(SlotError::WrongPassphrase(_))));
        let elsewhere = RepositoryId::new([8; 16]);
        assert!(matches!(slot.unwrap(elsewhere, b"right"), Err(SlotError::Damaged(_))));
    }

    #[test]
    fn a_hostile_cost_is_refused_before_any_memory_is_taken() {
        let mut slot = slot();
        slot.cost.memory_kib = u32::MAX;
        assert!(matches!(slot.unwrap(REPOSITORY, b"right"), Err(SlotError::Cost(_))));
    }

    #[test]
    fn a_slot_survives_its_json() {
        let slot = slot();
        let text = serde_json::to_vec(&slot).unwrap();
        assert_eq!(serde_json::from_slice::<PassphraseSlot>(&text).unwrap(), slot);
    }
}
