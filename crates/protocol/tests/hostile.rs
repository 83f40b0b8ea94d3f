//! Seeded damage to batches of Kafka's Java client, through the entry function of the fuzz target.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "../../../fuzz/entry/batches.rs"]
mod entry;

/// A small seeded generator (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }
}

fn golden() -> Vec<Vec<u8>> {
    let text = include_str!("golden/batches-java-4.4.0.txt");
    let lines = text.lines().filter_map(|line| line.split_once(' ')).filter(|(name, _)| *name != "#");
    let digits = lines.map(|(_, hex)| hex.chars().map(|c| c.to_digit(16).unwrap() as u8).collect::<Vec<_>>());
    digits.map(|d| d.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect()).collect()
}

#[test]
fn damaged_batches_break_no_promise() {
    let batches = golden();
    assert!(batches.len() >= 5, "only {} recorded batches", batches.len());
    for seed in 0..400u64 {
        let mut random = Random(seed);
        for batch in &batches {
            let mut bytes = vec![random.below(32) as u8];
            bytes.extend(batch);
            for _ in 0..random.below(4) {
                let at = 1 + random.below(bytes.len() - 1);
                match random.below(6) {
                    0 => bytes.truncate(at.max(62)),
                    1 => bytes.insert(at, random.below(256) as u8),
                    2 => bytes.splice(at..at, [0xff, 0xff, 0xff, 0xff, 0x0f]).for_each(drop),
                    3 => *bytes.get_mut(at).unwrap() ^= 1 << random.below(8),
                    _ => *bytes.get_mut(at).unwrap() = random.below(256) as u8,
                }
            }
            entry::record_batch(&bytes);
        }
    }
}
