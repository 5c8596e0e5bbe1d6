//! The sieve on 512-bit vectors: a group in four of them.
#![allow(unsafe_code, reason = "unaligned vector loads, and calls of code for AVX-512, are unsafe")]

use std::arch::x86_64::{
    __m512i, __mmask16, _mm512_add_epi32, _mm512_loadu_si512, _mm512_madd_epi16,
    _mm512_maskz_set1_epi32, _mm512_or_si512, _mm512_set1_epi32, _mm512_test_epi8_mask,
    _mm512_testn_epi32_mask,
};

use super::prefetch::prefetch;
use super::{Found, GROUP, GROUP_BYTES, Group, MASK, Set, Sieve, group_bytes};

/// The first whole group from `start` on with a candidate.
pub(super) fn skip_or_find(sieve: &Sieve, data: &[u8], start: usize) -> Found {
    assert_eq!(sieve.set, Set::Avx512);
    // SAFETY: the set exists only where the processor was asked for these features.
    unsafe { find(sieve, data, start) }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn find(sieve: &Sieve, data: &[u8], mut start: usize) -> Found {
    let [k0, k1, k2, k3] = sieve.factors;
    let factors = [pair(k0, k1), pair(k2, k3)];
    let offset = _mm512_set1_epi32(sieve.offset.cast_signed());
    while let Some(bytes) = group_bytes(data, start) {
        prefetch(bytes);
        let passed = [
            quarter::<0, 4>(bytes, factors, offset),
            quarter::<1, 5>(bytes, factors, offset),
            quarter::<2, 6>(bytes, factors, offset),
            quarter::<3, 7>(bytes, factors, offset),
        ];
        if passed != [0; 4] {
            return Found::Group(Group { start, passed: interleave(passed) });
        }
        start = start.saturating_add(GROUP);
    }
    Found::NothingBefore(start)
}

#[target_feature(enable = "avx512f")]
fn pair(low: i16, high: i16) -> __m512i {
    let pair = u32::from(low.cast_unsigned()) | (u32::from(high.cast_unsigned()) << 16);
    _mm512_set1_epi32(pair.cast_signed())
}

// Every fourth position: whose 8 bytes begin at `LOW`, four after that, and so on.
#[target_feature(enable = "avx512f,avx512bw")]
fn quarter<const LOW: usize, const HIGH: usize>(
    bytes: &[u8; GROUP_BYTES],
    [low, high]: [__m512i; 2],
    offset: __m512i,
) -> __mmask16 {
    let low = _mm512_madd_epi16(load::<LOW>(bytes), low);
    let high = _mm512_madd_epi16(load::<HIGH>(bytes), high);
    let sum = _mm512_add_epi32(_mm512_add_epi32(low, offset), high);
    _mm512_testn_epi32_mask(sum, _mm512_set1_epi32(MASK.cast_signed()))
}

#[target_feature(enable = "avx512f")]
fn load<const AT: usize>(bytes: &[u8; GROUP_BYTES]) -> __m512i {
    const { assert!(AT + size_of::<__m512i>() <= GROUP_BYTES) };
    // SAFETY: the 64 bytes at `AT` lie within the array, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().add(AT).cast()) }
}

// The four quarters in the order of their positions: byte by byte, then a bit for each.
#[target_feature(enable = "avx512f,avx512bw")]
fn interleave([a, b, c, d]: [__mmask16; 4]) -> u64 {
    let ab = _mm512_or_si512(
        _mm512_maskz_set1_epi32(a, 0x0000_00ff),
        _mm512_maskz_set1_epi32(b, 0x0000_ff00),
    );
    let cd = _mm512_or_si512(
        _mm512_maskz_set1_epi32(c, 0x00ff_0000),
        _mm512_maskz_set1_epi32(d, 0x7f00_0000),
    );
    let all = _mm512_or_si512(ab, cd);
    _mm512_test_epi8_mask(all, all)
}
