//! Cutting a run of bytes as a backup does, in whatever parts it comes.

use format::chunker::{CHUNK_BYTES_MAX, Chunker};

/// Cuts one run after another.
pub struct Cutter<'a> {
    chunker: &'a Chunker,
    window: Vec<u8>,
}

impl<'a> Cutter<'a> {
    /// Cuts with the key of this chunker.
    pub fn new(chunker: &'a Chunker) -> Self {
        Self { chunker, window: Vec::new() }
    }

    /// More of the run.
    pub fn push(&mut self, bytes: &[u8]) {
        self.window.extend_from_slice(bytes);
    }

    /// The next chunk that is certain, whatever follows; `None` when more of the run is needed.
    pub fn cut(&mut self) -> Option<Vec<u8>> {
        // The chunker looks no farther than the longest chunk there can be.
        if self.window.len() >= CHUNK_BYTES_MAX { self.end() } else { None }
    }

    /// The next chunk, if nothing follows; `None` when the run has ended.
    pub fn end(&mut self) -> Option<Vec<u8>> {
        let length = self.chunker.cut(&self.window).min(self.window.len());
        (length > 0).then(|| self.window.drain(..length).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_in_which_a_run_comes_make_no_difference() {
        let chunker = Chunker::new(&[3; 32]);
        let mut state = 1_u64;
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        };
        let run: Vec<u8> = (0..3 * CHUNK_BYTES_MAX).map(|_| byte()).collect();
        let cut = |part: usize| {
            let (mut cutter, mut chunks) = (Cutter::new(&chunker), Vec::new());
            for bytes in run.chunks(part) {
                cutter.push(bytes);
                chunks.extend(std::iter::from_fn(|| cutter.cut()));
            }
            chunks.extend(std::iter::from_fn(|| cutter.end()));
            assert_eq!(cutter.end(), None);
            chunks
        };
        let whole = cut(run.len());
        assert_eq!(whole.concat(), run);
        assert!(whole.len() > 3, "{}", whole.len());
        assert_eq!(cut(100_001), whole);
    }
}
