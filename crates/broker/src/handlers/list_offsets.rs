//! ListOffsets: offsets by timestamp, and the special ones.

use std::sync::Arc;

use waybill_protocol::ErrorCode;
use waybill_protocol_gen::messages::list_offsets_request::ListOffsetsPartition;
use waybill_protocol_gen::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use waybill_protocol_gen::messages::{ListOffsetsRequest, ListOffsetsResponse};
use waybill_security::{Action, Authorized, OnDenial, Operation};
use waybill_storage::{Partition, ReadBound, TimestampOffset};
use waybill_types::{Offset, PartitionId, TimestampMs, TopicPartition};

use super::errors::read_code;
use crate::broker::Broker;
use crate::fetch::check_epoch;
use crate::handler::{Call, Handler};

/// Timestamps that stand for something else.
mod special {
    /// The end: the high watermark, or the last stable offset.
    pub(super) const LATEST: i64 = -1;
    /// The log start.
    pub(super) const EARLIEST: i64 = -2;
    /// The record with the largest timestamp (KIP-734).
    pub(super) const MAX_TIMESTAMP: i64 = -3;
    /// The start of the local log (KIP-405): here the log start.
    pub(super) const EARLIEST_LOCAL: i64 = -4;
    /// The end of what was copied to a second tier (KIP-1005): nothing ever is.
    pub(super) const LATEST_TIERED: i64 = -5;
    /// The first offset not yet copied (KIP-1023): without a second tier, unknown.
    pub(super) const EARLIEST_PENDING_UPLOAD: i64 = -6;
}

/// The handler.
pub struct ListOffsets;

impl Handler for ListOffsets {
    type Request = ListOffsetsRequest;

    fn authorise(
        broker: &Broker,
        _: &Call,
        request: ListOffsetsRequest,
    ) -> Result<Authorized<ListOffsetsRequest>, Box<ListOffsetsResponse>> {
        Ok(broker.gate.open(request, "topics are judged one by one"))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<ListOffsetsRequest>,
    ) -> ListOffsetsResponse {
        let request = request.into_inner();
        let committed_only = request.isolation_level == 1;
        let image = broker.controller.image();
        let mut response = ListOffsetsResponse::default();
        for topic in &request.topics {
            let may = broker.gate.allows(
                &call.context,
                Action::topic(Operation::Describe, &topic.name),
                OnDenial::Audit,
            );
            let known = image.topic(&topic.name);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in &topic.partitions {
                let twice =
                    topic.partitions.iter().filter(|p| p.partition_index == asked.partition_index).count()
                        > 1;
                let result = if !may {
                    Err(ErrorCode::TopicAuthorizationFailed)
                } else if twice {
                    Err(ErrorCode::InvalidRequest)
                } else {
                    let log = known.and_then(|topic| {
                        let id = TopicPartition::new(topic.id, PartitionId(asked.partition_index));
                        broker.engine.partition(&id)
                    });
                    match log {
                        Some(log) => look_up(&log, asked, call.version, committed_only).await,
                        None => Err(ErrorCode::UnknownTopicOrPartition),
                    }
                };
                partitions.push(tell(call.version, asked, result));
            }
            response.topics.push(ListOffsetsTopicResponse {
                name: topic.name.clone(),
                partitions,
                ..ListOffsetsTopicResponse::default()
            });
        }
        response
    }

    fn throttle(response: &mut ListOffsetsResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

fn tell(
    version: i16,
    asked: &ListOffsetsPartition,
    result: Result<Option<TimestampOffset>, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let mut partition = ListOffsetsPartitionResponse {
        partition_index: asked.partition_index,
        ..ListOffsetsPartitionResponse::default()
    };
    match result {
        Ok(Some(found)) => {
            partition.offset = found.offset.get();
            partition.timestamp = found.timestamp.get();
            if version >= 4 {
                partition.leader_epoch = found.leader_epoch.get();
            }
        }
        Ok(None) => {}
        Err(code) => partition.error_code = code.code(),
    }
    partition
}

async fn look_up(
    log: &Partition,
    asked: &ListOffsetsPartition,
    version: i16,
    committed_only: bool,
) -> Result<Option<TimestampOffset>, ErrorCode> {
    check_epoch(log, asked.current_leader_epoch)?;
    let at = |offset: Offset| {
        let leader_epoch = log.epoch_at(offset);
        Some(TimestampOffset { timestamp: TimestampMs::NONE, offset, leader_epoch })
    };
    let newer = |since: i16| if version >= since { Ok(()) } else { Err(ErrorCode::UnsupportedVersion) };
    let found = match asked.timestamp {
        special::LATEST if committed_only => at(log.last_stable_offset()),
        special::LATEST => at(log.high_watermark()),
        special::EARLIEST => at(log.log_start()),
        special::EARLIEST_LOCAL => {
            newer(8)?;
            at(log.log_start())
        }
        special::LATEST_TIERED => {
            newer(9)?;
            None
        }
        special::EARLIEST_PENDING_UPLOAD => {
            newer(11)?;
            None
        }
        special::MAX_TIMESTAMP => {
            newer(7)?;
            log.max_timestamp_offset().await.map_err(|error| read_code(&error))?
        }
        timestamp if timestamp >= 0 => {
            let bound = if committed_only { ReadBound::LastStable } else { ReadBound::HighWatermark };
            let found = log.offset_for_timestamp(TimestampMs(timestamp), bound).await;
            found.map_err(|error| read_code(&error))?
        }
        _ => return Err(ErrorCode::UnsupportedVersion),
    };
    Ok(found)
}
