//! Known ways to lose data, to prove that the tests can see them. Without the feature `sim` none can be switched on.

/// A rule that is left out on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
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
    /// Chain: a slot is acked when it is sent.
    AckUnwritten,
    /// Chain: a slot is acked whatever is before it.
    AckOutOfOrder,
    /// Chain: a create that finds its name taken is taken for our own success.
    ExistsIsOurs,
    /// Chain: a slot of unknown outcome is left behind and the next ones are acked.
    SkipSlot,
    /// Chain: a slot of unknown outcome is filled with an empty object.
    VoidSlot,
    /// Chain: a slot of unknown outcome is sent with other bytes, and a read-back does not compare the checksum.
    ReuseSlot,
    /// Chain: a seal's create of unknown outcome is taken for a seal.
    SealTimeoutIsSeal,
    /// Chain: a seal's create that finds the name taken is taken for a seal.
    SealExistsIsSeal,
    /// Chain: the seal behind the last listed slot is the end; the first free slot is not looked for.
    SealBehindListed,
    /// Chain: the seal ahead is the end.
    SealAheadIsEnd,
    /// Chain: nothing is sealed.
    NoSeal,
    /// Chain: the trim is read before the commit that starts the recovery. Open chains are deleted from.
    StaleTrim,
    /// Chain: the writer's index commits go on during a recovery. Open chains are deleted from.
    NoFreeze,
    /// Chain: a recovery's commit does not check that the chain is still its own. Open chains are deleted from.
    RecoveryUnchecked,
    /// Chain: the writer's index commits check neither state nor epoch nor where they follow.
    IndexUnchecked,
    /// Chain: recovery takes batches of other epochs and chains, and those that are in the index already.
    NoEpochFilter,
    /// Chain: recovery takes what stands beyond the seal.
    TakeOrphans,
    /// Chain: what the index still names is deleted.
    DeleteNamed,
    /// Chain: a slot is deleted before the commit that drops its name.
    DeleteEarly,
    /// Chain: the seal at a chain's end is deleted.
    DeleteSeal,
    /// Chain: what the index does not name is deleted from open chains too.
    SweepOpen,
    /// Chain: a reader serves what stands behind a hole.
    ReadPastHole,
}

impl Sabotage {
    /// Whether `self` is `rule` and may be: constant `false` without the feature `sim`.
    #[must_use]
    pub fn breaks(self, rule: Self) -> bool {
        cfg!(feature = "sim") && self == rule
    }

    /// Whether `self` is one of `rules` and may be.
    #[must_use]
    pub fn any(self, rules: &[Self]) -> bool {
        cfg!(feature = "sim") && rules.contains(&self)
    }
}
