//! The first filter: a sum over the last 8 bytes, at every position of the data.
//!
//! The bytes are four signed 16-bit numbers, so that one `vpmaddwd` makes the products and half
//! of the sums for every fourth position; four unaligned loads give the positions between.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
#[cfg(target_arch = "x86_64")]
mod prefetch;

use std::fmt;

/// How many bytes the first filter looks at.
pub(super) const BYTES: usize = 8;
/// How many positions are tried at once.
const GROUP: usize = 64;
/// The bytes that the positions of a group look at, all together.
const GROUP_BYTES: usize = GROUP + BYTES - 1;
/// The filter passes where these ten bits of its sum are zero.
const MASK: u32 = 0x03ff_0000 >> 4;

/// The instructions that the first filter runs on. All find the same cuts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Instructions(Set);

// Private, so that a set exists only where the processor has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Instructions {
    /// Those that this processor has, the fastest first. There is at least one.
    pub fn available() -> impl Iterator<Item = Self> {
        let here = |set: &Set| match set {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => {
                is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
            }
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => is_x86_feature_detected!("avx2"),
            Set::Portable => true,
        };
        let sets = [
            #[cfg(target_arch = "x86_64")]
            Set::Avx512,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2,
            Set::Portable,
        ];
        sets.into_iter().filter(here).map(Self)
    }
}

impl fmt::Display for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "AVX2",
            Set::Portable => "portable",
        })
    }
}

/// Finds the positions that the second filter is asked about.
#[derive(Clone)]
pub(super) struct Sieve {
    /// For the bytes 8 and 7, 6 and 5, 4 and 3, 2 and 1 before a position.
    pub(super) factors: [i16; 4],
    pub(super) offset: u32,
    set: Set,
}

impl Sieve {
    /// The sieve with these secret factors and offset, on the fastest instructions there are.
    pub(super) fn new(secret: [u8; 12]) -> Self {
        let [a0, a1, b0, b1, c0, c1, d0, d1, offset @ ..] = secret;
        // Odd factors, so that no bit of the input is lost.
        let factor = |low, high| i16::from_le_bytes([low, high]) | 1;
        Self {
            factors: [factor(a0, a1), factor(b0, b1), factor(c0, c1), factor(d0, d1)],
            offset: u32::from_le_bytes(offset),
            set: Instructions::available().next().map_or(Set::Portable, |Instructions(set)| set),
        }
    }

    /// The same sieve on these instructions.
    pub(super) fn on(self, Instructions(set): Instructions) -> Self {
        Self { set, ..self }
    }

    /// The first group with a candidate among the positions `from` to `to`, the last one included.
    pub(super) fn next_group(&self, data: &[u8], from: usize, to: usize) -> Option<Group> {
        let data = data.get(..to)?;
        let start = match self.set {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => avx512::skip_or_find(self, data, from),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => avx2::skip_or_find(self, data, from),
            Set::Portable => portable::skip_or_find(self, data, from),
        };
        match start {
            Found::Group(group) => Some(group),
            Found::NothingBefore(rest) => portable::last_group(self, data, rest),
        }
    }
}

/// What comes of trying the whole groups of some data.
enum Found {
    Group(Group),
    /// No position before this one is a candidate; from it on there is less than a group.
    NothingBefore(usize),
}

/// Positions next to each other, at least one of which passed.
pub(super) struct Group {
    /// The first position.
    pub(super) start: usize,
    // The lowest bit stands for the first position.
    passed: u64,
}

impl Group {
    /// The position after the last one.
    pub(super) fn end(&self) -> usize {
        self.start.saturating_add(GROUP)
    }

    /// The positions that passed, in order.
    pub(super) fn candidates(&self) -> impl Iterator<Item = usize> {
        let (start, mut left) = (self.start, self.passed);
        std::iter::from_fn(move || {
            let next = (left != 0).then(|| start.saturating_add(left.trailing_zeros() as usize));
            left &= left.wrapping_sub(1);
            next
        })
    }
}

// The bytes that a group looks at, if there are so many.
fn group_bytes(data: &[u8], start: usize) -> Option<&[u8; GROUP_BYTES]> {
    data.get(start.checked_sub(BYTES)?..)?.first_chunk()
}
