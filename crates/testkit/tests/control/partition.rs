//! The one partition, as the simulated controller keeps it: leader, epoch, and the records in its index.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use waybill_types::{BrokerId, Incarnation};

use crate::world::{Chain, Slot};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Partition {
    pub(crate) epoch: i32,
    pub(crate) leader: Option<Chain>,
    pub(crate) log: Vec<u64>,
}

impl Partition {
    pub(crate) fn key() -> Bytes {
        Bytes::from_static(b"\xf0partition")
    }

    pub(crate) fn read(map: &BTreeMap<Bytes, Bytes>) -> Self {
        let Some(bytes) = map.get(&Self::key()) else { return Self::default() };
        let mut numbers = bytes.chunks(8).map(|chunk| u64::from_be_bytes(chunk.try_into().unwrap()));
        let mut next = || numbers.next().unwrap();
        let (epoch, node, incarnation) = (next() as i32, next() as i32, next());
        let leader = Some((BrokerId(node), Incarnation(incarnation)));
        Self { epoch, leader, log: numbers.collect() }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let leader = self.leader.unwrap_or((BrokerId(0), Incarnation(0)));
        let mut out = BytesMut::new();
        out.put_u64(self.epoch as u64);
        out.put_u64(leader.0.get() as u64);
        out.put_u64(leader.1.get());
        self.log.iter().for_each(|record| out.put_u64(*record));
        out.freeze()
    }

    /// Recovery's and index commits' filter: only the current epoch of the chain that it belongs to.
    pub(crate) fn take(&mut self, chain: Chain, slots: impl Iterator<Item = Slot>) {
        if self.leader == Some(chain) {
            let epoch = self.epoch;
            self.log.extend(slots.filter(|slot| slot.epoch == epoch).map(|slot| slot.record));
        }
    }
}
