//! Brings bytes to the cache before the sieve comes to them: it is faster than memory.
#![allow(unsafe_code, reason = "the instruction takes a pointer")]

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

/// Measured on 64 MiB of noise, MB a second: 5,100 without, 6,000 at 1 KiB, 6,600 at 2 KiB, 6,400
/// at 4 KiB.
const AHEAD_BYTES: usize = 2 << 10;

/// Asks for the line that lies 2 KiB beyond these bytes, if there is one.
pub(super) fn prefetch(bytes: &[u8]) {
    // SAFETY: a prefetch is a hint; it reads nothing and does not fault, wherever it points.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(AHEAD_BYTES).cast()) }
}
