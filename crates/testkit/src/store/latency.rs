//! Log-normal latencies.

use std::time::Duration;

use waybill_rt::Entropy;

/// A log-normal distribution, given by its median and its 99th percentile.
#[derive(Debug, Clone, Copy)]
pub struct Latency {
    median: f64,
    sigma: f64,
}

/// The 99th percentile of the standard normal distribution.
const Z99: f64 = 2.326_347_874;

impl Latency {
    /// Latencies with this median and 99th percentile.
    #[must_use]
    pub fn new(median: Duration, p99: Duration) -> Self {
        let median = median.as_secs_f64().max(1e-6);
        let sigma = (p99.as_secs_f64().max(median) / median).ln() / Z99;
        Self { median, sigma }
    }

    /// Always the same.
    #[must_use]
    pub fn fixed(latency: Duration) -> Self {
        Self::new(latency, latency)
    }

    /// The next latency.
    pub fn draw(&self, entropy: &dyn Entropy) -> Duration {
        let unit = || (entropy.below(1 << 30) as f64 + 1.0) / (1_u64 << 30) as f64;
        // Box and Muller.
        let normal = (-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos();
        Duration::from_secs_f64(self.median * (self.sigma * normal).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_rt::SeededEntropy;

    #[test]
    fn the_percentiles_are_those_asked_for() {
        let latency = Latency::new(Duration::from_millis(60), Duration::from_millis(250));
        let entropy = SeededEntropy::new(1);
        let mut drawn: Vec<u128> = (0..100_000).map(|_| latency.draw(&entropy).as_millis()).collect();
        drawn.sort_unstable();
        assert!((58..=62).contains(&drawn[50_000]), "{}", drawn[50_000]);
        assert!((240..=260).contains(&drawn[99_000]), "{}", drawn[99_000]);
    }
}
