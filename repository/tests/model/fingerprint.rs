//! States that were seen, without the states.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::state::State;

/// 128 bits for a state: of ten million states two are alike with a chance of one in 10^24.
pub(crate) fn fingerprint(state: &State) -> u128 {
    let mut hasher = Lanes { low: 0x9e37_79b9_7f4a_7c15, high: 0xc2b2_ae3d_27d4_eb4f };
    state.hash(&mut hasher);
    u128::from(hasher.finish()) | u128::from(mix(hasher.high ^ hasher.low.rotate_left(31))) << 64
}

#[derive(Debug)]
struct Lanes {
    low: u64,
    high: u64,
}

impl Hasher for Lanes {
    fn finish(&self) -> u64 {
        mix(self.low)
    }

    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..piece.len()].copy_from_slice(piece);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.low = (self.low ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29);
        self.high = mix(self.high.wrapping_add(word).wrapping_add(0x9e37_79b9_7f4a_7c15));
    }
}

fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// From a fingerprint, which needs no more hashing, to the number of its state.
pub(crate) type Known = HashMap<u128, u32, BuildHasherDefault<AsIs>>;

#[derive(Debug, Default)]
pub(crate) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u128(&mut self, print: u128) {
        self.0 = print as u64;
    }
}
