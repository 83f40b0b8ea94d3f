//! A small seeded generator of numbers: the same seed gives the same demo on every machine and version.

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, passes BigCrush, plenty for a demo.
#[derive(Clone, Debug)]
pub(crate) struct Prng {
    state: u64,
}

impl Prng {
    /// Starts from a seed.
    #[must_use]
    pub(crate) const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A stream of its own for a part of the world, so that one part's needs do not move the others'.
    #[must_use]
    pub(crate) fn fork(&self, part: u64) -> Self {
        let mut one = Self { state: self.state ^ part.wrapping_mul(0xd605_1b3c_86b9_d2f5) };
        Self { state: one.next_u64() }
    }

    /// The next 64 bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of `low..=high`; `low` when the range is empty.
    pub(crate) fn range(&mut self, low: i64, high: i64) -> i64 {
        let width = high.saturating_sub(low).max(0).unsigned_abs().saturating_add(1);
        low.saturating_add_unsigned(self.next_u64() % width)
    }

    /// A fraction in `0.0..1.0`.
    pub(crate) fn fraction(&mut self) -> f64 {
        // 53 bits fill the mantissa exactly.
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True in `share` of all cases.
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.fraction() < share
    }

    /// One of `items`.
    ///
    /// # Panics
    /// When `items` is empty: the tables of the demo are not.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let last = i64::try_from(items.len()).unwrap_or(1) - 1;
        let index = usize::try_from(self.range(0, last)).unwrap_or(0);
        items.get(index).expect("a table of the demo has rows")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_published_algorithm() {
        // First outputs of SplitMix64 for seed 1234567, as its authors' reference code gives them.
        let mut rng = Prng::new(1_234_567);
        assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn ranges_and_shares_hold() {
        let mut rng = Prng::new(7);
        let n = (0..10_000).filter(|_| rng.chance(0.02)).count();
        assert!((150..=250).contains(&n), "{n}");
        assert!((0..1000).map(|_| rng.range(-3, 3)).all(|v| (-3..=3).contains(&v)));
        assert_eq!(rng.range(5, 5), 5);
    }
}
