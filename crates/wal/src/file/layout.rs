//! Where a position stands in the ring: arithmetic, nothing else.
//!
//! Positions count bytes for ever. File number `n` (from 0, for ever) holds positions `n * file_size ..` and lives in
//! the slot `n % files`; what a slot holds now and held a lap ago differ by `files * file_size`.

use crate::api::WalPosition;

/// The shape of a ring. Written down when the ring is made and never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// How many files there are.
    pub files: u32,
    /// Length of each in bytes, a multiple of `block`.
    pub file_size: u64,
    /// Groups start and end on multiples of this many bytes.
    pub block: u32,
}

impl Geometry {
    /// Whether such a ring can work.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let block = u64::from(self.block);
        self.files >= 4
            && self.files <= 999
            && block >= 512
            && self.block.is_power_of_two()
            && self.file_size >= 2 * block
            && self.file_size <= 1 << 30
            && self.file_size.is_multiple_of(block)
    }

    /// Bytes in the whole ring.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        u64::from(self.files) * self.file_size
    }

    /// The number of the file that holds `position`.
    #[must_use]
    pub fn file_of(&self, position: WalPosition) -> u64 {
        position.0 / self.file_size
    }

    /// The slot that file number `file` lives in.
    #[must_use]
    pub fn slot_of(&self, file: u64) -> usize {
        (file % u64::from(self.files)) as usize
    }

    /// Where in its file `position` stands.
    #[must_use]
    pub fn offset_of(&self, position: WalPosition) -> u64 {
        position.0 % self.file_size
    }

    /// The first position of file number `file`.
    #[must_use]
    pub fn start_of(&self, file: u64) -> WalPosition {
        WalPosition(file.saturating_mul(self.file_size))
    }

    /// The first file start that is not before `position`.
    #[must_use]
    pub fn start_at_or_after(&self, position: WalPosition) -> WalPosition {
        self.start_of(position.0.div_ceil(self.file_size))
    }

    /// Whether a file begins at `position`.
    #[must_use]
    pub fn is_start(&self, position: WalPosition) -> bool {
        self.offset_of(position) == 0
    }

    /// The one position that can stand at `offset` of `slot` while the ring is trimmed at `trim`.
    #[must_use]
    pub fn expected(&self, slot: usize, offset: u64, trim: WalPosition) -> WalPosition {
        let first = self.file_of(trim);
        let files = u64::from(self.files);
        let ahead = (slot as u64 + files - first % files) % files;
        WalPosition(self.start_of(first + ahead).0.saturating_add(offset))
    }

    /// Whether file number `file` may be written while the ring is trimmed at `trim`: what its slot held a lap ago
    /// lies wholly below.
    #[must_use]
    pub fn is_free(&self, file: u64, trim: WalPosition) -> bool {
        self.start_of(file + 1).0 <= trim.0.saturating_add(self.capacity())
    }

    /// `length` rounded up to whole blocks.
    #[must_use]
    pub fn padded(&self, length: usize) -> usize {
        length.next_multiple_of(self.block as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_place_has_one_position_per_lap(files in 4u32..9, trim_file in 0u64..40, ahead in 0u64..9, block in 0u64..4) {
            let ring = Geometry { files, file_size: 4 * 4096, block: 4096 };
            prop_assert!(ring.is_sound());
            let trim = ring.start_of(trim_file);
            let file = trim_file + ahead % u64::from(files);
            let position = WalPosition(ring.start_of(file).0 + block * 4096);
            prop_assert_eq!(ring.expected(ring.slot_of(file), block * 4096, trim), position);
            prop_assert!(ring.is_free(file, trim));
            prop_assert!(!ring.is_free(trim_file + u64::from(files), trim));
        }
    }

    #[test]
    fn file_starts() {
        let ring = Geometry { files: 4, file_size: 8192, block: 4096 };
        assert_eq!(ring.start_at_or_after(WalPosition(0)), WalPosition(0));
        assert_eq!(ring.start_at_or_after(WalPosition(1)), WalPosition(8192));
        assert_eq!(ring.start_at_or_after(WalPosition(8192)), WalPosition(8192));
        assert_eq!(ring.padded(1), 4096);
        assert_eq!(ring.padded(4096), 4096);
    }
}
