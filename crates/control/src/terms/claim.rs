//! Which incarnation of which node a process is. Pure.
//!
//! An incarnation is claimed by creating `control/broker/<node>/<e>`, e = highest + 1, before the process writes anything
//! else. A newer incarnation is reason enough to seal the older one's chain. Who lost its chain claims the next incarnation
//! only if the newest one of its node id is its own; else another process runs under that id, and this one ends.

use waybill_types::{BrokerId, Incarnation};

use crate::terms::holder::Holder;
use crate::terms::sabotage::Sabotage;

/// Which node id is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeChoice {
    /// This one.
    Fixed(BrokerId),
    /// The lowest from 1 on that nobody has ever claimed.
    Auto,
}

impl std::str::FromStr for NodeChoice {
    type Err = String;

    /// `auto`, or a number from 0 on.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        match text.parse() {
            Ok(node) if node >= 0 => Ok(Self::Fixed(BrokerId(node))),
            _ => Err(format!("a node id is 'auto' or a number from 0 on, not '{text}'")),
        }
    }
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimAction {
    /// LIST the claims: those of a node, or all.
    List(Option<BrokerId>),
    /// Create this claim, and settle the outcome.
    Create(BrokerId, Incarnation),
    /// This process is this incarnation.
    Done(BrokerId, Incarnation),
}

/// A process that claims an incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    choice: NodeChoice,
    action: ClaimAction,
}

impl Claim {
    /// A claim that was not begun.
    #[must_use]
    pub fn new(choice: NodeChoice) -> Self {
        Self { choice, action: ClaimAction::List(wanted(choice)) }
    }

    /// What to do next.
    #[must_use]
    pub fn action(&self) -> ClaimAction {
        self.action
    }

    /// The claims that a LIST showed, in any order. Those of other nodes are not looked at for a fixed id.
    pub fn listed(&mut self, claims: &[(BrokerId, Incarnation)]) {
        if !matches!(self.action, ClaimAction::List(_)) {
            return;
        }
        self.action = match self.choice {
            NodeChoice::Fixed(node) => {
                let newest = claims.iter().filter(|(of, _)| *of == node).map(|(_, e)| e.get()).max();
                ClaimAction::Create(node, Incarnation(newest.unwrap_or(0) + 1))
            }
            NodeChoice::Auto => {
                let taken = |id: &i32| claims.iter().any(|(of, _)| of.get() == *id);
                let free = (1..i32::MAX).find(|id| !taken(id)).unwrap_or(i32::MAX);
                ClaimAction::Create(BrokerId(free), Incarnation(1))
            }
        };
    }

    /// The create is settled.
    pub fn settled(&mut self, ours: bool) {
        if let ClaimAction::Create(node, incarnation) = self.action {
            self.action = if ours {
                ClaimAction::Done(node, incarnation)
            } else {
                ClaimAction::List(wanted(self.choice))
            };
        }
    }
}

fn wanted(choice: NodeChoice) -> Option<BrokerId> {
    match choice {
        NodeChoice::Fixed(node) => Some(node),
        NodeChoice::Auto => None,
    }
}

/// Another process runs under this node id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "another process runs as this node: {0}. Give one of the two another --node-id, or stop it; this one ends now"
)]
pub struct Superseded(pub Box<Holder>);

/// Whether the process that made the claim `mine` may claim again, given its node's newest claim: only if that is its own,
/// be it one that it had given up and that landed late.
///
/// # Errors
/// When the newest claim is another process's.
pub fn may_claim_again(mine: &Holder, newest: &Holder, sabotage: Sabotage) -> Result<(), Superseded> {
    if mine.nonce == newest.nonce || sabotage.breaks(Sabotage::ClaimAgainAnyway) {
        Ok(())
    } else {
        Err(Superseded(Box::new(newest.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_types::TimestampMs;

    #[test]
    fn a_fixed_id_takes_the_next_incarnation_until_one_is_its_own() {
        let mut claim = Claim::new(NodeChoice::Fixed(BrokerId(2)));
        assert_eq!(claim.action(), ClaimAction::List(Some(BrokerId(2))));
        claim.listed(&[
            (BrokerId(2), Incarnation(4)),
            (BrokerId(2), Incarnation(9)),
            (BrokerId(3), Incarnation(50)),
        ]);
        assert_eq!(claim.action(), ClaimAction::Create(BrokerId(2), Incarnation(10)));
        claim.settled(false);
        assert_eq!(claim.action(), ClaimAction::List(Some(BrokerId(2))));
        claim.listed(&[(BrokerId(2), Incarnation(10))]);
        claim.settled(true);
        assert_eq!(claim.action(), ClaimAction::Done(BrokerId(2), Incarnation(11)));
    }

    #[test]
    fn auto_takes_the_lowest_id_that_nobody_claimed() {
        let mut claim = Claim::new(NodeChoice::Auto);
        assert_eq!(claim.action(), ClaimAction::List(None));
        claim.listed(&[(BrokerId(1), Incarnation(4)), (BrokerId(3), Incarnation(1))]);
        assert_eq!(claim.action(), ClaimAction::Create(BrokerId(2), Incarnation(1)));
        claim.settled(false);
        claim.listed(&[
            (BrokerId(1), Incarnation(4)),
            (BrokerId(2), Incarnation(1)),
            (BrokerId(3), Incarnation(1)),
        ]);
        assert_eq!(claim.action(), ClaimAction::Create(BrokerId(4), Incarnation(1)));
        assert_eq!("auto".parse(), Ok(NodeChoice::Auto));
        assert_eq!("0".parse(), Ok(NodeChoice::Fixed(BrokerId(0))));
        assert!("-1".parse::<NodeChoice>().is_err() && "x".parse::<NodeChoice>().is_err());
    }

    #[test]
    fn who_was_superseded_ends_and_names_the_other() {
        let holder = |incarnation, nonce| Holder {
            node: BrokerId(1),
            incarnation: Incarnation(incarnation),
            host: "lyra".to_owned(),
            pid: 77,
            address: String::new(),
            nonce,
            written: TimestampMs(0),
        };
        let mine = holder(3, 9);
        for own in [holder(3, 9), holder(4, 9)] {
            assert_eq!(may_claim_again(&mine, &own, Sabotage::None), Ok(()));
        }
        for other in [holder(3, 8), holder(4, 8)] {
            let error = may_claim_again(&mine, &other, Sabotage::None).unwrap_err().to_string();
            assert!(error.contains("process 77 on lyra") && error.contains("--node-id"), "{error}");
        }
    }
}
