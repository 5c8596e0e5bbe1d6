//! Sealing: AES-256-GCM under a key that no other object has, with a commitment to that key.
//!
//! See docs/format.md#sealing.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::keys::Keys;

/// How many bytes a sealed text is longer than its plaintext.
pub const TAG_BYTES: usize = 16;

/// Why a sealed text did not open: it is not what was written, or not where it was written.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the seal is broken")]
pub struct BrokenSeal;

/// Seals and opens the texts of one object.
pub(crate) struct Seal {
    cipher: Aes256Gcm,
    commitment: [u8; 32],
}

impl Seal {
    /// The seal of the object with this salt.
    pub(crate) fn new(keys: &Keys, salt: &[u8; 32]) -> Self {
        let (key, commitment) = keys.object_key(salt);
        Self { cipher: Aes256Gcm::new((&*key).into()), commitment }
    }

    /// What is stored beside the salt, so that one object cannot open under two keys.
    pub(crate) fn commitment(&self) -> &[u8; 32] {
        &self.commitment
    }

    /// Whether the stored commitment is that of this key.
    pub(crate) fn check(&self, commitment: &[u8]) -> Result<(), BrokenSeal> {
        if bool::from(self.commitment.as_slice().ct_eq(commitment)) {
            Ok(())
        } else {
            Err(BrokenSeal)
        }
    }

    /// Appends the sealed form of `plaintext` to `output`. A number is used once an object.
    pub(crate) fn seal(&self, number: u32, bound: &[u8], plaintext: &[u8], output: &mut Vec<u8>) {
        let start = output.len();
        output.resize(start.saturating_add(plaintext.len()), 0);
        let text = output.get_mut(start..).unwrap_or_default();
        // Fails for texts of 64 GiB and more only; ours have a bound of a few MiB.
        let tag = InOutBuf::new(plaintext, text)
            .ok()
            .and_then(|text| self.cipher.encrypt_inout_detached(&nonce(number), bound, text).ok());
        debug_assert!(tag.is_some());
        output.extend_from_slice(&tag.unwrap_or_default());
    }

    /// The plaintext of a sealed text.
    pub(crate) fn open(
        &self,
        number: u32,
        bound: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, BrokenSeal> {
        let mut plaintext = Vec::new();
        self.open_to(number, bound, sealed, &mut plaintext)?;
        Ok(plaintext)
    }

    /// The same, into memory that is at hand. What it holds when this fails means nothing.
    pub(crate) fn open_to(
        &self,
        number: u32,
        bound: &[u8],
        sealed: &[u8],
        plaintext: &mut Vec<u8>,
    ) -> Result<(), BrokenSeal> {
        let length = sealed.len().checked_sub(TAG_BYTES).ok_or(BrokenSeal)?;
        let (text, tag) = sealed.split_at_checked(length).ok_or(BrokenSeal)?;
        let tag = tag.try_into().map_err(|_| BrokenSeal)?;
        plaintext.resize(length, 0);
        let opened = InOutBuf::new(text, plaintext.as_mut_slice()).map_err(|_| BrokenSeal)?;
        self.cipher
            .decrypt_inout_detached(&nonce(number), bound, opened, &tag)
            .map_err(|_| BrokenSeal)
    }
}

fn nonce(number: u32) -> Nonce<aes_gcm::aead::consts::U12> {
    let mut bytes = [0; 12];
    let (_, counter) = bytes.split_at_mut(8);
    counter.copy_from_slice(&number.to_be_bytes());
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RepositoryId;
    use crate::keys::RootKey;

    fn seal() -> Seal {
        Seal::new(&Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([2; 16])), &[3; 32])
    }

    #[test]
    fn a_text_opens_only_where_it_was_sealed() {
        let mut sealed = Vec::new();
        seal().seal(5, b"here", b"text", &mut sealed);
        assert_eq!(sealed.len(), 4 + TAG_BYTES);
        assert_eq!(seal().open(5, b"here", &sealed), Ok(b"text".to_vec()));
        assert_eq!(seal().open(6, b"here", &sealed), Err(BrokenSeal));
        assert_eq!(seal().open(5, b"there", &sealed), Err(BrokenSeal));
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_found() {
        let mut sealed = Vec::new();
        seal().seal(0, b"", b"text", &mut sealed);
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(seal().open(0, b"", &bad), Err(BrokenSeal));
        }
        for length in 0..sealed.len() {
            assert_eq!(seal().open(0, b"", &sealed[..length]), Err(BrokenSeal));
        }
    }
}
