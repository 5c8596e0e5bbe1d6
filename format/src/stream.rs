//! Values one after another, read from bytes that come piece by piece.
//!
//! Listings and the extents of large files are such streams: no length in front, each value in
//! postcard's encoding, the end is the end of the bytes.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use thiserror::Error;

/// No value has a longer encoding; an entry with the most attributes that Linux lists has less.
const VALUE_BYTES_MAX: usize = 16 << 20;
/// From this length on, a value that is not whole is not tried again for each few bytes more:
/// that would take time without end.
const PATIENT_BYTES: usize = 64 << 10;

/// The bytes of a stream end in the middle of a value, or make no sense.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the stream is damaged after {values} values")]
pub struct DamagedStream {
    /// How many values could be read.
    pub values: u64,
}

/// Reads a stream of values.
#[derive(Debug)]
pub struct Decoder<T> {
    bytes: Vec<u8>,
    start: usize,
    values: u64,
    /// The next value has not been whole in fewer bytes than this.
    wanted: usize,
    has_ended: bool,
    value: PhantomData<fn() -> T>,
}

impl<T> Default for Decoder<T> {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            values: 0,
            wanted: 0,
            has_ended: false,
            value: PhantomData,
        }
    }
}

impl<T: DeserializeOwned> Decoder<T> {
    /// Adds bytes at the end of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next value; `None` when the bytes so far do not hold a whole one.
    pub fn value(&mut self) -> Result<Option<T>, DamagedStream> {
        let rest = self.bytes.get(self.start..).unwrap_or_default();
        if rest.is_empty() || rest.len() < self.wanted && !self.has_ended {
            return Ok(None);
        }
        // An error may only mean that the rest of the value is still to come.
        match postcard::take_from_bytes(rest) {
            Ok((value, tail)) => {
                self.start = self.bytes.len().saturating_sub(tail.len());
                self.values = self.values.saturating_add(1);
                self.wanted = 0;
                Ok(Some(value))
            }
            Err(_) if rest.len() < VALUE_BYTES_MAX => {
                if rest.len() >= PATIENT_BYTES {
                    self.wanted = rest.len().saturating_add(rest.len() / 4);
                }
                Ok(None)
            }
            Err(_) => Err(self.damaged()),
        }
    }

    /// No more bytes come: whatever is whole is given out now. Whether that was news.
    pub fn end(&mut self) -> bool {
        !std::mem::replace(&mut self.has_ended, true)
    }

    /// Whether the stream may end here: after a whole value. Asked after [`Decoder::end`].
    pub fn finish(&self) -> Result<(), DamagedStream> {
        if self.start == self.bytes.len() { Ok(()) } else { Err(self.damaged()) }
    }

    fn damaged(&self) -> DamagedStream {
        DamagedStream { values: self.values }
    }
}

/// Appends one value to the bytes of a stream.
pub fn write<T: serde::Serialize>(value: &T, stream: &mut Vec<u8>) {
    // Writing to memory fails for types that serde cannot describe only; these it can.
    let written = postcard::to_extend(value, Appender(stream));
    debug_assert!(written.is_ok());
}

struct Appender<'a>(&'a mut Vec<u8>);

impl Extend<u8> for Appender<'_> {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        self.0.extend(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_out_however_the_bytes_are_split() {
        let values: Vec<String> = (0..50).map(|n| "x".repeat(n * 7)).collect();
        let mut bytes = Vec::new();
        for value in &values {
            write(value, &mut bytes);
        }
        for size in [1, 3, 100, bytes.len()] {
            let (mut decoder, mut read) = (Decoder::<String>::default(), Vec::new());
            for part in bytes.chunks(size) {
                decoder.feed(part);
                while let Some(value) = decoder.value().unwrap() {
                    read.push(value);
                }
            }
            assert_eq!(read, values);
            assert_eq!(decoder.finish(), Ok(()));
        }
    }

    #[test]
    fn a_long_value_that_comes_in_small_parts_is_whole_at_the_end() {
        let (mut bytes, value) = (Vec::new(), "x".repeat(300_000));
        write(&value, &mut bytes);
        let (mut decoder, mut read) = (Decoder::<String>::default(), None);
        for part in bytes.chunks(100) {
            decoder.feed(part);
            read = read.or(decoder.value().unwrap());
        }
        assert!(decoder.end() && !decoder.end());
        assert_eq!(read.or(decoder.value().unwrap()), Some(value));
        assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn a_torn_stream_does_not_finish() {
        let mut bytes = Vec::new();
        write(&"whole".to_owned(), &mut bytes);
        write(&"torn".to_owned(), &mut bytes);
        let mut decoder = Decoder::<String>::default();
        decoder.feed(&bytes[..bytes.len() - 1]);
        assert_eq!(decoder.value().unwrap().as_deref(), Some("whole"));
        assert_eq!(decoder.value(), Ok(None));
        assert_eq!(decoder.finish(), Err(DamagedStream { values: 1 }));
    }

    #[test]
    fn a_value_without_end_is_refused() {
        let mut decoder = Decoder::<Vec<u8>>::default();
        decoder.feed(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
        decoder.feed(&vec![0; VALUE_BYTES_MAX]);
        assert!(decoder.value().is_err());
    }
}
