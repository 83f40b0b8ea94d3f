//! What the seeded tests make of sound bytes before they hand them to a fuzz target's entry.

use std::path::PathBuf;

/// SplitMix64, so that a failure's seed tells the bytes.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub(crate) fn noise(&mut self, longest: usize) -> Vec<u8> {
        (0..self.below(longest)).map(|_| self.next() as u8).collect()
    }
}

/// Damages bytes in one of the ways that find bugs: flips, cuts, extremes, copies.
pub(crate) fn damage(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.extend_from_within(at..),
            _ if bytes.is_empty() => {}
            2 => bytes[at] ^= 1 << random.below(8),
            3 => bytes[at] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][random.below(6)],
            4 => {
                let end = (at + 4).min(bytes.len());
                bytes[at..end].fill([0, 0x7f, 0xff][random.below(3)]);
            }
            _ => drop(bytes.remove(at)),
        }
    }
    bytes
}

/// Keeps sound bytes as a seed for `target`, where `WAYBILL_FUZZ_CORPUS` names a folder for them.
pub(crate) fn seed(target: &str, number: usize, bytes: &[u8]) {
    if let Some(corpus) = std::env::var_os("WAYBILL_FUZZ_CORPUS") {
        let folder = PathBuf::from(corpus).join(target);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("seed-{number}")), bytes).unwrap();
    }
}
