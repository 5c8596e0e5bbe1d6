//! Directory listings as bytes: a [`stream`] of entries in the order of their names.
//!
//! See docs/format.md#trees.

use thiserror::Error;

use crate::raw::RawPath;
use crate::stream::{self, DamagedStream};
use crate::tree::{Entry, Kind};

/// Why the bytes of a listing are none.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ListingError {
    /// The bytes end in the middle of an entry, or make no sense.
    #[error("the listing is damaged after {entries} entries")]
    Damaged {
        /// How many entries could be read.
        entries: u64,
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

impl From<DamagedStream> for ListingError {
    fn from(damaged: DamagedStream) -> Self {
        Self::Damaged { entries: damaged.values }
    }
}

/// Appends one entry to the bytes of a listing.
pub fn write(entry: &Entry, listing: &mut Vec<u8>) {
    stream::write(entry, listing);
}

/// Reads the entries of a directory from bytes that come piece by piece, and checks them.
#[derive(Debug, Default)]
pub struct Decoder {
    entries: stream::Decoder<Entry>,
    last: RawPath,
}

impl Decoder {
    /// Adds bytes at the end of the listing.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.entries.feed(bytes);
    }

    /// The next entry; `None` when the bytes so far do not hold a whole one.
    pub fn entry(&mut self) -> Result<Option<Entry>, ListingError> {
        let Some(entry) = self.entries.value()? else { return Ok(None) };
        check(&entry)?;
        if matches!(entry.name.as_bytes(), b"" | b"." | b"..") || has_separator(&entry.name) {
            return Err(ListingError::Name(entry.name));
        }
        if entry.name <= self.last {
            return Err(ListingError::Order(entry.name));
        }
        self.last = entry.name.clone();
        Ok(Some(entry))
    }

    /// No more bytes come: whatever is whole is given out now. Whether that was news.
    pub fn end(&mut self) -> bool {
        self.entries.end()
    }

    /// Whether the listing may end here: after a whole entry. Asked after [`Decoder::end`].
    pub fn finish(&self) -> Result<(), ListingError> {
        Ok(self.entries.finish()?)
    }
}

/// The entry of a volume's root: the only one of its listing, and without a name.
pub fn read_root(listing: &[u8]) -> Result<Entry, ListingError> {
    let mut entries = stream::Decoder::<Entry>::default();
    entries.feed(listing);
    let root = entries.value()?.ok_or(ListingError::Damaged { entries: 0 })?;
    entries.finish()?;
    check(&root)?;
    if root.name.as_bytes().is_empty() { Ok(root) } else { Err(ListingError::Name(root.name)) }
}

fn check(entry: &Entry) -> Result<(), ListingError> {
    let stamp = entry.metadata.stamp.map(|stamp| stamp.changed).unwrap_or_default();
    if [entry.metadata.modified, stamp].iter().any(|time| time.nanoseconds >= 1_000_000_000) {
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
    use crate::tree::{Content, FileTime, Metadata};

    fn read(bytes: &[u8]) -> Result<Vec<Entry>, ListingError> {
        let (mut decoder, mut entries) = (Decoder::default(), Vec::new());
        decoder.feed(bytes);
        while let Some(entry) = decoder.entry()? {
            entries.push(entry);
        }
        decoder.finish().map(|()| entries)
    }

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
        let kind = Kind::File(Content::default());
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
