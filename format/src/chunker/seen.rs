//! The windows that the second filter has refused, so that none is hashed again and again.

use std::ops::Range;

use super::{WINDOW_BYTES, window};

/// How many refused windows are remembered. A repetition is found if its period is not much
/// longer; no longer one is likely to pass nowhere.
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 10;

/// Where windows ended that the second filter refused, by a keyed hash of their bytes.
///
/// Only a hint: what lies at a place is compared before anything is concluded from it, so a place
/// in bytes that have gone, or one that was overwritten, costs a hash and never a cut.
pub(super) struct Seen {
    key: [u64; 8],
    places: [Place; SLOTS],
}

#[derive(Clone, Copy)]
struct Place {
    // Other bits of the hash, which spare most comparisons.
    tag: u32,
    end: u32,
}

impl Seen {
    /// Remembers nothing yet. The key keeps writers of data from filling one slot only.
    pub(super) fn new(key: &[u8; WINDOW_BYTES]) -> Self {
        Self { key: words(key), places: [Place { tag: 0, end: 0 }; SLOTS] }
    }

    /// The first position after `done` that is not refused already, if the one right after it is.
    ///
    /// All positions `done` have been refused. So has the next one, if its window equals the
    /// window of one of them; and so have those that follow, as long as the bytes stay equal.
    /// Otherwise the next one is remembered: its window is about to be tried, and ends the search
    /// if it passes. Positions up to `to` are of interest.
    pub(super) fn refused(&mut self, data: &[u8], done: Range<usize>, to: usize) -> Option<usize> {
        let position = done.end;
        let bytes = window(data, position)?;
        let (slot, tag) = self.slot(bytes);
        let place = self.places.get_mut(slot)?;
        let known = place.end as usize;
        if place.tag == tag && done.contains(&known) && window(data, known) == Some(bytes) {
            let same = common_prefix(data.get(known..to)?, data.get(position..to)?);
            return Some(position.saturating_add(same).saturating_add(1));
        }
        // A position that does not fit becomes a wrong hint.
        *place = Place { tag, end: u32::try_from(position).unwrap_or(0) };
        None
    }

    // Products of pairs (the NH of UMAC): universal under a secret key, and quick.
    fn slot(&self, window: &[u8; WINDOW_BYTES]) -> (usize, u32) {
        let words = words(window);
        let mut sum = 0_u64;
        for (words, keys) in words.as_chunks().0.iter().zip(self.key.as_chunks().0) {
            let ([low, high], [low_key, high_key]) = (*words, *keys);
            let product = low.wrapping_add(low_key).wrapping_mul(high.wrapping_add(high_key));
            sum = sum.wrapping_add(product);
        }
        let [a, b, c, d, rest @ ..] = sum.to_be_bytes();
        let slot = u32::from_be_bytes([a, b, c, d]) >> u32::BITS.saturating_sub(SLOT_BITS);
        (slot as usize, u32::from_be_bytes(rest))
    }
}

fn words(bytes: &[u8; WINDOW_BYTES]) -> [u64; 8] {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    const STEP: usize = 128;
    let steps = a.as_chunks::<STEP>().0.iter().zip(b.as_chunks::<STEP>().0);
    let whole = steps.take_while(|(a, b)| a == b).count().saturating_mul(STEP);
    let rest = a.iter().zip(b).skip(whole).take_while(|(a, b)| a == b).count();
    whole.saturating_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_is_settled_at_its_first_window() {
        for period in [1, 3, 64, 100, 700] {
            let mut data: Vec<u8> = (0..period).map(|i| (i * 7 % 251) as u8).collect();
            data = data.repeat(5000 / period + 2);
            data.truncate(5000);
            data[4000] ^= 1;
            let mut seen = Seen::new(&[3; 64]);
            let first = 200;
            assert_eq!(seen.refused(&data, first..first, 5000), None);
            let again = first + period;
            assert_eq!(seen.refused(&data, first..again, 5000), Some(4001), "{period}");
            assert_eq!(seen.refused(&data, first..again, 3000), Some(3001), "{period}");
        }
    }

    #[test]
    fn a_window_from_before_the_search_proves_nothing() {
        let data = [0; 1000];
        let mut seen = Seen::new(&[3; 64]);
        assert_eq!(seen.refused(&data, 100..100, 1000), None);
        assert_eq!(seen.refused(&data, 200..200, 1000), None);
        assert_eq!(seen.refused(&data, 200..201, 1000), Some(1001));
    }

    #[test]
    fn common_prefixes_are_found_to_the_byte() {
        for length in [0, 1, 127, 128, 129, 300] {
            let (a, mut b) = (vec![5; 400], vec![5; 400]);
            b[length] = 6;
            assert_eq!(common_prefix(&a, &b), length);
            assert_eq!(common_prefix(&a[..length], &b), length);
        }
    }
}
