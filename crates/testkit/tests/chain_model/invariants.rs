//! What must hold in every state.

use waybill_wal::chain::ledger::ChainState;

use crate::world::{NEXT_LEADERS, Object, Place, World};

impl World {
    /// The log as it will be if a recovery runs now and nobody else does anything: the index, and, while the chain is not
    /// closed, the data from the trim up to the first slot that is none.
    pub(crate) fn log(&self) -> Vec<Object> {
        let mut log: Vec<Object> = self.index.iter().map(|(record, _)| *record).collect();
        if !matches!(self.ledger.state(), ChainState::Closed(_)) {
            let mut slot = self.ledger.trim();
            while self.is_data(slot) {
                log.push(self.objects[slot as usize]);
                slot += 1;
            }
        }
        log
    }

    /// The first rule that is broken.
    pub(crate) fn violation(&self) -> Option<String> {
        let log = self.log();
        for (offset, record) in self.acked.iter().enumerate() {
            if log.get(offset) != Some(record) || !matches!(record, Object::Record(_)) {
                return Some(format!("I1 acked {record:?} is not at offset {offset} of {log:?}"));
            }
        }
        if let Some(offset) = self.next_leader
            && log.get(usize::from(offset)) != Some(&NEXT_LEADERS)
        {
            return Some(format!("I1 the next leader's record is not at offset {offset} of {log:?}"));
        }
        for (offset, (record, place)) in self.index.iter().enumerate() {
            let own = match record {
                Object::Record(number) if *number < 200 => usize::from(number % 100) == offset + 1,
                Object::Record(_) => true,
                _ => false,
            };
            if !own {
                return Some(format!("I2 the index has {record:?} at offset {offset}"));
            }
            if let Place::Slot(slot) = place
                && self.objects[usize::from(*slot)] != *record
            {
                return Some(format!("I6 the index names slot {slot}, which does not hold {record:?}"));
            }
        }
        for (offset, record) in &self.seen {
            if log.get(usize::from(*offset)) != Some(record) {
                return Some(format!("I4 a reader was shown {record:?} at offset {offset} of {log:?}"));
            }
        }
        None
    }
}
