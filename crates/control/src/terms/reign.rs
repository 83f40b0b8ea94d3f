//! What an owner of the metadata store may say and do. Pure.
//!
//! Every message restates a fact whose commit was awaited durable. One commit is under way at a time; each also requires
//! that the stored term is still this one. The first commit that fails, or whose outcome is unknown, ends the
//! term in this process: no message, no commit, no retry follows. A decision whose premises no longer held changes nothing, is
//! handed back, and the term goes on.

use std::collections::VecDeque;

use bytes::Bytes;
use waybill_meta::{Batch, CommitSeq, MetaError, Record, TermRecord, keys};

use crate::terms::sabotage::Sabotage;

/// Decisions that may wait for a commit under way.
pub const WAITING: usize = 1024;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReignAction<D> {
    /// Commit this, then report with [`Reign::committed`].
    Commit(Batch),
    /// The decision is durable: tell whoever it concerns, apply it to the image.
    Tell(D),
    /// The decision's premises did not hold, or there was no space: nothing was changed.
    HandBack(D),
    /// The term is over in this process. Nothing is to be said about these decisions: their outcome is unknown, or they
    /// were never committed.
    End(Vec<D>),
}

/// Why a decision is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// The term is over.
    #[error("the controller's term is over")]
    Over,
    /// Too many wait.
    #[error("too many changes of metadata wait")]
    Full,
}

/// An owner from its first durable commit to its end.
#[derive(Debug)]
pub struct Reign<D> {
    term: TermRecord,
    waiting: VecDeque<(Batch, D)>,
    under_way: Option<D>,
    over: bool,
    sabotage: Sabotage,
}

impl<D: Clone> Reign<D> {
    /// The owner whose first commit, that of `term`, is durable.
    #[must_use]
    pub fn new(term: TermRecord, sabotage: Sabotage) -> Self {
        Self { term, waiting: VecDeque::new(), under_way: None, over: false, sabotage }
    }

    /// The term.
    #[must_use]
    pub fn term(&self) -> TermRecord {
        self.term
    }

    /// Whether the term is over in this process.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Decides something, to be told once `batch` is durable.
    ///
    /// # Errors
    /// When the term is over, or too much waits.
    pub fn decide(&mut self, batch: Batch, decision: D) -> Result<Vec<ReignAction<D>>, NotTaken> {
        if self.over {
            return Err(NotTaken::Over);
        }
        if self.waiting.len() >= WAITING {
            return Err(NotTaken::Full);
        }
        let mut actions = Vec::new();
        if self.sabotage.breaks(Sabotage::TellBeforeDurable) {
            actions.push(ReignAction::Tell(decision.clone()));
        }
        self.waiting.push_back((batch, decision));
        actions.extend(self.next());
        Ok(actions)
    }

    /// The commit under way was answered.
    pub fn committed(&mut self, result: Result<CommitSeq, MetaError>) -> Vec<ReignAction<D>> {
        let Some(decision) = self.under_way.take() else { return Vec::new() };
        let mut actions = Vec::new();
        match result {
            Ok(_) if self.sabotage.breaks(Sabotage::TellBeforeDurable) => {}
            Ok(_) => actions.push(ReignAction::Tell(decision)),
            Err(MetaError::Conflict(key)) if key != keys::term() => {
                actions.push(ReignAction::HandBack(decision));
            }
            // Nothing was changed, and the same may be tried again.
            Err(MetaError::NoSpace(_)) => actions.push(ReignAction::HandBack(decision)),
            Err(_) if self.sabotage.breaks(Sabotage::GoOnAfterFailure) => {
                actions.push(ReignAction::Tell(decision));
            }
            Err(_) => {
                self.under_way = Some(decision);
                return self.end();
            }
        }
        actions.extend(self.next());
        actions
    }

    /// A newer owner was noticed, or everything stops.
    pub fn end(&mut self) -> Vec<ReignAction<D>> {
        if self.over {
            return Vec::new();
        }
        self.over = true;
        let waiting = self.waiting.drain(..).map(|(_, decision)| decision);
        vec![ReignAction::End(self.under_way.take().into_iter().chain(waiting).collect())]
    }

    fn next(&mut self) -> Option<ReignAction<D>> {
        if self.under_way.is_some() {
            return None;
        }
        let (mut batch, decision) = self.waiting.pop_front()?;
        self.under_way = Some(decision);
        batch.require(keys::term(), Some(self.term.encode()));
        Some(ReignAction::Commit(batch))
    }
}

/// The first commit of a winner: term := `term`, only if the store still holds what was read at its opening.
#[must_use]
pub fn first_commit(term: TermRecord, stored: Option<Bytes>) -> Batch {
    let mut batch = Batch::default();
    batch.require(keys::term(), stored);
    batch.put(keys::term(), term.encode());
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_types::{BrokerId, Incarnation};

    fn reign() -> Reign<u32> {
        let term = TermRecord { term: 3, node: BrokerId(1), incarnation: Incarnation(2) };
        Reign::new(term, Sabotage::None)
    }

    #[test]
    fn nothing_is_told_before_its_commit_and_nothing_after_a_failed_one() {
        let mut reign = reign();
        let first = reign.decide(Batch::default(), 1).unwrap();
        assert!(matches!(first.as_slice(), [ReignAction::Commit(_)]));
        assert!(reign.decide(Batch::default(), 2).unwrap().is_empty());
        let then = reign.committed(Ok(CommitSeq(1)));
        assert!(matches!(then.as_slice(), [ReignAction::Tell(1), ReignAction::Commit(_)]));
        reign.decide(Batch::default(), 3).unwrap();
        let then = reign.committed(Err(MetaError::Failed("lost".into())));
        assert_eq!(then, [ReignAction::End(vec![2, 3])]);
        assert_eq!(reign.decide(Batch::default(), 4), Err(NotTaken::Over));
        assert!(reign.committed(Ok(CommitSeq(2))).is_empty() && reign.end().is_empty());
    }

    #[test]
    fn a_conflict_hands_back_and_one_about_the_term_ends_it() {
        let mut reign = reign();
        reign.decide(Batch::default(), 1).unwrap();
        reign.decide(Batch::default(), 2).unwrap();
        let then = reign.committed(Err(MetaError::Conflict(keys::cluster())));
        assert!(matches!(then.as_slice(), [ReignAction::HandBack(1), ReignAction::Commit(_)]));
        let then = reign.committed(Err(MetaError::Conflict(keys::term())));
        assert_eq!(then, [ReignAction::End(vec![2])]);
    }

    #[test]
    fn every_commit_requires_the_term_and_few_wait() {
        let mut reign = reign();
        let term = reign.term().encode();
        let actions = reign.decide(Batch::default(), 0).unwrap();
        let [ReignAction::Commit(batch)] = actions.as_slice() else { panic!("commits") };
        assert_eq!(batch.ops, [waybill_meta::Op::Require(keys::term(), Some(term))]);
        for decision in 0..WAITING {
            reign.decide(Batch::default(), decision as u32).unwrap();
        }
        assert_eq!(reign.decide(Batch::default(), 0), Err(NotTaken::Full));
    }
}
