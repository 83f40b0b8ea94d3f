//! How a broker becomes the controller, and stops being it. Pure.
//!
//! Who creates `control/term/N` has won term N. The winner looks whether a higher term exists, opens the metadata
//! store (which fences the owner before it), and as its first durable commit sets term := N, only if the stored term is lower;
//! else it closes and stands down. Two winners may believe in themselves: what counts is whose commits the store takes.
//! Whatever ends a term in this process, a failed commit or a fence, is followed by a pause and a look at who
//! holds the newest term. Objects of terms are never deleted.

use std::cmp::Ordering;
use std::time::Duration;

use crate::terms::sabotage::Sabotage;

/// The first pause after a failure; doubled up to [`PAUSE_LIMIT`].
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_LIMIT: Duration = Duration::from_secs(5);

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElectionAction {
    /// Wait about so long (with jitter, so that two candidates part).
    Wait(Duration),
    /// LIST the terms, and read who holds the newest.
    FindNewest,
    /// Somebody else holds this term: wait until it is suspected to be gone.
    Watch(u64),
    /// Create the object of this term, and settle the outcome.
    Create(u64),
    /// Open the metadata store, and read the stored term.
    Open(u64),
    /// Commit term := this, requiring that the stored term is what was read.
    CommitTerm(u64),
    /// This process owns the metadata store.
    Reign(u64),
    /// Close the metadata store.
    Close,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElectionEvent {
    /// The pause is over.
    Waited,
    /// The newest term.
    Newest(Option<Newest>),
    /// The store did not answer.
    Failed,
    /// The holder of this term is suspected to be gone, or a newer term was heard of.
    Lost(u64),
    /// The create is settled.
    Settled {
        /// Whether the object is ours.
        ours: bool,
    },
    /// The metadata store is open, and this is its stored term (0: none).
    Opened {
        /// The stored term.
        stored: u64,
    },
    /// The commit is durable.
    Committed,
    /// A commit failed, its outcome is unknown, or a newer owner was noticed.
    Ended,
    /// The metadata store is closed.
    Closed,
}

/// The newest term and how its holder stands to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// The term.
    pub term: u64,
    /// Whether its holder is this process, or an earlier incarnation of this node: then nobody has to be waited for, since a
    /// newer incarnation is reason enough.
    pub own: bool,
}

/// A broker in the election.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Election {
    action: ElectionAction,
    /// The term that we created and have not given up.
    won: Option<u64>,
    /// The term whose holder is suspected to be gone.
    suspected: u64,
    failures: u32,
    sabotage: Sabotage,
}

impl Election {
    /// A broker that has just started.
    #[must_use]
    pub fn new(sabotage: Sabotage) -> Self {
        Self { action: ElectionAction::FindNewest, won: None, suspected: 0, failures: 0, sabotage }
    }

    /// What to do next.
    #[must_use]
    pub fn action(&self) -> ElectionAction {
        self.action
    }

    /// Something happened. What does not belong to the action under way changes nothing.
    pub fn on(&mut self, event: ElectionEvent) {
        use ElectionAction as Do;
        use ElectionEvent as On;
        self.action = match (self.action, event) {
            (Do::Wait(_) | Do::Watch(_), On::Waited) => Do::FindNewest,
            (Do::FindNewest, On::Newest(newest)) => self.judge(newest),
            (Do::FindNewest, On::Failed) => self.pause(),
            (Do::Watch(term), On::Lost(lost)) => {
                self.suspected = self.suspected.max(lost.min(term));
                Do::FindNewest
            }
            (Do::Create(term), On::Settled { ours: true }) => {
                self.won = Some(term);
                Do::FindNewest
            }
            // Somebody was faster.
            (Do::Create(_), On::Settled { ours: false }) => Do::FindNewest,
            // The object may still appear: then it is seen as the newest term, and its holder is this process.
            (Do::Create(_), On::Failed) => self.stand_down(),
            (Do::Open(term), On::Opened { stored }) => {
                if stored < term || self.sabotage.breaks(Sabotage::TermUnchecked) {
                    Do::CommitTerm(term)
                } else {
                    Do::Close
                }
            }
            (Do::Open(_), On::Failed | On::Ended) => Do::Close,
            (Do::CommitTerm(term), On::Committed) => {
                self.failures = 0;
                Do::Reign(term)
            }
            (Do::CommitTerm(_) | Do::Reign(_), On::Ended | On::Failed) => Do::Close,
            (Do::Close, On::Closed) => self.stand_down(),
            (action, _) => action,
        };
    }

    fn judge(&mut self, newest: Option<Newest>) -> ElectionAction {
        let term = newest.map_or(0, |newest| newest.term);
        if let Some(won) = self.won {
            return match term.cmp(&won) {
                // Nobody has won a higher term so far.
                Ordering::Equal => ElectionAction::Open(won),
                // A LIST shows what was created before it, and terms are never deleted: look again.
                Ordering::Less => self.pause(),
                Ordering::Greater => self.stand_down(),
            };
        }
        match newest {
            Some(newest) if !newest.own && newest.term > self.suspected => ElectionAction::Watch(term),
            _ => ElectionAction::Create(term + 1),
        }
    }

    fn pause(&mut self) -> ElectionAction {
        self.failures += 1;
        ElectionAction::Wait((PAUSE * (1 << self.failures.min(6)) / 2).min(PAUSE_LIMIT))
    }

    fn stand_down(&mut self) -> ElectionAction {
        self.won = None;
        self.pause()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ElectionAction as Do;
    use ElectionEvent as On;

    fn run(election: &mut Election, steps: &[(ElectionEvent, ElectionAction)]) {
        for (at, (event, action)) in steps.iter().enumerate() {
            election.on(*event);
            assert_eq!(election.action(), *action, "step {at}");
        }
    }

    fn newest(term: u64, own: bool) -> ElectionEvent {
        On::Newest(Some(Newest { term, own }))
    }

    #[test]
    fn the_first_broker_reigns_until_its_first_failed_commit() {
        let mut election = Election::new(Sabotage::None);
        run(
            &mut election,
            &[
                (On::Newest(None), Do::Create(1)),
                (On::Settled { ours: true }, Do::FindNewest),
                (newest(1, true), Do::Open(1)),
                (On::Opened { stored: 0 }, Do::CommitTerm(1)),
                (On::Committed, Do::Reign(1)),
                (On::Ended, Do::Close),
                (On::Closed, Do::Wait(PAUSE)),
                (On::Waited, Do::FindNewest),
                // Its own term is over: it needs a new one.
                (newest(1, true), Do::Create(2)),
            ],
        );
    }

    #[test]
    fn a_standby_waits_until_the_holder_is_lost_and_a_restart_does_not() {
        let mut election = Election::new(Sabotage::None);
        run(
            &mut election,
            &[
                (newest(4, false), Do::Watch(4)),
                (On::Lost(4), Do::FindNewest),
                (newest(5, false), Do::Watch(5)),
                (On::Lost(5), Do::FindNewest),
                (newest(5, false), Do::Create(6)),
                (On::Settled { ours: false }, Do::FindNewest),
                (newest(6, false), Do::Watch(6)),
            ],
        );
        let mut election = Election::new(Sabotage::None);
        run(&mut election, &[(newest(4, true), Do::Create(5))]);
    }

    #[test]
    fn a_winner_that_was_overtaken_stands_down_before_it_commits() {
        let mut election = Election::new(Sabotage::None);
        run(
            &mut election,
            &[
                (On::Newest(None), Do::Create(1)),
                (On::Settled { ours: true }, Do::FindNewest),
                (newest(2, false), Do::Wait(PAUSE)),
                (On::Waited, Do::FindNewest),
                (newest(2, false), Do::Watch(2)),
            ],
        );
        let mut election = Election::new(Sabotage::None);
        run(
            &mut election,
            &[
                (On::Newest(None), Do::Create(1)),
                (On::Settled { ours: true }, Do::FindNewest),
                (newest(1, true), Do::Open(1)),
                (On::Opened { stored: 2 }, Do::Close),
                (On::Closed, Do::Wait(PAUSE)),
            ],
        );
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        let mut election = Election::new(Sabotage::None);
        let mut last = Duration::ZERO;
        for _ in 0..20 {
            election.on(On::Failed);
            let Do::Wait(pause) = election.action() else { panic!("waits") };
            assert!(pause >= last && pause <= PAUSE_LIMIT);
            last = pause;
            election.on(On::Waited);
        }
    }
}
