//! The response to Produce.

use std::pin::pin;
use std::time::Duration;

use futures::future::{self, Either};
use waybill_protocol::ErrorCode;
use waybill_protocol::batch::{BatchError, BatchErrorKind};
use waybill_protocol::wire::{KString, Uuid};
use waybill_protocol_gen::messages::ProduceResponse;
use waybill_protocol_gen::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use waybill_storage::{Ack, AppendError, Appended};
use waybill_types::{PartitionId, TopicId, TopicPartition};

use crate::broker::Broker;
use crate::handler::Call;
use crate::handlers::errors::{ack_code, append_code};

/// Why a batch was not appended.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// The code.
    pub(crate) code: ErrorCode,
    message: Option<KString>,
    records: Vec<(i32, KString)>,
}

impl Refusal {
    /// A code alone.
    pub(crate) fn new(code: ErrorCode) -> Self {
        Self { code, message: None, records: Vec::new() }
    }

    /// A code and what to do about it.
    pub(crate) fn because(code: ErrorCode, message: impl std::fmt::Display) -> Self {
        Self { code, message: Some(message.to_string().into()), records: Vec::new() }
    }
}

impl From<&BatchError> for Refusal {
    fn from(error: &BatchError) -> Self {
        let code = match error.kind() {
            BatchErrorKind::Corrupt => ErrorCode::CorruptMessage,
            BatchErrorKind::InvalidRecord => ErrorCode::InvalidRecord,
            BatchErrorKind::InvalidTimestamp => ErrorCode::InvalidTimestamp,
            BatchErrorKind::TooLarge => ErrorCode::MessageTooLarge,
            BatchErrorKind::UnsupportedCompression => ErrorCode::UnsupportedCompressionType,
        };
        let records = error.record_errors().iter();
        let records = records.map(|record| (record.index, record.message.as_str().into())).collect();
        Self { records, ..Self::because(code, error) }
    }
}

impl From<&AppendError> for Refusal {
    fn from(error: &AppendError) -> Self {
        Self::because(append_code(error), error)
    }
}

/// What became of a batch so far.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It waits for its offsets, as the n-th of the request.
    Queued(usize),
    /// It has offsets; the ack of the request waits.
    Appended(Appended),
    /// It was not appended.
    Refused(Refusal),
}

/// One topic of the answer.
#[derive(Debug)]
pub(crate) struct TopicAnswer {
    /// Its name, up to v12.
    pub(crate) name: KString,
    /// Its id, from v13 on.
    pub(crate) id: Uuid,
    /// What became of each partition.
    pub(crate) partitions: Vec<(i32, Outcome)>,
}

/// The answer, once all has settled.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its topics.
    pub(crate) topics: Vec<TopicAnswer>,
    /// Resolves once all that was appended is durable.
    pub(crate) ack: Option<Ack>,
}

impl Answer {
    /// The first refusal, if any.
    pub(crate) fn first_refusal(&self) -> Option<&Refusal> {
        let outcomes = self.topics.iter().flat_map(|topic| &topic.partitions);
        outcomes.into_iter().find_map(|(_, outcome)| match outcome {
            Outcome::Refused(refusal) => Some(refusal),
            _ => None,
        })
    }

    /// Waits until every batch is durable; what is not after `timeout` is answered REQUEST_TIMED_OUT, and may still
    /// become durable: the retry of an idempotent producer then finds it.
    pub(crate) async fn settle(self, broker: &Broker, call: &Call, timeout: Duration) -> ProduceResponse {
        let refusal = match self.ack {
            None => None,
            Some(ack) => match future::select(ack, pin!(broker.clock.sleep(timeout))).await {
                Either::Left((Ok(()), _)) => None,
                Either::Left((Err(error), _)) => Some(Refusal::because(ack_code(&error), error)),
                Either::Right(((), _)) => Some(Refusal::new(ErrorCode::RequestTimedOut)),
            },
        };
        let mut response = ProduceResponse::default();
        let mut moved = false;
        for topic in self.topics {
            let id = TopicId(topic.id.0);
            let mut partition_responses = Vec::with_capacity(topic.partitions.len());
            for (index, outcome) in topic.partitions {
                let log_append_time = broker.stamps_append_time(&topic.name, id);
                let mut partition = tell(index, outcome, refusal.as_ref(), log_append_time);
                moved |= name_leader(broker, &topic.name, id, &mut partition);
                partition_responses.push(partition);
            }
            response.responses.push(TopicProduceResponse {
                name: topic.name,
                topic_id: topic.id,
                partition_responses,
                ..TopicProduceResponse::default()
            });
        }
        if moved {
            response.node_endpoints.push(broker.leader_address(call).into());
        }
        response
    }
}

fn tell(
    index: i32,
    outcome: Outcome,
    unacked: Option<&Refusal>,
    log_append_time: bool,
) -> PartitionProduceResponse {
    let refusal = match (outcome, unacked) {
        (Outcome::Refused(refusal), _) => refusal,
        (Outcome::Queued(_), _) => Refusal::new(ErrorCode::UnknownServerError),
        (Outcome::Appended(_), Some(unacked)) => unacked.clone(),
        (Outcome::Appended(appended), None) => {
            return PartitionProduceResponse {
                index,
                base_offset: appended.base_offset.get(),
                log_append_time_ms: if log_append_time { appended.append_time.get() } else { -1 },
                log_start_offset: appended.log_start.get(),
                ..PartitionProduceResponse::default()
            };
        }
    };
    let records = refusal.records.into_iter().map(|(batch_index, message)| BatchIndexAndErrorMessage {
        batch_index,
        batch_index_error_message: Some(message),
        ..BatchIndexAndErrorMessage::default()
    });
    PartitionProduceResponse {
        index,
        error_code: refusal.code.code(),
        base_offset: -1,
        record_errors: records.collect(),
        error_message: refusal.message,
        ..PartitionProduceResponse::default()
    }
}

/// KIP-951: says who leads now beside errors that mean "not this one". Tells whether it did.
fn name_leader(broker: &Broker, name: &str, id: TopicId, partition: &mut PartitionProduceResponse) -> bool {
    let codes = [ErrorCode::NotLeaderOrFollower, ErrorCode::FencedLeaderEpoch];
    if !codes.iter().any(|code| code.code() == partition.error_code) {
        return false;
    }
    let image = broker.controller.image();
    let topic = image.topic(name).or_else(|| image.topic_by_id(id));
    let Some(topic) = topic else { return false };
    let of = TopicPartition::new(topic.id, PartitionId(partition.index));
    partition.current_leader = broker.leader(&of).into();
    true
}
