//! A quantile of the most recent latencies.

use std::time::Duration;

/// Latencies that are kept.
const WINDOW: usize = 128;
/// The quantile is looked for again after so many.
const REFRESH: usize = 8;
/// With fewer than this the first guess holds, if it is longer than all of them.
const FEW: usize = 16;

/// A quantile of the last [`WINDOW`] values.
#[derive(Debug, Clone)]
pub struct Quantile {
    share: f64,
    guess: Duration,
    window: Vec<Duration>,
    next: usize,
    value: Duration,
}

impl Quantile {
    /// The value below which `share` of the latest lie, and `guess` as long as there are few.
    #[must_use]
    pub fn new(share: f64, guess: Duration) -> Self {
        Self { share: share.clamp(0.0, 1.0), guess, window: Vec::new(), next: 0, value: guess }
    }

    /// Takes a value in.
    pub fn observe(&mut self, value: Duration) {
        match self.window.get_mut(self.next) {
            Some(oldest) => *oldest = value,
            None => self.window.push(value),
        }
        self.next = (self.next + 1) % WINDOW;
        if self.next.is_multiple_of(REFRESH) {
            self.refresh();
        }
    }

    fn refresh(&mut self) {
        let mut sorted = self.window.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() as f64 * self.share) as usize).min(sorted.len().saturating_sub(1));
        let found = sorted.get(at).copied().unwrap_or(self.guess);
        self.value = if sorted.len() < FEW { found.max(self.guess) } else { found };
    }

    /// The quantile now.
    #[must_use]
    pub fn value(&self) -> Duration {
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_rt::{Entropy, SeededEntropy};

    #[test]
    fn finds_the_quantile_and_follows_it() {
        let entropy = SeededEntropy::new(1);
        let mut quantile = Quantile::new(0.95, Duration::from_secs(1));
        for scale in [1_000, 200, 5_000] {
            for _ in 0..136 {
                quantile.observe(Duration::from_micros(entropy.below(scale)));
            }
            // Uniform below `scale`: 95 of 100 lie below 0.95 of it.
            let found = quantile.value().as_secs_f64() * 1e6 / scale as f64;
            assert!((0.85..1.0).contains(&found), "{found} of {scale}");
        }
    }
}
