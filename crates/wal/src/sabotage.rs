//! Known ways to lose data, to prove that the tests can see them. Without the feature `sim` none can be switched on.

/// A rule that is left out on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sabotage {
    /// All rules hold.
    #[default]
    None,
    /// The sink hears of a group after its write, before its sync.
    AckBeforeDurable,
    /// Recovery's scan ends at the first block that is not part of a valid group.
    ScanStopsAtFirstBad,
    /// A file is written again before the trim behind it is durable.
    RecycleBeforeTrim,
    /// A small group is put together with the next one and written again in the same block.
    RewriteBlock,
    /// Recovery does not look at what groups say was durable before them.
    IgnoreDurable,
    /// No empty group is written when the queue stays empty, nor at a clean stop.
    NoCover,
}

impl Sabotage {
    /// Whether `self` is `rule` and may be: constant `false` without the feature `sim`.
    pub(crate) fn breaks(self, rule: Self) -> bool {
        cfg!(feature = "sim") && self == rule
    }
}
