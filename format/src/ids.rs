//! Names that never repeat: repositories, restore points, packs and chunks.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A text that was meant to be an id and is not.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{text}` is not an id of {digits} hexadecimal digits")]
pub struct ParseIdError {
    text: String,
    digits: usize,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The id made of these bytes.
            pub const fn new(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The bytes of the id.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // At once: a listing has some hundred thousand of them.
                let mut digits = [0; 2 * $bytes];
                for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
                    pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
                }
                f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let mut bytes = [0; $bytes];
                parse_hex(text, &mut bytes)?;
                Ok(Self(bytes))
            }
        }

        // Hexadecimal where people read it, bytes where they do not.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
                } else {
                    <[u8; $bytes]>::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

id! {
    /// Keyed BLAKE3 of a chunk's plaintext. Equal ids mean equal bytes.
    ChunkId, 32
}
id! {
    /// Keyed BLAKE3 over the pages of a file; see [`crate::content`].
    ContentHash, 32
}
id! {
    /// The first half of a keyed BLAKE3 of some bytes that are no chunk: a page, or part of a chunk.
    Digest, 16
}
id! {
    /// One repository, from its creation on.
    RepositoryId, 16
}
id! {
    /// One restore point, and the session that writes it.
    PointId, 16
}
id! {
    /// The random part of the name of a pack or an index segment.
    ObjectId, 16
}
id! {
    /// One way to unlock a repository.
    SlotId, 8
}

// Of a value below 16.
fn hex_digit(value: u8) -> u8 {
    b"0123456789abcdef".get(usize::from(value)).copied().unwrap_or_default()
}

fn parse_hex(text: &str, bytes: &mut [u8]) -> Result<(), ParseIdError> {
    let digits = bytes.len().saturating_mul(2);
    let refused = || ParseIdError { text: text.to_owned(), digits };
    if text.len() != digits || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(refused());
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| refused())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| refused())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let id = PointId::new([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn upper_case_short_and_foreign_texts_are_refused() {
        for text in ["", "ab", &"AB".repeat(16), &"é".repeat(16), &"zz".repeat(16)] {
            assert!(text.parse::<PointId>().is_err(), "{text}");
        }
    }

    #[test]
    fn people_read_hexadecimal_and_machines_bytes() {
        let id = SlotId::new([1; 8]);
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"0101010101010101\"");
        assert_eq!(postcard::to_allocvec(&id).unwrap(), [1; 8]);
    }
}
