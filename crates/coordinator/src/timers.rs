//! Timers as data: the driver asks for the next deadline and says when it has come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What a timer is for. Setting one again replaces it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKey {
    /// A member's session ends.
    Session { group: Arc<str>, member: Arc<str> },
    /// The join phase ends.
    Join { group: Arc<str> },
    /// The members that did not sync are given up.
    Sync { group: Arc<str> },
    /// Offsets are checked for their retention.
    Retention,
}

/// What to do when it fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fire {
    /// What the key says.
    Plain,
    /// The first rebalance of an empty group may wait once more (`group.initial.rebalance.delay.ms`).
    InitialJoin { delay: Duration, remaining: Duration },
    /// Of this generation only.
    Generation(i32),
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    armed: BTreeMap<TimerKey, (Duration, u64, Fire)>,
    queue: BTreeSet<(Duration, u64, TimerKey)>,
    count: u64,
}

impl Timers {
    /// Arms `key` to fire at `deadline`, instead of when it would have fired.
    pub(crate) fn set(&mut self, key: TimerKey, deadline: Duration, fire: Fire) {
        self.cancel(&key);
        self.count = self.count.wrapping_add(1);
        self.queue.insert((deadline, self.count, key.clone()));
        self.armed.insert(key, (deadline, self.count, fire));
    }

    /// Disarms `key`.
    pub(crate) fn cancel(&mut self, key: &TimerKey) {
        if let Some((deadline, count, _)) = self.armed.remove(key) {
            self.queue.remove(&(deadline, count, key.clone()));
        }
    }

    /// When the next one fires.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.queue.first().map(|(deadline, _, _)| *deadline)
    }

    /// Takes the next one that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Duration) -> Option<(TimerKey, Fire)> {
        if self.next()? > now {
            return None;
        }
        let (_, _, key) = self.queue.pop_first()?;
        let (_, _, fire) = self.armed.remove(&key)?;
        Some((key, fire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_set_again_fires_once_and_later() {
        let mut timers = Timers::default();
        let join = TimerKey::Join { group: "g".into() };
        timers.set(join.clone(), Duration::from_secs(5), Fire::Plain);
        timers.set(TimerKey::Retention, Duration::from_secs(1), Fire::Plain);
        timers.set(join.clone(), Duration::from_secs(7), Fire::Generation(2));
        assert_eq!(timers.pop_due(Duration::from_secs(6)), Some((TimerKey::Retention, Fire::Plain)));
        assert_eq!(timers.pop_due(Duration::from_secs(6)), None);
        assert_eq!(timers.next(), Some(Duration::from_secs(7)));
        assert_eq!(timers.pop_due(Duration::from_secs(7)), Some((join, Fire::Generation(2))));
        assert_eq!(timers.next(), None);
    }
}
