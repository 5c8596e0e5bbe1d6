//! The text of a key file: 32 random bytes and a checksum, in one line.
//!
//! See docs/format.md#key-files.

use std::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

/// What a key file begins with, up to the number of its version.
const FAMILY: &str = "stillpoint-key-";
/// The version that this program knows.
const VERSION: &str = "1";
/// How many bytes of the SHA-256 are the checksum.
const CHECKSUM_BYTES: usize = 4;

/// What a machine keeps in a file to unlock a repository.
#[derive(Clone)]
pub struct KeyFile(Zeroizing<[u8; 32]>);

/// Why a text is not that of a key file.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ParseKeyFileError {
    /// It begins like a key file, and then it was cut or altered.
    #[error("the key file is damaged: its checksum does not fit")]
    Damaged,
    /// It is something else.
    #[error("the file is no key file of stillpoint")]
    Foreign,
    /// It is of a version that this program does not know.
    #[error("the key file was made by a newer version of stillpoint")]
    Newer,
}

impl KeyFile {
    /// The key made of these bytes, which must be random.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// What stands in the file, with the end of its line.
    pub fn text(&self) -> Zeroizing<String> {
        let mut line = Zeroizing::new(String::with_capacity(128));
        line.push_str(FAMILY);
        line.push_str(VERSION);
        line.push(' ');
        push_hex(&mut line, self.0.as_slice());
        let checksum = checksum(&line);
        line.push(' ');
        push_hex(&mut line, &checksum);
        line.push('\n');
        line
    }

    /// Reads what stands in a file.
    pub fn parse(text: &[u8]) -> Result<Self, ParseKeyFileError> {
        let line = std::str::from_utf8(text).map_err(|_| ParseKeyFileError::Foreign)?.trim();
        let rest = line.strip_prefix(FAMILY).ok_or(ParseKeyFileError::Foreign)?;
        let (version, rest) = rest.split_once(' ').ok_or(ParseKeyFileError::Damaged)?;
        if version != VERSION {
            return Err(ParseKeyFileError::Newer);
        }
        let (digits, _) = rest.split_once(' ').ok_or(ParseKeyFileError::Damaged)?;
        let mut bytes = Zeroizing::new([0; 32]);
        read_hex(digits, bytes.as_mut_slice()).ok_or(ParseKeyFileError::Damaged)?;
        let key = Self(bytes);
        // One key has one text, so this compares the checksum, too.
        if key.text().trim_end() == line { Ok(key) } else { Err(ParseKeyFileError::Damaged) }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyFile(..)")
    }
}

fn checksum(line: &str) -> [u8; CHECKSUM_BYTES] {
    let hash = Sha256::digest(line.as_bytes());
    hash.first_chunk().copied().unwrap_or_default()
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
}

fn read_hex(digits: &str, bytes: &mut [u8]) -> Option<()> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    if pairs.len() != bytes.len() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_survives_its_text() {
        let key = KeyFile::new(std::array::from_fn(|n| n as u8));
        let text = key.text();
        assert!(text.starts_with("stillpoint-key-1 000102"), "{}", *text);
        assert_eq!(KeyFile::parse(text.as_bytes()).unwrap().as_bytes(), key.as_bytes());
        let windows = text.replace('\n', "\r\n");
        assert!(KeyFile::parse(windows.as_bytes()).is_ok());
    }

    #[test]
    fn every_altered_character_and_every_cut_is_found() {
        let text = KeyFile::new([0x5a; 32]).text();
        let line = text.trim_end().as_bytes();
        for at in 0..line.len() {
            let mut bad = line.to_vec();
            bad[at] = if bad[at] == b'0' { b'1' } else { b'0' };
            assert!(KeyFile::parse(&bad).is_err(), "at {at}");
            assert!(KeyFile::parse(&line[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn other_files_are_told_from_damaged_ones() {
        let refused = |text: &[u8]| KeyFile::parse(text).unwrap_err();
        assert_eq!(refused(b""), ParseKeyFileError::Foreign);
        assert_eq!(refused(b"correct horse\n"), ParseKeyFileError::Foreign);
        assert_eq!(refused(&[0xff; 40]), ParseKeyFileError::Foreign);
        assert_eq!(refused(b"stillpoint-key-2 x y"), ParseKeyFileError::Newer);
        assert_eq!(refused(b"stillpoint-key-1 00 00"), ParseKeyFileError::Damaged);
    }
}
