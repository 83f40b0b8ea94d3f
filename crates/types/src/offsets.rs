//! Places in a partition's log and the epochs that fence them.

use crate::ids::integer_newtype;

integer_newtype!(
    /// A record's place in its partition's log, dense from 0.
    Offset(i64)
);
integer_newtype!(
    /// A partition's leader epoch (KIP-101): grows each time the partition's WAL chain changes.
    LeaderEpoch(i32)
);
integer_newtype!(
    /// The sequence number of an idempotent producer's record, wrapping to 0 after 2^31-1 (KIP-98).
    Sequence(i32)
);
integer_newtype!(
    /// The epoch of a transaction coordinator, carried by control records; -1 means none.
    CoordinatorEpoch(i32)
);

impl Offset {
    /// The first offset of every log.
    pub const ZERO: Self = Self(0);

    /// The offset `count` records further.
    #[must_use]
    pub const fn plus(self, count: i64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// The offset that follows this one.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }
}

impl LeaderEpoch {
    /// "No epoch", as Kafka encodes it.
    pub const NONE: Self = Self(-1);

    /// The epoch after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Sequence {
    /// The sequence in batches of producers that are not idempotent.
    pub const NONE: Self = Self(-1);

    /// The sequence `count` records further, wrapping from 2^31-1 to 0 as Kafka's producers do.
    #[must_use]
    pub const fn plus(self, count: i32) -> Self {
        let sum = self.0 as i64 + count as i64;
        Self((sum & 0x7fff_ffff) as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_to_zero_after_the_largest() {
        assert_eq!(Sequence(i32::MAX).plus(1), Sequence(0));
        assert_eq!(Sequence(i32::MAX - 1).plus(3), Sequence(1));
        assert_eq!(Sequence(5).plus(2), Sequence(7));
    }
}
