//! When the filling object is sent: group commit bounded by size, age and cost. Pure.
//!
//! A record that comes alone is sent at once. While others are in flight, objects leave at the pace that the operator pays
//! for, or when they are full, or when their oldest record is too old. Requests that were not used in quiet times pay for
//! lone records, not for bursts of small objects.

use std::time::Duration;

/// The bounds of group commit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PaceOptions {
    /// Creates a second under a load that does not fill objects. More cost more and make acks earlier.
    pub puts_per_second: f64,
    /// Creates that may be saved up while little comes.
    pub burst: f64,
    /// An object of so many bytes of records leaves at once, whatever it costs.
    pub full_bytes: usize,
    /// A record waits at most so long for others, whatever it costs.
    pub oldest: Duration,
}

impl Default for PaceOptions {
    fn default() -> Self {
        Self { puts_per_second: 12.0, burst: 4.0, full_bytes: 8 << 20, oldest: Duration::from_millis(250) }
    }
}

impl PaceOptions {
    /// For a server of one's own, where a create takes its CPU time and costs nothing else.
    #[must_use]
    pub fn own_server() -> Self {
        Self { puts_per_second: 50.0, ..Self::default() }
    }

    /// For stores where a create costs nothing but time, such as a shared file system: an object leaves whenever the depth
    /// allows it.
    #[must_use]
    pub fn unpaid() -> Self {
        Self { puts_per_second: 10_000.0, burst: 10_000.0, ..Self::default() }
    }
}

/// What to do with the filling object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pacing {
    /// Send it now.
    Send,
    /// Ask again at this time, or when something changes.
    At(Duration),
    /// Ask again when something changes.
    Wait,
}

/// The filling object, as far as pacing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filling {
    /// Bytes of records.
    pub bytes: usize,
    /// When its first record came.
    pub since: Duration,
}

/// Keeps the pace.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    options: PaceOptions,
    tokens: f64,
    counted: Duration,
    last: Duration,
}

impl Pace {
    /// Starts at `now` with everything saved up.
    #[must_use]
    pub fn new(options: PaceOptions, now: Duration) -> Self {
        Self { options, tokens: options.burst.max(1.0), counted: now, last: Duration::ZERO }
    }

    fn interval(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.options.puts_per_second.clamp(0.01, 10_000.0))
    }

    fn tokens_at(&self, now: Duration) -> f64 {
        let passed = now.saturating_sub(self.counted).as_secs_f64();
        (self.tokens + passed * self.options.puts_per_second).min(self.options.burst.max(1.0))
    }

    /// What to do with `filling` at `now`, when `alone` says that nothing is in flight and `may` that the depth allows it.
    #[must_use]
    pub fn decide(&self, filling: Option<Filling>, now: Duration, alone: bool, may: bool) -> Pacing {
        let Some(filling) = filling.filter(|_| may) else { return Pacing::Wait };
        if filling.bytes >= self.options.full_bytes {
            return Pacing::Send;
        }
        let tokens = self.tokens_at(now);
        let mut due = now + self.interval().mul_f64((1.0 - tokens).max(0.0));
        if !alone {
            due = due.max(self.last + self.interval());
        }
        due = due.min(filling.since + self.options.oldest);
        // A due time a rounding error ahead is now: else the driver would spin.
        if due <= now + Duration::from_micros(1) { Pacing::Send } else { Pacing::At(due) }
    }

    /// An object was sent at `now`.
    pub fn sent(&mut self, now: Duration) {
        self.tokens = (self.tokens_at(now) - 1.0).max(-1.0);
        self.counted = now;
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn some(bytes: usize, since: Duration) -> Option<Filling> {
        Some(Filling { bytes, since })
    }

    #[test]
    fn a_lone_record_goes_at_once() {
        let mut pace = Pace::new(PaceOptions::default(), Duration::ZERO);
        for second in 1..100 {
            let now = Duration::from_secs(second);
            assert_eq!(pace.decide(some(1, now), now, true, true), Pacing::Send);
            pace.sent(now);
        }
        assert_eq!(pace.decide(None, Duration::ZERO, true, true), Pacing::Wait);
    }

    #[test]
    fn a_steady_trickle_pays_the_pace_and_no_more() {
        let mut pace = Pace::new(PaceOptions::default(), Duration::ZERO);
        let (mut sent, mut since) = (0, None);
        for tick in 0..60_000 {
            let now = tick * MS;
            // A record every millisecond; each create takes 60 ms.
            let filling = Filling { bytes: 100, since: *since.get_or_insert(now) };
            let alone = pace.last + 60 * MS <= now;
            if pace.decide(Some(filling), now, alone, true) == Pacing::Send {
                pace.sent(now);
                since = None;
                sent += 1;
            }
        }
        assert!((700..=735).contains(&sent), "{sent} creates in a minute at 12 a second");
    }

    #[test]
    fn full_objects_and_old_records_do_not_wait() {
        let options = PaceOptions { puts_per_second: 0.5, ..PaceOptions::default() };
        let mut pace = Pace::new(options, Duration::ZERO);
        let start = Duration::from_secs(10);
        pace.sent(start);
        let now = start + MS;
        assert_eq!(pace.decide(some(100, now), now, false, true), Pacing::At(now + options.oldest));
        assert_eq!(pace.decide(some(options.full_bytes, now), now, false, true), Pacing::Send);
        assert_eq!(pace.decide(some(options.full_bytes, now), now, false, false), Pacing::Wait);
        let later = now + options.oldest;
        assert_eq!(pace.decide(some(100, now), later, false, true), Pacing::Send);
    }
}
