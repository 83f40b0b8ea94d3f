//! A buffer whose bytes start on a block boundary, as writing around the page cache asks, used again and again.

use std::ops::Range;

/// Capacity that is kept between groups; a larger group gives its buffer back.
const KEPT_BYTES: usize = 8 << 20;

/// Allocations are multiples of this.
const STEP_BYTES: usize = 16 << 10;

/// Reusable, aligned bytes.
#[derive(Debug)]
pub struct AlignedBuf {
    raw: Vec<u8>,
    align: usize,
}

impl AlignedBuf {
    /// An empty buffer whose bytes will start on a multiple of `align`.
    #[must_use]
    pub fn new(align: usize) -> Self {
        Self { raw: Vec::new(), align }
    }

    /// How many bytes it holds without a new allocation.
    #[must_use]
    pub fn room(&self) -> usize {
        self.raw.len().saturating_sub(self.align)
    }

    /// The first `length` bytes, whatever they held before.
    pub fn bytes(&mut self, length: usize) -> &mut [u8] {
        let need = length + self.align;
        if self.raw.len() < need || (self.raw.len() > KEPT_BYTES && need <= KEPT_BYTES) {
            // A fresh zeroed allocation: nothing to copy, and pages appear when they are touched.
            self.raw = vec![0; self.grown(need)];
        }
        let start = self.raw.as_ptr().align_offset(self.align);
        self.raw.get_mut(start..start + length).unwrap_or_default()
    }

    /// Twice the size as long as that is kept, so that growing step by step does not allocate each time.
    fn grown(&self, need: usize) -> usize {
        let twice = self.raw.len().saturating_mul(2).min(KEPT_BYTES);
        need.max(twice).next_multiple_of(STEP_BYTES)
    }

    /// `range` of the bytes that were handed out last, as they were left.
    #[must_use]
    pub fn held(&self, range: Range<usize>) -> Option<&[u8]> {
        let start = self.raw.as_ptr().align_offset(self.align);
        self.raw.get(start + range.start..start + range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_aligned_and_large_buffers_are_given_back() {
        let mut buffer = AlignedBuf::new(4096);
        for length in [1, 4096, 100_000, 20 << 20, 10] {
            let bytes = buffer.bytes(length);
            assert_eq!((bytes.len(), bytes.as_ptr() as usize % 4096), (length, 0));
        }
        assert!(buffer.raw.len() <= KEPT_BYTES);
    }
}
