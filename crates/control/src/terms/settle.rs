//! Creating an object and knowing the outcome. Pure.
//!
//! Only a plain success says that we made it. Any other answer, "it exists" too, is settled by reading the object back
//! and comparing it with our bytes, which nobody else can have written. Absence means "send the same bytes again" and
//! nothing else: the create may still land. Whoever gives up learned nothing: the object may appear at any later time.

use crate::terms::sabotage::Sabotage;

/// The answer to a create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateAnswer {
    /// Success.
    Created,
    /// The name is taken, or contended.
    Exists,
    /// Anything else.
    Unknown,
}

/// What a read-back found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBack {
    /// Our bytes.
    Ours,
    /// Other bytes.
    Others,
    /// Nothing.
    Absent,
    /// The read did not succeed.
    Failed,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettleAction {
    /// Create the object.
    Put,
    /// Read it back.
    Read,
    /// It is known: ours, or another's.
    Done {
        /// Whether the object is ours.
        ours: bool,
    },
}

/// A create under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settle {
    action: SettleAction,
    sabotage: Sabotage,
}

impl Settle {
    /// A create that was not sent yet.
    #[must_use]
    pub fn new(sabotage: Sabotage) -> Self {
        Self { action: SettleAction::Put, sabotage }
    }

    /// What to do next.
    #[must_use]
    pub fn action(&self) -> SettleAction {
        self.action
    }

    /// A create was answered.
    pub fn answered(&mut self, answer: CreateAnswer) {
        let believed = match answer {
            CreateAnswer::Created => true,
            CreateAnswer::Exists => self.sabotage.breaks(Sabotage::ExistsIsOurs),
            CreateAnswer::Unknown => self.sabotage.breaks(Sabotage::UnknownIsOurs),
        };
        self.action = if believed { SettleAction::Done { ours: true } } else { SettleAction::Read };
    }

    /// A read-back was answered.
    pub fn read(&mut self, found: ReadBack) {
        self.action = match found {
            ReadBack::Ours => SettleAction::Done { ours: true },
            ReadBack::Others => SettleAction::Done { ours: false },
            ReadBack::Absent => SettleAction::Put,
            ReadBack::Failed => SettleAction::Read,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_success_or_our_own_bytes_are_ours() {
        let mut settle = Settle::new(Sabotage::None);
        for answer in [CreateAnswer::Unknown, CreateAnswer::Exists] {
            settle.answered(answer);
            assert_eq!(settle.action(), SettleAction::Read);
            settle.read(ReadBack::Failed);
            assert_eq!(settle.action(), SettleAction::Read);
            settle.read(ReadBack::Absent);
            assert_eq!(settle.action(), SettleAction::Put);
        }
        settle.answered(CreateAnswer::Exists);
        settle.read(ReadBack::Others);
        assert_eq!(settle.action(), SettleAction::Done { ours: false });
        for found in [None, Some(ReadBack::Ours)] {
            let mut settle = Settle::new(Sabotage::None);
            match found {
                None => settle.answered(CreateAnswer::Created),
                Some(found) => settle.read(found),
            }
            assert_eq!(settle.action(), SettleAction::Done { ours: true });
        }
    }
}
