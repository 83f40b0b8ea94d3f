//! A Produce request taken apart: what goes where, each batch a mutable piece of the frame it came in.

use bytes::{Bytes, BytesMut};
use waybill_protocol::ErrorCode;
use waybill_protocol::framing::{carve, range_in};
use waybill_protocol::wire::{DecodeError, KString, Message, Uuid};
use waybill_protocol_gen::messages::ProduceRequest;

use super::answer::Refusal;
use crate::connection::bounded_reader;

/// The request.
#[derive(Debug)]
pub(crate) struct Plan {
    /// -1, 0 or 1; anything else is refused.
    pub(crate) acks: i16,
    /// How long the client waits, in ms.
    pub(crate) timeout_ms: i32,
    /// Whether it names a transactional id.
    pub(crate) transactional: bool,
    /// Bytes of the frame that the batches are pieces of.
    pub(crate) frame_bytes: usize,
    /// What goes where.
    pub(crate) topics: Vec<PlannedTopic>,
}

/// One topic of the request.
#[derive(Debug)]
pub(crate) struct PlannedTopic {
    /// Its name, up to v12.
    pub(crate) name: KString,
    /// Its id, from v13 on.
    pub(crate) id: Uuid,
    /// Its partitions.
    pub(crate) partitions: Vec<PlannedPartition>,
}

/// One partition of the request.
#[derive(Debug)]
pub(crate) struct PlannedPartition {
    /// Its index.
    pub(crate) index: i32,
    /// Its records, if there are any.
    pub(crate) records: Option<BytesMut>,
}

impl Plan {
    /// Reads the request that begins at `body` of `frame`, and cuts the frame into its batches without copying.
    ///
    /// # Errors
    /// When the bytes are no Produce request.
    pub(crate) fn decode(frame: Bytes, body: usize, version: i16) -> Result<Self, DecodeError> {
        let mut reader = bounded_reader(frame.slice(body..));
        let request = ProduceRequest::decode(&mut reader, version)?;
        drop(reader);
        let frame_bytes = frame.len();
        let mut ranges = Vec::new();
        let topics = request.topic_data.into_iter().map(|topic| {
            let partitions = topic.partition_data.into_iter().map(|partition| {
                let bytes = partition.records.map(|records| records.to_bytes());
                let range = bytes.as_deref().and_then(|bytes| range_in(&frame, bytes));
                let has_records = range.is_some();
                ranges.extend(range);
                (partition.index, has_records)
            });
            (topic.name, topic.topic_id, partitions.collect::<Vec<_>>())
        });
        let topics: Vec<_> = topics.collect();
        // Nothing else holds the frame now, so its batches can be written in place; a copy is only the way out.
        let frame = frame.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
        // The decoder reads front to back, so the ranges are in order and disjoint.
        let mut pieces = carve(frame, &ranges).unwrap_or_default().into_iter();
        let topics = topics.into_iter().map(|(name, id, partitions)| {
            let partitions = partitions.into_iter().map(|(index, has_records)| {
                let records = if has_records { pieces.next() } else { None };
                PlannedPartition { index, records }
            });
            PlannedTopic { name, id, partitions: partitions.collect() }
        });
        Ok(Self {
            acks: request.acks,
            timeout_ms: request.timeout_ms,
            frame_bytes,
            transactional: request.transactional_id.is_some(),
            topics: topics.collect(),
        })
    }

    /// Bytes of records in all.
    pub(crate) fn record_bytes(&self) -> usize {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.filter_map(|partition| partition.records.as_ref()).map(BytesMut::len).sum()
    }

    /// What refuses the request whole.
    pub(crate) fn problem(&self) -> Option<Refusal> {
        if !matches!(self.acks, -1..=1) {
            return Some(Refusal::new(ErrorCode::InvalidRequiredAcks));
        }
        self.transactional.then(|| {
            Refusal::because(
                ErrorCode::InvalidTxnState,
                "this broker does not serve transactions yet: remove transactional.id",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_protocol::wire::Writer;
    use waybill_protocol_gen::messages::produce_request::{PartitionProduceData, TopicProduceData};

    #[test]
    fn batches_are_pieces_of_the_frame_they_came_in() {
        let partition = |index, records: &'static [u8]| PartitionProduceData {
            index,
            records: Some(Bytes::from_static(records).into()),
            ..PartitionProduceData::default()
        };
        let topic = |name: &str, partition_data| TopicProduceData {
            name: name.into(),
            partition_data,
            ..TopicProduceData::default()
        };
        let empty = PartitionProduceData { index: 2, records: None, ..PartitionProduceData::default() };
        let request = ProduceRequest {
            acks: -1,
            topic_data: vec![
                topic("a", vec![partition(0, b"first"), empty]),
                topic("b", vec![partition(7, b"second"), partition(8, b"")]),
            ],
            ..ProduceRequest::default()
        };
        let mut writer = Writer::new();
        writer.raw(b"head");
        request.encode(&mut writer, 9).unwrap();
        let mut owned = BytesMut::from(&writer.into_bytes().unwrap()[..]);
        let within = owned.as_mut_ptr() as usize..owned.as_mut_ptr() as usize + owned.len();
        let plan = Plan::decode(owned.freeze(), 4, 9).unwrap();
        assert_eq!(plan.record_bytes(), 11);
        let flat: Vec<_> = plan.topics.iter().flat_map(|topic| &topic.partitions).collect();
        let records: Vec<_> = flat.iter().map(|part| part.records.as_deref()).collect();
        assert_eq!(records, [Some(&b"first"[..]), None, Some(b"second"), Some(b"")]);
        assert!(within.contains(&(flat[0].records.as_ref().unwrap().as_ptr() as usize)), "copied");
        assert!(plan.problem().is_none());
    }
}
