//! The sieve without instructions of its own, written so that a compiler finds vectors in it.

use super::{BYTES, Found, GROUP, GROUP_BYTES, Group, MASK, Sieve, group_bytes};

/// The first whole group from `start` on with a candidate.
pub(super) fn skip_or_find(sieve: &Sieve, data: &[u8], mut start: usize) -> Found {
    while let Some(bytes) = group_bytes(data, start) {
        if sieve.any_passes(bytes) {
            return Found::Group(Group { start, passed: sieve.passed(bytes) });
        }
        start = start.saturating_add(GROUP);
    }
    Found::NothingBefore(start)
}

/// The group at `start`, of which the data has less than a whole one, if it has a candidate.
pub(super) fn last_group(sieve: &Sieve, data: &[u8], start: usize) -> Option<Group> {
    let passed = sieve.passed(data.get(start.checked_sub(BYTES)?..)?);
    (passed != 0).then_some(Group { start, passed })
}

impl Sieve {
    // Every fourth position, four times: no lane looks at the bytes of its neighbour.
    fn any_passes(&self, bytes: &[u8; GROUP_BYTES]) -> bool {
        (0..4).any(|first| {
            let quarter = bytes.get(first..).unwrap_or_default();
            let (low, high) = (quarter.as_chunks().0, quarter.get(4..).unwrap_or_default());
            let halves = low.iter().zip(high.as_chunks().0).take(GROUP / 4);
            halves.fold(false, |any, (low, high)| any | self.passes(*low, *high))
        })
    }

    // One bit for each run of 8 bytes, at most 64.
    fn passed(&self, bytes: &[u8]) -> u64 {
        let bits = bytes.windows(BYTES).zip(0_u32..64);
        bits.fold(0, |passed, (bytes, bit)| {
            let [low, high] = bytes.as_chunks().0 else { return passed };
            passed | u64::from(self.passes(*low, *high)).wrapping_shl(bit)
        })
    }

    fn passes(&self, low: [u8; 4], high: [u8; 4]) -> bool {
        let [k0, k1, k2, k3] = self.factors;
        let sum = products(low, k0, k1).wrapping_add(products(high, k2, k3)).cast_unsigned();
        sum.wrapping_add(self.offset) & MASK == 0
    }
}

fn products([a, b, c, d]: [u8; 4], low: i16, high: i16) -> i32 {
    let product =
        |low, high, k| i32::from(i16::from_le_bytes([low, high])).wrapping_mul(i32::from(k));
    product(a, b, low).wrapping_add(product(c, d, high))
}
