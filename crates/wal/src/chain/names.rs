//! What the objects of a chain are called.

use std::fmt;

use waybill_types::{BrokerId, Incarnation};

/// The number of an object in its chain: 0 is the open record.
pub type Slot = u64;

/// One life of one broker's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId {
    /// The broker.
    pub broker: BrokerId,
    /// Its incarnation.
    pub incarnation: Incarnation,
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wal/{}/{}", self.broker, self.incarnation)
    }
}

impl ChainId {
    /// What the names of all its objects start with.
    #[must_use]
    pub fn prefix(self) -> String {
        format!("{self}/")
    }

    /// The name of an object: `wal/<broker>/<incarnation>/<slot>`, the slot in 20 digits.
    #[must_use]
    pub fn slot(self, slot: Slot) -> String {
        format!("{self}/{slot:020}")
    }

    /// Which slot of this chain an object's name is.
    #[must_use]
    pub fn parse(self, name: &str) -> Option<Slot> {
        let digits = name.strip_prefix(&self.prefix())?;
        (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| digits.parse().ok())
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let chain = ChainId { broker: BrokerId(3), incarnation: Incarnation(12) };
        assert_eq!(chain.slot(7), "wal/3/12/00000000000000000007");
        assert_eq!(chain.parse(&chain.slot(u64::MAX)), Some(u64::MAX));
        let other = ChainId { broker: BrokerId(3), incarnation: Incarnation(1) };
        assert_eq!(other.parse(&chain.slot(7)), None);
        for name in ["wal/3/12/7", "wal/3/12/0000000000000000000x", "wal/3/12/+0000000000000000007"] {
            assert_eq!(chain.parse(name), None);
        }
    }
}
