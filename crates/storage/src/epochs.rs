//! The leader epochs of a partition and where each begins: pure.

use waybill_types::{LeaderEpoch, Offset};

/// The first offset of each epoch that has records, ascending, and the current epoch, which may have none yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epochs {
    started: Vec<(LeaderEpoch, Offset)>,
    current: LeaderEpoch,
}

impl Epochs {
    /// What is in the log, and the epoch that writes now.
    #[must_use]
    pub fn new(started: Vec<(LeaderEpoch, Offset)>, current: LeaderEpoch) -> Self {
        Self { started, current }
    }

    /// Notes that a batch of `epoch` starts at `base`.
    pub fn appended(&mut self, epoch: LeaderEpoch, base: Offset) {
        if self.started.last().is_none_or(|(last, _)| *last < epoch) {
            self.started.push((epoch, base));
        }
    }

    /// The epochs that have records, with their first offsets.
    #[must_use]
    pub fn started(&self) -> &[(LeaderEpoch, Offset)] {
        &self.started
    }

    /// Drops the epochs that end at or below `log_start`, but keeps the one that `log_start` lies in, now starting
    /// there (`LeaderEpochFileCache.truncateFromStart`).
    pub fn truncate_start(&mut self, log_start: Offset) {
        let keep_from = self.started.iter().rposition(|(_, start)| *start <= log_start);
        if let Some(index) = keep_from {
            self.started.drain(..index);
            if let Some((_, start)) = self.started.first_mut() {
                *start = (*start).max(log_start);
            }
        }
    }

    /// The epoch of the record at `offset`.
    #[must_use]
    pub fn epoch_at(&self, offset: Offset) -> LeaderEpoch {
        let at = self.started.iter().rev().find(|(_, start)| *start <= offset);
        at.or(self.started.first()).map_or(self.current, |(epoch, _)| *epoch)
    }

    /// The largest epoch at or below `requested` and where it ends, for a log that ends at `log_end`; (none, -1) when
    /// `requested` is above every epoch (KIP-279, `LeaderEpochFileCache.endOffsetFor`).
    #[must_use]
    pub fn end_of(&self, requested: LeaderEpoch, log_end: Offset) -> (LeaderEpoch, Offset) {
        let unknown = (LeaderEpoch::NONE, Offset(-1));
        if requested == LeaderEpoch::NONE || requested > self.current {
            return unknown;
        }
        if requested == self.current {
            return (requested, log_end);
        }
        let next = self.started.iter().find(|(epoch, _)| *epoch > requested);
        // The current epoch begins where the log ends as long as nothing was appended in it.
        let end = next.map_or(log_end, |(_, start)| *start);
        let floor = self.started.iter().rev().find(|(epoch, _)| *epoch <= requested);
        (floor.map_or(requested, |(epoch, _)| *epoch), end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs() -> Epochs {
        Epochs::new(vec![(LeaderEpoch(1), Offset(0)), (LeaderEpoch(4), Offset(10))], LeaderEpoch(6))
    }

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let epochs = epochs();
        let end = |epoch| epochs.end_of(LeaderEpoch(epoch), Offset(25));
        assert_eq!(end(-1), (LeaderEpoch::NONE, Offset(-1)));
        // Below every known epoch: the start of the first one.
        assert_eq!(end(0), (LeaderEpoch(0), Offset(0)));
        assert_eq!(end(1), (LeaderEpoch(1), Offset(10)));
        assert_eq!(end(3), (LeaderEpoch(1), Offset(10)));
        // No record was appended in 5 and 6.
        assert_eq!(end(4), (LeaderEpoch(4), Offset(25)));
        assert_eq!(end(5), (LeaderEpoch(4), Offset(25)));
        assert_eq!(end(6), (LeaderEpoch(6), Offset(25)));
        assert_eq!(end(7), (LeaderEpoch::NONE, Offset(-1)));
    }

    #[test]
    fn an_epoch_is_kept_from_its_first_append_on() {
        let mut epochs = epochs();
        epochs.appended(LeaderEpoch(6), Offset(25));
        epochs.appended(LeaderEpoch(6), Offset(26));
        assert_eq!(epochs.started().last(), Some(&(LeaderEpoch(6), Offset(25))));
        assert_eq!(epochs.end_of(LeaderEpoch(4), Offset(30)), (LeaderEpoch(4), Offset(25)));
        assert_eq!(epochs.epoch_at(Offset(9)), LeaderEpoch(1));
        assert_eq!(epochs.epoch_at(Offset(25)), LeaderEpoch(6));
    }

    #[test]
    fn the_epoch_at_the_log_start_stays() {
        let mut epochs = epochs();
        epochs.truncate_start(Offset(12));
        assert_eq!(epochs.started(), [(LeaderEpoch(4), Offset(12))]);
        let mut epochs = super::tests::epochs();
        epochs.truncate_start(Offset(5));
        assert_eq!(epochs.started(), [(LeaderEpoch(1), Offset(5)), (LeaderEpoch(4), Offset(10))]);
    }
}
