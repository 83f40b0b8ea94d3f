//! Whose facts a question may see.

use std::collections::BTreeSet;

use super::fact::Fact;

/// The parties on whose behalf a question is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// Only what names one of these parties, and only facts that are not others'.
    Parties(BTreeSet<String>),
}

impl Scope {
    /// Whether a fact may be used: it names no party, or one of ours.
    #[must_use]
    pub fn allows(&self, fact: &Fact) -> bool {
        match self {
            Self::All => true,
            Self::Parties(ours) => {
                fact.draft.parties.is_empty() || fact.draft.parties.iter().any(|party| ours.contains(party))
            }
        }
    }

    /// Whether a subject with these facts may be seen at all: one of them names us.
    #[must_use]
    pub fn sees<'a>(&self, mut facts: impl Iterator<Item = &'a Fact>) -> bool {
        match self {
            Self::All => true,
            Self::Parties(ours) => {
                facts.any(|fact| fact.draft.parties.iter().any(|party| ours.contains(party)))
            }
        }
    }
}
