//! Content-defined chunking: where a stream of bytes is cut depends on its bytes alone.
//!
//! Two filters in a row. The first is a multiply-and-add over the last 8 bytes that passes one
//! position in 1,024; the second is a keyed BLAKE3 over the last 64 bytes, asked only there. Both
//! are keyed, so that the lengths of chunks say nothing about known files.
//! See docs/format.md#cut-points.

/// No chunk but the last of a stream is shorter.
pub const CHUNK_BYTES_MIN: usize = 256 << 10;
/// About the mean length of chunks.
pub const CHUNK_BYTES_AVERAGE: usize = 1 << 20;
/// No chunk is longer.
pub const CHUNK_BYTES_MAX: usize = 4 << 20;

/// How many bytes the first filter looks at.
const SIEVE_BYTES: usize = 8;
/// How many bytes the second filter looks at.
const WINDOW_BYTES: usize = 64;
/// The first filter passes where these ten bits of its sum are zero.
const SIEVE_MASK: u32 = 0x03ff_0000 >> 4;
/// The second filter asks for 11 zero bits before the average, and for 9 after it, which keeps
/// the lengths close to the average (the normalisation of `FastCDC`, Xia et al. 2016).
const MASK_BEFORE: u32 = (1 << 11) - 1;
const MASK_AFTER: u32 = (1 << 9) - 1;

/// Cuts streams of one repository.
pub struct Chunker {
    factors: [i16; 4],
    offset: u32,
    window_key: [u8; 32],
}

impl Chunker {
    /// A chunker that cuts as the repository with this cut key does.
    pub fn new(cut_key: &[u8; 32]) -> Self {
        let mut secret = [0; 44];
        blake3::Hasher::new_keyed(cut_key).finalize_xof().fill(&mut secret);
        let [a0, a1, b0, b1, c0, c1, d0, d1, e0, e1, e2, e3, window_key @ ..] = secret;
        // Odd factors, so that no bit of the input is lost.
        let factor = |low, high| i16::from_le_bytes([low, high]) | 1;
        Self {
            factors: [factor(a0, a1), factor(b0, b1), factor(c0, c1), factor(d0, d1)],
            offset: u32::from_le_bytes([e0, e1, e2, e3]),
            window_key,
        }
    }

    /// The length of the first chunk of `data`.
    ///
    /// `data` is the rest of the stream, or at least its next [`CHUNK_BYTES_MAX`] bytes.
    pub fn cut(&self, data: &[u8]) -> usize {
        let end = data.len().min(CHUNK_BYTES_MAX);
        let average = end.min(CHUNK_BYTES_AVERAGE);
        self.find(data, CHUNK_BYTES_MIN..average, MASK_BEFORE)
            .or_else(|| self.find(data, average.max(CHUNK_BYTES_MIN)..end, MASK_AFTER))
            .unwrap_or(end)
    }

    // The first position in `range` at which both filters pass; a chunk would end before it.
    fn find(&self, data: &[u8], range: std::ops::Range<usize>, mask: u32) -> Option<usize> {
        let searched = data.get(range.start.checked_sub(SIEVE_BYTES)?..range.end)?;
        let candidates = searched.windows(SIEVE_BYTES).zip(range.start..);
        candidates
            .filter(|(bytes, _)| self.sieve(bytes) & SIEVE_MASK == 0)
            .map(|(_, position)| position)
            .find(|&position| self.window_passes(data, position, mask))
    }

    // The two 32-bit halves of 8 bytes as pairs of signed 16-bit numbers, multiplied and summed:
    // one `pmaddwd` a half on x86, and the same everywhere.
    fn sieve(&self, bytes: &[u8]) -> u32 {
        let &[b0, b1, b2, b3, b4, b5, b6, b7] = bytes else { return u32::MAX };
        let [k0, k1, k2, k3] = self.factors;
        let product =
            |low, high, k| i32::from(i16::from_le_bytes([low, high])).wrapping_mul(i32::from(k));
        product(b0, b1, k0)
            .wrapping_add(product(b2, b3, k1))
            .wrapping_add(product(b4, b5, k2))
            .wrapping_add(product(b6, b7, k3))
            .cast_unsigned()
            .wrapping_add(self.offset)
    }

    fn window_passes(&self, data: &[u8], position: usize, mask: u32) -> bool {
        let window = position.checked_sub(WINDOW_BYTES).and_then(|start| data.get(start..position));
        window.is_some_and(|window| {
            let hash = blake3::keyed_hash(&self.window_key, window);
            let [a, b, c, d, ..] = *hash.as_bytes();
            u32::from_le_bytes([a, b, c, d]) & mask == 0
        })
    }
}

const _: () = assert!(WINDOW_BYTES <= CHUNK_BYTES_MIN && SIEVE_BYTES <= WINDOW_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
        bytes
    }

    fn chunks<'a>(chunker: &Chunker, mut data: &'a [u8]) -> Vec<&'a [u8]> {
        let mut chunks = Vec::new();
        while !data.is_empty() {
            let (chunk, rest) = data.split_at(chunker.cut(data));
            chunks.push(chunk);
            data = rest;
        }
        chunks
    }

    #[test]
    fn chunks_keep_their_bounds_and_their_mean() {
        let data = noise(1, 64 << 20);
        let chunks = chunks(&Chunker::new(&[9; 32]), &data);
        let (last, others) = chunks.split_last().unwrap();
        assert!(others.iter().all(|c| (CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&c.len())));
        assert!(last.len() <= CHUNK_BYTES_MAX);
        assert!((40..100).contains(&chunks.len()), "{}", chunks.len());
    }

    #[test]
    fn an_insertion_changes_the_chunks_around_it_only() {
        let chunker = Chunker::new(&[9; 32]);
        let mut data = noise(2, 32 << 20);
        let before: std::collections::BTreeSet<_> =
            chunks(&chunker, &data).into_iter().map(blake3::hash).map(|h| *h.as_bytes()).collect();
        data.splice(16 << 20..16 << 20, *b"inserted");
        let new = chunks(&chunker, &data)
            .into_iter()
            .filter(|c| !before.contains(blake3::hash(c).as_bytes()))
            .count();
        assert!((1..=4).contains(&new), "{new}");
    }

    #[test]
    fn another_key_cuts_elsewhere() {
        let data = noise(3, 16 << 20);
        let cuts = |key| {
            chunks(&Chunker::new(&[key; 32]), &data).iter().map(|c| c.len()).collect::<Vec<_>>()
        };
        assert_ne!(cuts(1), cuts(2));
    }

    #[test]
    fn short_and_uniform_data_are_cut_at_the_limits() {
        let chunker = Chunker::new(&[9; 32]);
        assert_eq!(chunker.cut(b""), 0);
        assert_eq!(chunker.cut(&noise(4, CHUNK_BYTES_MIN)), CHUNK_BYTES_MIN);
        assert_eq!(chunker.cut(&vec![0; 5 << 20]), CHUNK_BYTES_MAX);
    }
}
