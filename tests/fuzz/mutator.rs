//! Spoils valid bytes in the ways that find mistakes: flips, splices, lengths, truncation.

/// No input is longer.
const BYTES_MAX: usize = 64 << 10;
/// Numbers at which parsers break.
const EDGES: [u64; 8] =
    [0, 0x7f, 0xff, 0xffff, i32::MAX as u64, u32::MAX as u64, i64::MAX as u64, u64::MAX];

/// Makes inputs; the same ones for the same seed.
pub(crate) struct Mutator(u64);

impl Mutator {
    /// A mutator with this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// One of `corpus`, spoiled.
    pub(crate) fn input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(8) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = self.number().to_le_bytes()[0],
                2 => bytes.truncate(at),
                3 => {
                    let end = (at + self.below(16)).min(bytes.len());
                    bytes.drain(at..end);
                }
                4 => {
                    let other = &corpus[self.below(corpus.len())];
                    let start = self.below(other.len() + 1);
                    let end = (start + self.below(64)).min(other.len());
                    bytes.splice(at..at, other[start..end].iter().copied());
                }
                5 => {
                    let end = (at + self.below(64)).min(bytes.len());
                    let again = bytes[at..end].repeat(1 + self.below(8));
                    bytes.splice(at..end, again);
                }
                6 => self.edge(&mut bytes, at),
                _ => {
                    let noise = self.number().to_le_bytes();
                    bytes.splice(at..at, noise.into_iter().take(self.below(8)).collect::<Vec<_>>());
                }
            }
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    // A number at the edge of its type: fixed, as a varint, or in digits.
    fn edge(&mut self, bytes: &mut Vec<u8>, at: usize) {
        let number = EDGES[self.below(EDGES.len())].wrapping_add(self.number() % 2);
        let written = match self.below(4) {
            0 => number.to_le_bytes()[..4].to_vec(),
            1 => number.to_le_bytes().to_vec(),
            2 => postcard::to_allocvec(&number).expect("numbers have an encoding"),
            _ => number.to_string().into_bytes(),
        };
        let end = (at + self.below(written.len() + 1)).min(bytes.len());
        bytes.splice(at..end, written);
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() >> 33).expect("31 bits fit") % end.max(1)
    }

    fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
