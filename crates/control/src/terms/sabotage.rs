//! Known ways to break what terms, claims and assignments promise, to prove that the tests can see them. Those of chains are
//! `waybill_wal::Sabotage`'s. Without the feature `sim` none can be switched on.

/// A rule that is left out on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Sabotage {
    /// All rules hold.
    #[default]
    None,
    /// What a commit decides is told before the commit is durable.
    TellBeforeDurable,
    /// After a failed or unknown commit the owner decides, commits and tells further.
    GoOnAfterFailure,
    /// A create that finds its name taken is taken for our own success.
    ExistsIsOurs,
    /// A create of unknown outcome is taken for success.
    UnknownIsOurs,
    /// The first commit does not compare the stored term.
    TermUnchecked,
    /// Whoever lost its chain claims again although another runs under its node id.
    ClaimAgainAnyway,
    /// An assignment is taken by whatever incarnation of the node hears it.
    AssignToNode,
    /// An assignment that was taken once is taken again after its release.
    AssignAgain,
    /// A broker that never led an epoch that it releases remembers nothing.
    NoFloor,
    /// A duplicate of an assignment is taken like a new one, and sets the log's end again.
    DuplicateLeads,
    /// A release ends whatever epoch its chain leads.
    ReleasedUnmatched,
}

impl Sabotage {
    /// Whether `self` is `rule` and may be: constant `false` without the feature `sim`.
    #[must_use]
    pub fn breaks(self, rule: Self) -> bool {
        cfg!(feature = "sim") && self == rule
    }
}
