//! File names and paths as the kernel has them: bytes that need not be UTF-8.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A name or path of arbitrary bytes.
///
/// Its text form is UTF-8 with `\\` for a backslash and `\xNN` for every byte that is a control
/// character or no part of valid UTF-8, so it can be printed, stored in JSON and read back.
#[derive(Clone, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RawPath(Vec<u8>);

/// A text that does not follow the escapes of [`RawPath`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{0}` has a backslash that starts neither `\\\\` nor `\\xNN`")]
pub struct ParseRawPathError(String);

impl RawPath {
    /// The path made of these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes as the kernel has them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// This path with one more component.
    #[must_use]
    pub fn join(&self, name: &[u8]) -> Self {
        let mut bytes = self.0.clone();
        if !bytes.is_empty() && !bytes.ends_with(b"/") {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        Self(bytes)
    }
}

impl fmt::Display for RawPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.utf8_chunks() {
            for c in part.valid().chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    c if c.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(c))?,
                    c => write!(f, "{c}")?,
                }
            }
            part.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for RawPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawPath({self})")
    }
}

impl FromStr for RawPath {
    type Err = ParseRawPathError;

    fn from_str(text: &str) -> Result<Self, ParseRawPathError> {
        let refused = || ParseRawPathError(text.to_owned());
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            if byte != b'\\' {
                bytes.push(byte);
            } else if let Some(tail) = rest.strip_prefix(b"\\") {
                bytes.push(b'\\');
                rest = tail;
            } else {
                let digits =
                    rest.strip_prefix(b"x").and_then(|r| r.get(..2)).ok_or_else(refused)?;
                let digits = std::str::from_utf8(digits).map_err(|_| refused())?;
                bytes.push(u8::from_str_radix(digits, 16).map_err(|_| refused())?);
                rest = rest.get(3..).unwrap_or_default();
            }
        }
        Ok(Self(bytes))
    }
}

impl Serialize for RawPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for RawPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        } else {
            Vec::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_text_form() {
        let path = RawPath::new((0..=255).collect::<Vec<u8>>());
        assert_eq!(path.to_string().parse(), Ok(path));
    }

    #[test]
    fn ordinary_names_read_as_they_are() {
        assert_eq!(RawPath::new("srv/Übung.txt").to_string(), "srv/Übung.txt");
        assert_eq!(RawPath::new(b"a\nb\xff\\".to_vec()).to_string(), "a\\x0ab\\xff\\\\");
    }

    #[test]
    fn a_lonely_backslash_is_refused() {
        for text in ["\\", "\\q", "\\x", "\\x1", "\\xzz", "\\xé"] {
            assert!(text.parse::<RawPath>().is_err(), "{text}");
        }
    }
}
