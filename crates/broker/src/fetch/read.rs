//! One pass over the partitions of a fetch.

use std::sync::Arc;

use waybill_control::Topic;
use waybill_protocol::ErrorCode;
use waybill_protocol::wire::Records;
use waybill_protocol_gen::messages::fetch_response::{AbortedTransaction, EpochEndOffset, PartitionData};
use waybill_security::{Action, Authorized, Operation};
use waybill_storage::{Partition, ReadBound, ReadError, ReadOutcome, ReadRequest, Waiter};
use waybill_types::{LeaderEpoch, Offset, PartitionId, TopicId, TopicPartition};

use super::replay;
use super::session::{PartitionKey, Wanted};
use crate::broker::Broker;
use crate::handler::Call;
use crate::handlers::errors::{denied, read_code};

/// What a fetch may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The most bytes in all; one batch is given even if it is larger.
    pub(crate) max_bytes: usize,
    /// Fewer are not worth an answer before the deadline.
    pub(crate) min_bytes: usize,
    /// `read_committed`: nothing of open or aborted transactions.
    pub(crate) committed_only: bool,
}

/// A partition's answer.
#[derive(Debug)]
pub(crate) struct PartitionAnswer {
    /// As the client named it.
    pub(crate) key: PartitionKey,
    /// Its topic, when it is known and may be read.
    pub(crate) topic: Option<Arc<Topic>>,
    /// What is told.
    pub(crate) data: PartitionData,
    /// From where it was wanted.
    from: i64,
    /// Bytes of records.
    pub(crate) bytes: usize,
    /// Whether it carries an error.
    pub(crate) failed: bool,
}

impl PartitionAnswer {
    /// Whether there are records for which there was no room.
    pub(super) fn left_out(&self, bounds: Bounds) -> bool {
        let end = if bounds.committed_only { self.data.last_stable_offset } else { self.data.high_watermark };
        self.bytes == 0 && !self.failed && self.from < end
    }
}

/// A partition that may be read.
#[derive(Debug)]
struct Readable {
    topic: Authorized<Arc<Topic>>,
    log: Arc<Partition>,
}

/// The partitions of a fetch, resolved once.
pub(crate) struct Reading<'a> {
    partitions: Vec<(&'a Wanted, Result<Readable, ErrorCode>)>,
}

impl<'a> Reading<'a> {
    /// Finds what is wanted, as far as the client may read it.
    pub(crate) fn resolve(broker: &Broker, call: &Call, wanted: &'a [Wanted]) -> Self {
        let mut last: Option<(&PartitionKey, Known)> = None;
        let partitions = wanted.iter().map(|one| {
            let topic = match &last {
                Some((key, topic)) if key.name == one.key.name && key.id == one.key.id => topic.clone(),
                _ => {
                    let topic = find(broker, call, &one.key);
                    last = Some((&one.key, topic.clone()));
                    topic
                }
            };
            (one, topic.and_then(|topic| open(broker, topic, one)))
        });
        Self { partitions: partitions.collect() }
    }

    /// A token for each partition that may be read.
    pub(crate) fn tokens(&self) -> Vec<u32> {
        let readable = (0u32..).zip(&self.partitions).filter(|(_, (_, readable))| readable.is_ok());
        readable.map(|(token, _)| token).collect()
    }

    /// Arms `waiter` on partitions for records behind what `answers` saw; gives the tokens of those that have more
    /// already.
    pub(crate) fn arm(&self, waiter: &Waiter, tokens: &[u32], answers: &[PartitionAnswer]) -> Vec<u32> {
        let mut news = Vec::new();
        for token in tokens {
            let at = *token as usize;
            if let (Some((_, Ok(readable))), Some(answer)) = (self.partitions.get(at), answers.get(at))
                && !readable.log.watch(waiter, *token, Offset(answer.data.high_watermark))
            {
                news.push(*token);
            }
        }
        news
    }

    /// Reads each in turn, until the bytes are used up.
    pub(crate) async fn pass(&self, broker: &Broker, call: &Call, bounds: Bounds) -> Vec<PartitionAnswer> {
        let mut answers = Vec::with_capacity(self.partitions.len());
        let mut left = bounds.max_bytes;
        let mut any = false;
        let starts = self.partitions.iter().filter_map(|(wanted, readable)| {
            Some((Arc::clone(&readable.as_ref().ok()?.log), Offset(wanted.offset)))
        });
        broker.engine.gather(starts).await;
        for (wanted, readable) in &self.partitions {
            let answer = match readable {
                Ok(readable) => {
                    let most = left.min(usize::try_from(wanted.max_bytes).unwrap_or_default());
                    read(broker, call, wanted, readable, most, !any, bounds.committed_only).await
                }
                Err(code) => failed(wanted, None, *code),
            };
            any |= answer.bytes > 0;
            // What does not fit was loaded in vain. The rest is told without loading more; it comes first next time.
            left = if any && answer.left_out(bounds) { 0 } else { left.saturating_sub(answer.bytes) };
            answers.push(answer);
        }
        answers
    }
}

/// A topic that may be read, or why not.
type Known = Result<Authorized<Arc<Topic>>, ErrorCode>;

fn find(broker: &Broker, call: &Call, key: &PartitionKey) -> Known {
    let image = broker.controller.image();
    let (topic, name) = if call.version >= 13 {
        let topic = image.topic_by_id(TopicId(key.id.0)).cloned().ok_or(ErrorCode::UnknownTopicId)?;
        let name = Arc::clone(&topic.name);
        (Some(topic), name)
    } else {
        (image.topic(&key.name).cloned(), Arc::from(&*key.name))
    };
    let gated = broker.gate.require(&call.context, Action::topic(Operation::Read, &name), topic);
    let gated = gated.map_err(denied)?;
    let known = gated.as_ref().into_inner().clone().ok_or(ErrorCode::UnknownTopicOrPartition)?;
    Ok(gated.map(|_| known))
}

fn open(broker: &Broker, topic: Authorized<Arc<Topic>>, wanted: &Wanted) -> Result<Readable, ErrorCode> {
    let id = TopicPartition::new(topic.as_ref().into_inner().id, PartitionId(wanted.key.partition));
    let log = broker.engine.partition(&id).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    Ok(Readable { topic, log })
}

/// Judges the leader epoch that a client believes in (KIP-320).
///
/// # Errors
/// FENCED_LEADER_EPOCH when it is old, UNKNOWN_LEADER_EPOCH when it is not known here yet.
pub fn check_epoch(log: &Partition, believed: i32) -> Result<(), ErrorCode> {
    let leader = log.leader_epoch().get();
    match believed {
        -1 => Ok(()),
        old if old < leader => Err(ErrorCode::FencedLeaderEpoch),
        new if new > leader => Err(ErrorCode::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}

async fn read(
    broker: &Broker,
    call: &Call,
    wanted: &Wanted,
    readable: &Readable,
    most: usize,
    first: bool,
    committed_only: bool,
) -> PartitionAnswer {
    let topic = readable.topic.as_ref().into_inner();
    let log = &readable.log;
    if let Err(code) = check_epoch(log, wanted.current_leader_epoch) {
        let mut answer = failed(wanted, Some(topic), code);
        let of = TopicPartition::new(topic.id, PartitionId(wanted.key.partition));
        answer.data.current_leader = broker.leader(&of).into();
        return answer;
    }
    if let Some(diverging) = diverging(log, wanted) {
        let mut answer = told(wanted, topic, log);
        answer.data.diverging_epoch = diverging;
        answer.failed = true;
        return answer;
    }
    let bound = if committed_only { ReadBound::LastStable } else { ReadBound::HighWatermark };
    let from = Offset(wanted.offset);
    let request = ReadRequest { from, max_bytes: most, at_least_one: first, bound };
    match log.read(request).await {
        Ok(outcome) => {
            let permitted = outcome.batches.is_empty()
                || replay::permits(broker, call, topic, log, from, outcome.bytes()).await;
            if permitted {
                success(wanted, topic, outcome, committed_only)
            } else {
                failed(wanted, Some(topic), ErrorCode::TopicAuthorizationFailed)
            }
        }
        Err(error) => {
            if !matches!(error, ReadError::OutOfRange { .. }) {
                tracing::error!(partition = %log.id(), offset = wanted.offset, %error, "a read failed");
            }
            let mut answer = told(wanted, topic, log);
            answer.data.error_code = read_code(&error).code();
            answer.failed = true;
            answer
        }
    }
}

/// Where the client's history parts from the log's, if it says which epoch it last read.
fn diverging(log: &Partition, wanted: &Wanted) -> Option<EpochEndOffset> {
    if wanted.last_fetched_epoch < 0 {
        return None;
    }
    let (epoch, end) = log.epoch_end(LeaderEpoch(wanted.last_fetched_epoch));
    if epoch == LeaderEpoch::NONE {
        return None;
    }
    let parted = epoch.get() < wanted.last_fetched_epoch || end.get() < wanted.offset;
    parted.then(|| EpochEndOffset { epoch: epoch.get(), end_offset: end.get(), ..EpochEndOffset::default() })
}

fn told(wanted: &Wanted, topic: &Arc<Topic>, log: &Partition) -> PartitionAnswer {
    let data = PartitionData {
        partition_index: wanted.key.partition,
        high_watermark: log.high_watermark().get(),
        last_stable_offset: log.last_stable_offset().get(),
        log_start_offset: log.log_start().get(),
        records: Some(Records::new()),
        ..PartitionData::default()
    };
    let topic = Some(Arc::clone(topic));
    PartitionAnswer { key: wanted.key.clone(), from: wanted.offset, topic, data, bytes: 0, failed: false }
}

fn failed(wanted: &Wanted, topic: Option<&Arc<Topic>>, code: ErrorCode) -> PartitionAnswer {
    let data = PartitionData {
        partition_index: wanted.key.partition,
        error_code: code.code(),
        high_watermark: -1,
        records: Some(Records::new()),
        ..PartitionData::default()
    };
    PartitionAnswer {
        key: wanted.key.clone(),
        from: wanted.offset,
        topic: topic.cloned(),
        data,
        bytes: 0,
        failed: true,
    }
}

fn success(
    wanted: &Wanted,
    topic: &Arc<Topic>,
    outcome: ReadOutcome,
    committed_only: bool,
) -> PartitionAnswer {
    let bytes = outcome.bytes();
    let aborted = committed_only.then(|| {
        let aborted = outcome.aborted.iter().map(|aborted| AbortedTransaction {
            producer_id: aborted.producer_id.get(),
            first_offset: aborted.first_offset.get(),
            ..AbortedTransaction::default()
        });
        aborted.collect()
    });
    let data = PartitionData {
        partition_index: wanted.key.partition,
        high_watermark: outcome.high_watermark.get(),
        last_stable_offset: outcome.last_stable.get(),
        log_start_offset: outcome.log_start.get(),
        aborted_transactions: aborted,
        records: Some(outcome.batches.into()),
        ..PartitionData::default()
    };
    let topic = Some(Arc::clone(topic));
    PartitionAnswer { key: wanted.key.clone(), from: wanted.offset, topic, data, bytes, failed: false }
}
