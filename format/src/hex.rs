//! Bytes of any number, written in hexadecimal where people read them.

use std::fmt::Write as _;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes whose text form is hexadecimal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Hex(Vec<u8>);

impl Hex {
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::new();
        for byte in &self.0 {
            write!(text, "{byte:02x}").map_err(serde::ser::Error::custom)?;
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits: Option<Vec<u8>> =
            text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
        let digits = digits.ok_or_else(|| D::Error::custom("not a hexadecimal text"))?;
        let (pairs, []) = digits.as_chunks::<2>() else {
            return Err(D::Error::custom("a hexadecimal text of odd length"));
        };
        Ok(Self(pairs.iter().map(|[high, low]| high << 4 | low).collect()))
    }
}
