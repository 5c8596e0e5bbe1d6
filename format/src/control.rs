//! Control objects: small sealed records such as outcomes and index segments.
//!
//! See docs/format.md#control-objects.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::Digest;
use crate::keys::Keys;
use crate::names::ObjectName;
use crate::seal::{BrokenSeal, Seal};

const MAGIC: [u8; 8] = *b"SPctrl\0\0";
const HEADER_BYTES: usize = MAGIC.len() + 32 + 32;
/// No control object has more plaintext: an index segment of a million chunks has 40 MiB.
const PLAINTEXT_BYTES_MAX: u64 = 1 << 30;
const LEVEL: i32 = 3;

/// Why a control object cannot be read.
#[derive(Debug, Error)]
pub enum ControlError {
    /// It opened, and what is inside makes no sense to this version.
    #[error("the object's content is not understood")]
    Content(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is too short, or something else altogether.
    #[error("the object is torn, or not a control object")]
    Malformed,
    /// It is not what was written under this name.
    #[error("the object was altered, or belongs elsewhere")]
    Seal(#[from] BrokenSeal),
}

/// Names the control object that came before, and what was in it: nobody can alter, drop or swap
/// an object that another one links to. See docs/format.md#links.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Link {
    /// The object.
    pub object: ObjectName,
    /// The digest of its bytes as they are stored.
    pub digest: Digest,
}

/// The link to the control object `name` with these stored bytes.
pub fn link(keys: &Keys, name: ObjectName, bytes: &[u8]) -> Link {
    Link { object: name, digest: keys.digest(bytes) }
}

/// The bytes of the control object `name` with this content.
///
/// `random` makes the object's key its own even where the same content is sealed twice.
pub fn seal<T: Serialize>(
    keys: &Keys,
    name: ObjectName,
    content: &T,
    random: [u8; 16],
) -> Result<Vec<u8>, ControlError> {
    let plaintext = encode(name, content)?;
    let plaintext = zstd::bulk::compress(&plaintext, LEVEL).map_err(content_error)?;
    let name = name.to_string();
    let salt = keys.salt([name.as_bytes(), &random, &plaintext]);
    let seal = Seal::new(keys, &salt);
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&salt);
    bytes.extend_from_slice(seal.commitment());
    seal.seal(0, &binding(keys, &name), &plaintext, &mut bytes);
    Ok(bytes)
}

/// The content of the control object `name`.
pub fn open<T: DeserializeOwned>(
    keys: &Keys,
    name: ObjectName,
    bytes: &[u8],
) -> Result<T, ControlError> {
    let (header, sealed) = bytes.split_at_checked(HEADER_BYTES).ok_or(ControlError::Malformed)?;
    let (magic, rest) = header.split_at(MAGIC.len());
    let (salt, commitment) = rest.split_at(32);
    let salt = salt.try_into().map_err(|_| ControlError::Malformed)?;
    if magic != MAGIC {
        return Err(ControlError::Malformed);
    }
    let seal = Seal::new(keys, &salt);
    seal.check(commitment)?;
    let compressed = seal.open(0, &binding(keys, &name.to_string()), sealed)?;
    let plaintext = decompress(&compressed, PLAINTEXT_BYTES_MAX).map_err(content_error)?;
    decode(name, &plaintext)
}

// The index is most of the metadata and for machines alone; all else should be readable by hand.
fn encode<T: Serialize>(name: ObjectName, content: &T) -> Result<Vec<u8>, ControlError> {
    match name {
        ObjectName::Index(..) => postcard::to_allocvec(content).map_err(content_error),
        _ => serde_json::to_vec(content).map_err(content_error),
    }
}

fn decode<T: DeserializeOwned>(name: ObjectName, plaintext: &[u8]) -> Result<T, ControlError> {
    match name {
        ObjectName::Index(..) => postcard::from_bytes(plaintext).map_err(content_error),
        _ => serde_json::from_slice(plaintext).map_err(content_error),
    }
}

fn content_error(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ControlError {
    ControlError::Content(source.into())
}

fn decompress(compressed: &[u8], bytes_max: u64) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut plaintext = Vec::new();
    let mut decoder = zstd::stream::Decoder::new(compressed)?.take(bytes_max);
    decoder.read_to_end(&mut plaintext)?;
    // What is left over is not to be read as if it were all.
    match decoder.into_inner().read(&mut [0])? {
        0 => Ok(plaintext),
        _ => Err(std::io::ErrorKind::FileTooLarge.into()),
    }
}

fn binding(keys: &Keys, name: &str) -> Vec<u8> {
    let mut bound = b"stillpoint control".to_vec();
    bound.extend_from_slice(keys.repository().as_bytes());
    bound.extend_from_slice(name.as_bytes());
    bound
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PointId, RepositoryId};
    use crate::keys::RootKey;

    const NAME: ObjectName = ObjectName::Outcome(PointId::new([4; 16]));

    fn keys() -> Keys {
        Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([2; 16]))
    }

    #[test]
    fn an_object_opens_under_its_own_name_only() {
        let bytes = seal(&keys(), NAME, &["a", "b"], [0; 16]).unwrap();
        assert_eq!(open::<Vec<String>>(&keys(), NAME, &bytes).unwrap(), ["a", "b"]);
        let other = ObjectName::Outcome(PointId::new([5; 16]));
        assert!(matches!(open::<Vec<String>>(&keys(), other, &bytes), Err(ControlError::Seal(_))));
    }

    #[test]
    fn a_link_tells_altered_and_other_objects() {
        let bytes = seal(&keys(), NAME, &17, [0; 16]).unwrap();
        let right = link(&keys(), NAME, &bytes);
        let again = seal(&keys(), NAME, &17, [1; 16]).unwrap();
        assert_ne!(link(&keys(), NAME, &again), right);
        let json = serde_json::to_string(&right).unwrap();
        assert_eq!(serde_json::from_str::<Link>(&json).unwrap(), right);
        let encoded = postcard::to_allocvec(&right).unwrap();
        assert_eq!(postcard::from_bytes::<Link>(&encoded).unwrap(), right);
    }

    #[test]
    fn a_text_beyond_the_limit_is_refused_and_not_cut() {
        let compressed = zstd::bulk::compress(&[7; 1000], LEVEL).unwrap();
        assert_eq!(decompress(&compressed, 1000).unwrap(), [7; 1000]);
        let refused = decompress(&compressed, 999).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn every_flipped_byte_and_every_truncation_is_found() {
        let bytes = seal(&keys(), NAME, &17, [0; 16]).unwrap();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(open::<u32>(&keys(), NAME, &bad).is_err(), "byte {at}");
            assert!(open::<u32>(&keys(), NAME, &bytes[..at]).is_err(), "{at} bytes");
        }
    }
}
