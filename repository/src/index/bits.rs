//! Yes or no, for many, in a bit each.

/// So many answers, all no at first.
#[derive(Debug)]
pub(super) struct Bits {
    bytes: Vec<u8>,
}

impl Bits {
    pub(super) fn new(count: usize) -> Self {
        Self { bytes: vec![0; count.div_ceil(8)] }
    }

    /// Sets one; `false` when it was set before.
    pub(super) fn set(&mut self, number: usize) -> bool {
        let mask = 1 << (number % 8);
        let Some(byte) = self.bytes.get_mut(number / 8) else { return false };
        let was = *byte & mask != 0;
        *byte |= mask;
        !was
    }

    pub(super) fn get(&self, number: usize) -> bool {
        self.bytes.get(number / 8).is_some_and(|byte| byte & (1 << (number % 8)) != 0)
    }
}
