//! Directory listings as bytes: entries one after another, each in postcard's encoding.
//!
//! See docs/format.md#trees.

use thiserror::Error;

use crate::raw::RawPath;
use crate::tree::{Entry, Kind};

/// Why the bytes of a listing are none.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ListingError {
    /// The bytes end in the middle of an entry, or make no sense.
    #[error("the listing is damaged after {entries} entries")]
    Damaged {
        /// How many entries could be read.
        entries: usize,
    },
    /// A name that no file can have, or that would lead out of the directory.
    #[error("the listing holds the impossible name `{0}`")]
    Name(RawPath),
    /// The names are not in order, or one is there twice.
    #[error("the listing holds the name `{0}` out of order")]
    Order(RawPath),
    /// A file's time has more than a second's worth of nanoseconds.
    #[error("`{0}` has an impossible time")]
    Time(RawPath),
}

/// Appends one entry to the bytes of a listing.
pub fn write(entry: &Entry, listing: &mut Vec<u8>) {
    // Writing to memory fails for types that serde cannot describe only; these it can.
    listing.extend_from_slice(&postcard::to_allocvec(entry).unwrap_or_default());
}

/// The entries of a directory.
pub fn read(listing: &[u8]) -> Result<Vec<Entry>, ListingError> {
    let entries = decode(listing)?;
    for entry in &entries {
        check(entry)?;
        if matches!(entry.name.as_bytes(), b"" | b"." | b"..") || has_separator(&entry.name) {
            return Err(ListingError::Name(entry.name.clone()));
        }
    }
    match entries.windows(2).find(|pair| matches!(pair, [a, b] if a.name >= b.name)) {
        Some([_, late]) => Err(ListingError::Order(late.name.clone())),
        _ => Ok(entries),
    }
}

/// The entry of a volume's root: the only one of its listing, and without a name.
pub fn read_root(listing: &[u8]) -> Result<Entry, ListingError> {
    let mut entries = decode(listing)?;
    let (Some(root), true) = (entries.pop(), entries.is_empty()) else {
        return Err(ListingError::Damaged { entries: entries.len() });
    };
    check(&root)?;
    if root.name.as_bytes().is_empty() { Ok(root) } else { Err(ListingError::Name(root.name)) }
}

fn decode(mut rest: &[u8]) -> Result<Vec<Entry>, ListingError> {
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (entry, tail) = postcard::take_from_bytes(rest)
            .map_err(|_| ListingError::Damaged { entries: entries.len() })?;
        entries.push(entry);
        rest = tail;
    }
    Ok(entries)
}

fn check(entry: &Entry) -> Result<(), ListingError> {
    if entry.metadata.modified.nanoseconds >= 1_000_000_000 {
        return Err(ListingError::Time(entry.name.clone()));
    }
    match &entry.kind {
        Kind::Symlink { target } if target.as_bytes().contains(&0) => {
            Err(ListingError::Name(target.clone()))
        }
        _ => Ok(()),
    }
}

fn has_separator(name: &RawPath) -> bool {
    name.as_bytes().iter().any(|byte| matches!(byte, b'/' | 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{FileTime, Metadata};

    fn listing(names: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for name in names {
            let name = RawPath::new(*name);
            write(&Entry { name, kind: Kind::Fifo, metadata: Metadata::default() }, &mut bytes);
        }
        bytes
    }

    #[test]
    fn entries_survive_their_bytes() {
        let entries = read(&listing(&["a", "b", "b c"])).unwrap();
        assert_eq!(
            entries.iter().map(|e| e.name.to_string()).collect::<Vec<_>>(),
            ["a", "b", "b c"]
        );
        assert!(read_root(&listing(&[""])).is_ok());
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["", ".", "..", "a/b", "/etc", "a\0b"] {
            assert!(matches!(read(&listing(&[name])), Err(ListingError::Name(_))), "{name}");
        }
    }

    #[test]
    fn names_twice_or_out_of_order_are_refused() {
        assert!(matches!(read(&listing(&["a", "a"])), Err(ListingError::Order(_))));
        assert!(matches!(read(&listing(&["b", "a"])), Err(ListingError::Order(_))));
    }

    #[test]
    fn the_document_has_the_bytes_of_an_entry() {
        let metadata = Metadata {
            mode: 0o644,
            modified: FileTime { seconds: 1, nanoseconds: 0 },
            ..Metadata::default()
        };
        let kind = Kind::File { content: Vec::new() };
        let mut bytes = Vec::new();
        write(&Entry { name: RawPath::new("a"), kind, metadata }, &mut bytes);
        let document = include_str!("../../docs/format.md");
        let example = document.lines().find(|line| line.starts_with("01 61 ")).unwrap();
        let documented: Result<Vec<u8>, _> =
            example.split_whitespace().map(|hex| u8::from_str_radix(hex, 16)).collect();
        assert_eq!(documented.unwrap(), bytes);
    }

    #[test]
    fn torn_listings_are_refused() {
        let bytes = listing(&["a", "b"]);
        let whole = listing(&["a"]).len();
        for length in (1..bytes.len()).filter(|length| *length != whole) {
            assert!(
                matches!(read(&bytes[..length]), Err(ListingError::Damaged { .. })),
                "{length}"
            );
        }
        assert!(read_root(&bytes).is_err() && read_root(&[]).is_err());
    }
}
