//! Whether the holder of a term still lives, as one observer sees it. Pure.
//!
//! An observer judges by its own monotonic clock, and gives a holder that it hears of for the first time a full session.
//! What it concludes is a suspicion and never more: an election is safe whoever starts it.

use std::time::Duration;

/// The default session: as long as detecting a dead holder may take.
pub const SESSION: Duration = Duration::from_millis(1500);

/// Whether a process that last ran so long ago may have been taken for dead meanwhile: then it looks for a higher term before
/// it goes on.
#[must_use]
pub fn may_be_deposed(silence: Duration, session: Duration) -> bool {
    silence * 2 >= session
}

/// One observer's view of the newest holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    session: Duration,
    term: u64,
    until: Duration,
}

impl Lease {
    /// A view that has seen no term: nobody holds the lease.
    #[must_use]
    pub fn new(session: Duration) -> Self {
        Self { session, term: 0, until: Duration::ZERO }
    }

    /// A term exists. A newer one than known has a full session from `now`.
    pub fn seen(&mut self, term: u64, now: Duration) {
        if term > self.term {
            self.term = term;
            self.until = now + self.session;
        }
    }

    /// Its holder said that it lives.
    pub fn heard(&mut self, term: u64, now: Duration) {
        if term >= self.term {
            self.term = term;
            self.until = self.until.max(now + self.session);
        }
    }

    /// The holder's own end of the connection is closed, or nobody listens at its address: it is suspected at once.
    pub fn gone(&mut self, term: u64) {
        if term == self.term {
            self.until = Duration::ZERO;
        }
    }

    /// The newest term that is known, 0 for none.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.term
    }

    /// How long the holder is trusted from `now` on; zero: it is suspected.
    #[must_use]
    pub fn left(&self, now: Duration) -> Duration {
        self.until.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stood_still_for_half_a_session_looks_around() {
        assert!(!may_be_deposed(Duration::from_millis(300), SESSION));
        assert!(may_be_deposed(Duration::from_millis(750), SESSION));
    }

    #[test]
    fn a_holder_is_suspected_a_session_after_it_was_last_heard_or_at_once_when_gone() {
        let at = Duration::from_millis;
        let mut lease = Lease::new(at(1000));
        assert!(lease.left(at(0)).is_zero());
        lease.seen(3, at(5000));
        lease.seen(3, at(5900));
        assert_eq!(lease.left(at(5999)), at(1));
        assert!(lease.left(at(6000)).is_zero());
        lease.heard(3, at(6500));
        lease.heard(2, at(9000));
        assert_eq!(lease.left(at(7000)), at(500));
        lease.gone(2);
        assert_eq!(lease.left(at(7000)), at(500));
        lease.gone(3);
        assert!(lease.left(at(7000)).is_zero());
        lease.seen(4, at(7000));
        assert_eq!((lease.term(), lease.left(at(7000))), (4, at(1000)));
    }
}
