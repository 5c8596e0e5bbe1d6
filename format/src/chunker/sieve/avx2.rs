//! The sieve on 256-bit vectors: a group in eight of them.
#![allow(unsafe_code, reason = "unaligned vector loads, and calls of code for AVX2, are unsafe")]

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_cmpeq_epi32, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi32,
    _mm256_setzero_si256, _mm256_testz_si256,
};

use super::prefetch::prefetch;
use super::{Found, GROUP, GROUP_BYTES, Group, MASK, Set, Sieve, group_bytes};

/// The first whole group from `start` on with a candidate.
pub(super) fn skip_or_find(sieve: &Sieve, data: &[u8], start: usize) -> Found {
    assert_eq!(sieve.set, Set::Avx2);
    // SAFETY: the set exists only where the processor was asked for this feature.
    unsafe { find(sieve, data, start) }
}

#[target_feature(enable = "avx2")]
fn find(sieve: &Sieve, data: &[u8], mut start: usize) -> Found {
    let [k0, k1, k2, k3] = sieve.factors;
    let factors = [pair(k0, k1), pair(k2, k3)];
    let offset = _mm256_set1_epi32(sieve.offset.cast_signed());
    while let Some(bytes) = group_bytes(data, start) {
        prefetch(bytes);
        let first = [
            eighth::<0, 4>(bytes, factors, offset),
            eighth::<1, 5>(bytes, factors, offset),
            eighth::<2, 6>(bytes, factors, offset),
            eighth::<3, 7>(bytes, factors, offset),
        ];
        let second = [
            eighth::<32, 36>(bytes, factors, offset),
            eighth::<33, 37>(bytes, factors, offset),
            eighth::<34, 38>(bytes, factors, offset),
            eighth::<35, 39>(bytes, factors, offset),
        ];
        let any = _mm256_or_si256(any(first), any(second));
        if _mm256_testz_si256(any, any) == 0 {
            let passed = interleave(first) | (interleave(second) << 32);
            return Found::Group(Group { start, passed });
        }
        start = start.saturating_add(GROUP);
    }
    Found::NothingBefore(start)
}

#[target_feature(enable = "avx2")]
fn pair(low: i16, high: i16) -> __m256i {
    let pair = u32::from(low.cast_unsigned()) | (u32::from(high.cast_unsigned()) << 16);
    _mm256_set1_epi32(pair.cast_signed())
}

// Every fourth position of a half: whose 8 bytes begin at `LOW`, four after that, and so on.
#[target_feature(enable = "avx2")]
fn eighth<const LOW: usize, const HIGH: usize>(
    bytes: &[u8; GROUP_BYTES],
    [low, high]: [__m256i; 2],
    offset: __m256i,
) -> __m256i {
    let low = _mm256_madd_epi16(load::<LOW>(bytes), low);
    let high = _mm256_madd_epi16(load::<HIGH>(bytes), high);
    let sum = _mm256_add_epi32(_mm256_add_epi32(low, offset), high);
    let asked = _mm256_and_si256(sum, _mm256_set1_epi32(MASK.cast_signed()));
    _mm256_cmpeq_epi32(asked, _mm256_setzero_si256())
}

#[target_feature(enable = "avx2")]
fn load<const AT: usize>(bytes: &[u8; GROUP_BYTES]) -> __m256i {
    const { assert!(AT + size_of::<__m256i>() <= GROUP_BYTES) };
    // SAFETY: the 32 bytes at `AT` lie within the array, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().add(AT).cast()) }
}

#[target_feature(enable = "avx2")]
fn any([a, b, c, d]: [__m256i; 4]) -> __m256i {
    _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d))
}

// The four eighths of a half in the order of their positions: one byte of each number is kept.
#[target_feature(enable = "avx2")]
fn interleave([a, b, c, d]: [__m256i; 4]) -> u64 {
    let a = _mm256_and_si256(a, _mm256_set1_epi32(0x0000_00ff));
    let b = _mm256_and_si256(b, _mm256_set1_epi32(0x0000_ff00));
    let c = _mm256_and_si256(c, _mm256_set1_epi32(0x00ff_0000));
    let d = _mm256_and_si256(d, _mm256_set1_epi32(i32::MIN));
    u64::from(_mm256_movemask_epi8(any([a, b, c, d])).cast_unsigned())
}
