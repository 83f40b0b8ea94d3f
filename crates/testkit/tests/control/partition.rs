//! A partition, as the simulated controller keeps it: leader, epoch, and the records in its index.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use waybill_types::{BrokerId, Incarnation, LeaderEpoch, Offset};
use waybill_wal::chain::ledger::{PartitionMark, Verdict};
use waybill_wal::chain::names::ChainId;
use waybill_wal::{FrameHeader, Sabotage};

use crate::world::{Chain, Slot, partition};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Partition {
    pub(crate) epoch: i32,
    pub(crate) leader: Option<Chain>,
    /// The epoch shall end: its leader is, or will be, asked to release it.
    pub(crate) ending: bool,
    /// The epoch has ended: what a recovery found of it is in the log.
    pub(crate) ended: bool,
    /// Where the log ended when the epoch began.
    pub(crate) start: i64,
    pub(crate) log: Vec<u64>,
}

pub(crate) fn chain_id((broker, incarnation): Chain) -> ChainId {
    ChainId { broker, incarnation }
}

impl Partition {
    pub(crate) fn key(number: usize) -> Bytes {
        vec![0xf0, number as u8].into()
    }

    pub(crate) fn read(map: &BTreeMap<Bytes, Bytes>, number: usize) -> Self {
        let Some(bytes) = map.get(&Self::key(number)) else { return Self::default() };
        let mut numbers = bytes.chunks(8).map(|chunk| u64::from_be_bytes(chunk.try_into().unwrap()));
        let mut next = || numbers.next().unwrap();
        let (epoch, node, incarnation) = (next() as i32, next() as i32, next());
        let (ending, ended, start) = (next() == 1, next() == 1, next() as i64);
        let leader = Some((BrokerId(node), Incarnation(incarnation)));
        Self { epoch, leader, ending, ended, start, log: numbers.collect() }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let leader = self.leader.unwrap_or((BrokerId(0), Incarnation(0)));
        let mut out = BytesMut::new();
        out.put_u64(self.epoch as u64);
        out.put_u64(leader.0.get() as u64);
        out.put_u64(leader.1.get());
        out.put_u64(u64::from(self.ending));
        out.put_u64(u64::from(self.ended));
        out.put_i64(self.start);
        self.log.iter().for_each(|record| out.put_u64(*record));
        out.freeze()
    }

    /// The next epoch, led by another chain or the same one.
    pub(crate) fn next_epoch(self, leader: Chain) -> Self {
        let start = self.log.len() as i64;
        Self {
            epoch: self.epoch + 1,
            leader: Some(leader),
            ending: false,
            ended: false,
            start,
            log: self.log,
        }
    }

    /// What recoveries and index commits take, as production decides it. Says whether a batch was missing.
    pub(crate) fn take(
        &mut self,
        chain: Chain,
        number: usize,
        slots: impl Iterator<Item = Slot>,
        sabotage: Sabotage,
    ) -> bool {
        let Some(leader) = self.leader else { return false };
        let mut mark = PartitionMark {
            epoch: LeaderEpoch(self.epoch),
            chain: chain_id(leader),
            end: Offset(self.log.len() as i64),
        };
        for slot in slots.filter(|slot| slot.partition == number) {
            let mut batch = FrameHeader::plain(partition(number));
            batch.leader_epoch = LeaderEpoch(slot.epoch);
            (batch.base_offset, batch.last_offset) = (Offset(slot.base), Offset(slot.base));
            match mark.judge(chain_id(chain), &batch, sabotage) {
                Verdict::Take => {
                    mark.take(&batch);
                    self.log.push(slot.record);
                }
                Verdict::Skip => {}
                Verdict::Gap => return true,
            }
        }
        false
    }
}
