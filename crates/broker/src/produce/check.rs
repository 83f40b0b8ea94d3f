//! What must hold before a batch gets its offsets: permission, topic, partition, and Kafka's rules for batches.

use std::sync::Arc;

use bytes::BytesMut;
use waybill_control::Topic;
use waybill_control::settings::TargetCompression;
use waybill_protocol::ErrorCode;
use waybill_protocol::batch::{
    BodyCheck, Origin, Policy, PreparedBatch, TimestampType, prepare, sole_batch_len,
};
use waybill_protocol::compression::Compression;
use waybill_rt::Running;
use waybill_security::{Action, Authorized, Direction, Operation};
use waybill_storage::{AppendInfo, AppendItem};
use waybill_types::{PartitionId, TopicId, TopicPartition};

use super::answer::Refusal;
use super::plan::{PlannedPartition, PlannedTopic};
use crate::broker::Broker;
use crate::handler::Call;
use crate::handlers::errors::denied;

/// Where the byte of a batch's attributes stands that names its codec.
const ATTRIBUTES_LOW: usize = 22;
/// Compressed batches from this size on are checked off the async workers, in bytes.
const HEAVY_COMPRESSED: usize = 8 << 10;
/// Plain ones from this size on, in bytes.
const HEAVY_PLAIN: usize = 1 << 20;

/// The client id with which Kafka's own tools may write internal topics.
const ADMIN_CLIENT: &str = "__admin_client";

/// A topic that the client may write, with the rules of this moment.
#[derive(Debug)]
pub(crate) struct Writable {
    topic: Authorized<Arc<Topic>>,
    policy: Policy,
    version: i16,
}

/// Finds a topic that the client may write.
///
/// # Errors
/// As Kafka: unknown ids and names, no permission, internal topics.
pub(crate) fn topic(broker: &Broker, call: &Call, planned: &PlannedTopic) -> Result<Writable, Refusal> {
    let image = broker.controller.image();
    let (topic, name) = if call.version >= 13 {
        let topic = image.topic_by_id(TopicId(planned.id.0)).cloned();
        let topic = topic.ok_or_else(|| Refusal::new(ErrorCode::UnknownTopicId))?;
        let name = Arc::clone(&topic.name);
        (Some(topic), name)
    } else {
        (image.topic(&planned.name).cloned(), Arc::from(&*planned.name))
    };
    let gated = broker.gate.require(&call.context, Action::topic(Operation::Write, &name), topic);
    let gated = gated.map_err(|refused| Refusal::new(denied(refused)))?;
    let Some(topic) = gated.as_ref().into_inner().as_ref() else {
        return Err(Refusal::new(ErrorCode::UnknownTopicOrPartition));
    };
    if topic.is_internal() && &*call.context.client_id != ADMIN_CLIENT {
        return Err(Refusal::new(ErrorCode::InvalidTopicException));
    }
    let policy = policy(broker, topic);
    let known = Arc::clone(topic);
    Ok(Writable { topic: gated.map(|_| known), policy, version: call.version })
}

fn policy(broker: &Broker, topic: &Topic) -> Policy {
    let settings = &topic.settings;
    let (compression, compression_level) = match settings.compression {
        TargetCompression::Producer => (None, None),
        TargetCompression::None => (Some(Compression::None), None),
        TargetCompression::Gzip(level) => (Some(Compression::Gzip), (level >= 0).then_some(level)),
        TargetCompression::Snappy => (Some(Compression::Snappy), None),
        TargetCompression::Lz4 => (Some(Compression::Lz4), None),
        TargetCompression::Zstd(level) => (Some(Compression::Zstd), Some(level)),
    };
    Policy {
        now: broker.clock.now(),
        timestamp_type: if settings.log_append_time {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        },
        before_max_ms: settings.timestamp_before_max_ms,
        after_max_ms: settings.timestamp_after_max_ms,
        keys_required: settings.compact,
        compression,
        compression_level,
        max_batch_bytes: settings.max_message_bytes,
        max_decompressed_bytes: settings.max_decompressed_bytes,
        body: if settings.validate_header_only { BodyCheck::HeaderOnly } else { BodyCheck::Full },
        origin: Origin::Client,
    }
}

/// Checks one partition's batch and corrects what Kafka corrects.
///
/// # Errors
/// As Kafka's validation.
pub(crate) async fn partition(
    broker: &Broker,
    call: &Call,
    writable: &Writable,
    planned: PlannedPartition,
) -> Result<AppendItem, Refusal> {
    let topic = writable.topic.as_ref().into_inner();
    let id = TopicPartition::new(topic.id, PartitionId(planned.index));
    let log = broker.engine.partition(&id);
    let log = log.ok_or_else(|| Refusal::new(ErrorCode::UnknownTopicOrPartition))?;
    let mut records = planned.records.unwrap_or_default();
    let length = sole_batch_len(&records, writable.version).map_err(|error| Refusal::from(&error))?;
    records.truncate(length);
    let principal = call.context.principal.to_string();
    broker
        .usage
        .meter(&principal, &call.context.client_id, Some(&topic.name))
        .count(Direction::In, length as u64);
    let batch = checked(broker.running, records, &writable.policy).await?;
    Ok(AppendItem { partition: log, batch, info: AppendInfo::default() })
}

/// Validates a batch: a heavy one where blocking is allowed, so that other connections are served meanwhile.
async fn checked(running: Running, records: BytesMut, policy: &Policy) -> Result<PreparedBatch, Refusal> {
    if !is_heavy(&records, policy) {
        return prepare(records, policy).map_err(|error| Refusal::from(&error));
    }
    let policy = policy.clone();
    let prepared = running.run(move || prepare(records, &policy)).await;
    let prepared = prepared.map_err(|stopped| Refusal::because(ErrorCode::NotLeaderOrFollower, stopped))?;
    prepared.map_err(|error| Refusal::from(&error))
}

/// Whether checking a batch may take long: its body is decompressed (it can grow a thousandfold, up to
/// `max.decompressed.message.bytes`) or compressed anew, or there is much of it. Below these sizes handing it to
/// another thread costs more than it spares.
fn is_heavy(records: &[u8], policy: &Policy) -> bool {
    let is_compressed = records.get(ATTRIBUTES_LOW).is_some_and(|attributes| attributes & 7 != 0);
    let recoded = is_compressed && policy.body == BodyCheck::Full || policy.compression.is_some();
    records.len() >= if recoded { HEAVY_COMPRESSED } else { HEAVY_PLAIN }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_protocol::batch::{BatchBuilder, NewRecord};
    use waybill_rt::{Entropy, SeededEntropy};
    use waybill_types::TimestampMs;

    fn batch(codec: Compression, bytes: usize) -> BytesMut {
        let mut builder = BatchBuilder::new(codec);
        // Bytes that hardly compress.
        let noise = SeededEntropy::new(1);
        let mut value = vec![0; bytes];
        noise.fill(&mut value);
        let record = NewRecord { timestamp: TimestampMs(1), value: Some(&value), ..NewRecord::default() };
        builder.push(record).unwrap();
        BytesMut::from(&builder.build_bytes().unwrap()[..])
    }

    #[test]
    fn what_may_take_long_is_told_from_the_head() {
        let policy = Policy::default();
        assert!(!is_heavy(&batch(Compression::None, 100_000), &policy));
        assert!(is_heavy(&batch(Compression::None, 1 << 20), &policy));
        assert!(!is_heavy(&batch(Compression::Gzip, 1_000), &policy));
        assert!(is_heavy(&batch(Compression::Gzip, 100_000), &policy));
        assert!(is_heavy(&batch(Compression::Lz4, 100_000), &policy));
        let header_only = Policy { body: BodyCheck::HeaderOnly, ..Policy::default() };
        assert!(!is_heavy(&batch(Compression::Gzip, 100_000), &header_only));
        let recoding = Policy { compression: Some(Compression::Zstd), ..Policy::default() };
        assert!(is_heavy(&batch(Compression::None, 100_000), &recoding));
        assert!(!is_heavy(&[], &policy));
    }

    #[tokio::test]
    async fn both_ways_judge_alike() {
        let policy = Policy { now: TimestampMs(1 << 40), ..Policy::default() };
        for running in [Running::Inline, Running::Blocking] {
            let sound = batch(Compression::Gzip, 100_000);
            let mut damaged = sound.clone();
            let last = damaged.len() - 1;
            damaged[last] ^= 1;
            assert!(checked(running, sound, &policy).await.is_ok());
            assert_eq!(checked(running, damaged, &policy).await.unwrap_err().code, ErrorCode::CorruptMessage);
        }
    }
}
