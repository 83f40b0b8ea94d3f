//! Where a group's offsets should be set to (KIP-122).

use std::collections::BTreeMap;

use waybill_types::TimestampMs;

use super::offsets::{Committed, OffsetSpec, PartitionOffset, TopicPartition};
use crate::client::Client;
use crate::error::ClientError;

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetTarget {
    /// The first record kept.
    Earliest,
    /// Behind the last record.
    Latest,
    /// Where the group is; the end, where it is nowhere.
    Current,
    /// This offset.
    Offset(i64),
    /// So many records on, or back when negative.
    Shift(i64),
    /// The first record of this time or later; the end, when there is none.
    Time(TimestampMs),
}

/// What a reset would do to a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedReset {
    /// The partition.
    pub at: TopicPartition,
    /// What the group has committed.
    pub current: Option<i64>,
    /// What it would be set to.
    pub new: i64,
    /// Whether what was asked for lies outside the log, so that its nearer end was taken.
    pub clamped: bool,
}

/// What is known of a partition when a reset is planned.
struct Known {
    start: i64,
    end: i64,
    current: Option<i64>,
    at_time: Option<i64>,
}

impl ResetTarget {
    fn wanted(self, known: &Known) -> i64 {
        match self {
            Self::Earliest => known.start,
            Self::Latest => known.end,
            Self::Current => known.current.unwrap_or(known.end),
            Self::Offset(offset) => offset,
            Self::Shift(by) => known.current.unwrap_or(known.end).saturating_add(by),
            Self::Time(_) => known.at_time.unwrap_or(known.end),
        }
    }

    fn plan(self, at: &TopicPartition, known: &Known) -> PlannedReset {
        let wanted = self.wanted(known);
        let new = wanted.clamp(known.start, known.end.max(known.start));
        PlannedReset { at: at.clone(), current: known.current, new, clamped: new != wanted }
    }
}

impl Client {
    /// Works out what [`ResetTarget`] means for each partition of a group, without changing anything; what comes out
    /// is to be committed with [`Client::commit_offsets`].
    ///
    /// # Errors
    /// As [`Client::list_offsets`] and [`Client::committed_offsets`].
    pub async fn plan_reset(
        &self,
        group: &str,
        partitions: &[TopicPartition],
        target: ResetTarget,
    ) -> Result<Vec<PlannedReset>, ClientError> {
        let committed = self.committed_offsets(group).await?;
        let starts = self.list_offsets(partitions, OffsetSpec::Earliest).await?;
        let ends = self.list_offsets(partitions, OffsetSpec::Latest).await?;
        let times = match target {
            ResetTarget::Time(time) => self.list_offsets(partitions, OffsetSpec::AtOrAfter(time)).await?,
            _ => BTreeMap::new(),
        };
        let offset =
            |of: &BTreeMap<TopicPartition, PartitionOffset>, at| of.get(at).and_then(|found| found.offset);
        let plan = partitions.iter().map(|at| {
            let known = Known {
                start: offset(&starts, at).unwrap_or(0),
                end: offset(&ends, at).unwrap_or(0),
                current: committed.get(at).map(|committed: &Committed| committed.offset),
                at_time: offset(&times, at),
            };
            target.plan(at, &known)
        });
        Ok(plan.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(target: ResetTarget, current: Option<i64>, at_time: Option<i64>) -> (i64, bool) {
        let plan = target.plan(&TopicPartition::new("t", 0), &Known { start: 10, end: 20, current, at_time });
        assert_eq!(plan.current, current);
        (plan.new, plan.clamped)
    }

    #[test]
    fn targets_are_kept_inside_the_log() {
        assert_eq!(planned(ResetTarget::Earliest, Some(15), None), (10, false));
        assert_eq!(planned(ResetTarget::Latest, None, None), (20, false));
        assert_eq!(planned(ResetTarget::Current, Some(15), None), (15, false));
        assert_eq!(planned(ResetTarget::Current, None, None), (20, false));
        assert_eq!(planned(ResetTarget::Current, Some(5), None), (10, true));
        assert_eq!(planned(ResetTarget::Offset(12), Some(15), None), (12, false));
        assert_eq!(planned(ResetTarget::Offset(-3), None, None), (10, true));
        assert_eq!(planned(ResetTarget::Offset(i64::MAX), None, None), (20, true));
        assert_eq!(planned(ResetTarget::Shift(-3), Some(15), None), (12, false));
        assert_eq!(planned(ResetTarget::Shift(i64::MAX), Some(15), None), (20, true));
        assert_eq!(planned(ResetTarget::Time(TimestampMs(1)), Some(15), Some(13)), (13, false));
        assert_eq!(planned(ResetTarget::Time(TimestampMs(1)), Some(15), None), (20, false));
    }
}
