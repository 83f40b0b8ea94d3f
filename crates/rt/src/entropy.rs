//! Random bytes, passed in.

use std::sync::Arc;

use parking_lot::Mutex;
use waybill_types::{ClusterId, TopicId};

/// A source of random bytes.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);

    /// A random number.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number in `0..bound`, or 0 when `bound` is 0. Slightly biased for huge bounds, which nothing here uses.
    fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next_u64() % bound }
    }
}

/// Entropy as it is handed around.
pub type SharedEntropy = Arc<dyn Entropy>;

/// A fresh version-4 UUID's bytes, never one that Kafka reserves (all zeros, or 1) nor one whose text starts with '-'
/// (KAFKA-13277: such ids break command lines).
pub fn fresh_uuid(entropy: &dyn Entropy) -> [u8; 16] {
    loop {
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        if !TopicId(bytes).to_string().starts_with('-') {
            return bytes;
        }
    }
}

/// A fresh topic id.
pub fn fresh_topic_id(entropy: &dyn Entropy) -> TopicId {
    TopicId(fresh_uuid(entropy))
}

/// A fresh cluster id.
pub fn fresh_cluster_id(entropy: &dyn Entropy) -> ClusterId {
    ClusterId(fresh_uuid(entropy))
}

/// The operating system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealEntropy;

impl RealEntropy {
    /// Wraps the operating system's generator.
    #[must_use]
    pub fn shared() -> SharedEntropy {
        Arc::new(Self)
    }
}

impl Entropy for RealEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

/// SplitMix64: the same seed gives the same bytes. For simulation and generators, never for secrets.
#[derive(Debug)]
pub struct SeededEntropy {
    state: Mutex<u64>,
}

impl SeededEntropy {
    /// Starts at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: Mutex::new(seed) }
    }

    /// Starts at `seed`, shared.
    #[must_use]
    pub fn shared(seed: u64) -> SharedEntropy {
        Arc::new(Self::new(seed))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.state.lock();
        for chunk in bytes.chunks_mut(8) {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = *state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
            for (to, from) in chunk.iter_mut().zip(mixed.to_le_bytes()) {
                *to = from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_stream() {
        let (left, right) = (SeededEntropy::new(7), SeededEntropy::new(7));
        let draw = |from: &SeededEntropy| (0..64).map(|_| from.next_u64()).collect::<Vec<_>>();
        assert_eq!(draw(&left), draw(&right));
        assert_ne!(draw(&left), draw(&SeededEntropy::new(8)));
    }
}
