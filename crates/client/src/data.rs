//! Producing and fetching single batches, for tests, forwarding and tools. No batching, no groups.

use bytes::Bytes;
use waybill_protocol::wire::Records;
use waybill_protocol_gen::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use waybill_protocol_gen::messages::init_producer_id_request::InitProducerIdRequest;
use waybill_protocol_gen::messages::produce_request::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};
use waybill_protocol_gen::messages::produce_response::PartitionProduceResponse;
use waybill_types::{Offset, ProducerEpoch, ProducerId};

use crate::admin::TopicPartition;
use crate::client::{Client, Route};
use crate::error::{ApiError, ClientError};

/// The newest versions that name topics instead of giving their ids.
const PRODUCE_BY_NAME: i16 = 12;
const FETCH_BY_NAME: i16 = 12;

/// Who must have a batch before the broker answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acks {
    /// Nobody: there is no answer.
    None,
    /// The leader.
    Leader,
    /// Every replica in sync.
    #[default]
    All,
}

impl Acks {
    const fn id(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// What a fetch gave.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Whole batches and perhaps a part of one: see `waybill_protocol::batch::split_batches`.
    pub records: Bytes,
    /// The end of what may be read.
    pub high_watermark: Offset,
    /// The end of what a reader of committed records may read.
    pub last_stable_offset: Offset,
    /// The first offset kept.
    pub log_start: Offset,
}

/// How a fetch is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchOptions {
    /// How long the broker may wait for `min_bytes`, in milliseconds.
    pub max_wait_ms: i32,
    /// How many bytes make it answer sooner.
    pub min_bytes: i32,
    /// Most bytes; one batch is given even if it is larger.
    pub max_bytes: i32,
    /// Whether records of open and aborted transactions are left out.
    pub read_committed: bool,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self { max_wait_ms: 500, min_bytes: 1, max_bytes: 50 * 1024 * 1024, read_committed: false }
    }
}

impl Client {
    /// Sends one batch to a partition's leader and gives the offset of its first record, or -1 where the broker tells
    /// none: with [`Acks::None`], or for a duplicate that it no longer remembers. It is sent once: only an idempotent
    /// producer may repeat it safely.
    ///
    /// # Errors
    /// [`ClientError::Refused`]; after [`ClientError::TimedOut`] or [`ClientError::Closed`] the batch may be there.
    pub async fn produce(
        &self,
        at: &TopicPartition,
        batch: Bytes,
        acks: Acks,
    ) -> Result<Offset, ClientError> {
        let answer = self.produce_answer(at, batch, acks).await?;
        let Some(answer) = answer else { return Ok(Offset(-1)) };
        ApiError::check(answer.error_code, answer.error_message.as_ref()).map_err(|error| {
            self.forget_routes();
            ClientError::refused(format!("producing to {at}"), error)
        })?;
        Ok(Offset(answer.base_offset))
    }

    /// [`Self::produce`], with all that the broker answers about the partition; `None` with [`Acks::None`].
    ///
    /// # Errors
    /// As [`crate::Connection::call`].
    pub async fn produce_answer(
        &self,
        at: &TopicPartition,
        batch: Bytes,
        acks: Acks,
    ) -> Result<Option<PartitionProduceResponse>, ClientError> {
        let connection = self.route(Route::Leader(&at.topic, at.partition)).await?;
        let version = connection.negotiate::<ProduceRequest>(PRODUCE_BY_NAME)?;
        let request = ProduceRequest {
            acks: acks.id(),
            timeout_ms: i32::try_from(self.config().request_timeout.as_millis()).unwrap_or(i32::MAX),
            topic_data: vec![TopicProduceData {
                name: at.topic.as_str().into(),
                partition_data: vec![PartitionProduceData {
                    index: at.partition,
                    records: Some(Records::from(batch)),
                    ..PartitionProduceData::default()
                }],
                ..TopicProduceData::default()
            }],
            ..ProduceRequest::default()
        };
        if acks == Acks::None {
            connection.call_unanswered(request, version).await?;
            return Ok(None);
        }
        let response = connection.call(request, version).await?;
        let mut partitions = response.responses.into_iter().flat_map(|topic| topic.partition_responses);
        let answer = partitions.next();
        answer.map(Some).ok_or_else(|| ClientError::Missing {
            api: waybill_protocol_gen::ApiKey::Produce,
            what: at.to_string(),
        })
    }

    /// Reads from a partition at `offset`, outside any fetch session.
    ///
    /// # Errors
    /// [`ClientError::Refused`], as with OFFSET_OUT_OF_RANGE.
    pub async fn fetch(
        &self,
        at: &TopicPartition,
        offset: Offset,
        options: FetchOptions,
    ) -> Result<Fetched, ClientError> {
        let build = |_version| FetchRequest {
            replica_id: -1,
            max_wait_ms: options.max_wait_ms,
            min_bytes: options.min_bytes,
            max_bytes: options.max_bytes,
            isolation_level: i8::from(options.read_committed),
            session_id: 0,
            session_epoch: -1,
            topics: vec![FetchTopic {
                topic: at.topic.as_str().into(),
                partitions: vec![FetchPartition {
                    partition: at.partition,
                    current_leader_epoch: -1,
                    fetch_offset: offset.get(),
                    last_fetched_epoch: -1,
                    log_start_offset: -1,
                    partition_max_bytes: options.max_bytes,
                    ..FetchPartition::default()
                }],
                ..FetchTopic::default()
            }],
            ..FetchRequest::default()
        };
        let route = Route::Leader(&at.topic, at.partition);
        self.ask(&format!("fetching from {at}"), route, FETCH_BY_NAME, build, |response| {
            ApiError::check(response.error_code, None)?;
            let mut partitions = response.responses.into_iter().flat_map(|topic| topic.partitions);
            // A broker that has nothing to say about the partition leaves it out only within a session.
            let data = partitions.next().unwrap_or_default();
            ApiError::check(data.error_code, None)?;
            Ok(Fetched {
                records: data.records.map(|records| records.to_bytes()).unwrap_or_default(),
                high_watermark: Offset(data.high_watermark),
                last_stable_offset: Offset(data.last_stable_offset),
                log_start: Offset(data.log_start_offset),
            })
        })
        .await
    }

    /// Asks for a fresh id for an idempotent producer.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn init_producer_id(&self) -> Result<(ProducerId, ProducerEpoch), ClientError> {
        let build = |_version| InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            ..InitProducerIdRequest::default()
        };
        self.ask("asking for a producer id", Route::Any, i16::MAX, build, |response| {
            ApiError::check(response.error_code, None)?;
            Ok((ProducerId(response.producer_id), ProducerEpoch(response.producer_epoch)))
        })
        .await
    }
}
