//! OffsetForLeaderEpoch (KIP-101, KIP-320): where an epoch ends.

use std::sync::Arc;

use waybill_protocol::ErrorCode;
use waybill_protocol_gen::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use waybill_protocol_gen::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use waybill_security::{Action, Authorized, OnDenial, Operation};
use waybill_types::{LeaderEpoch, PartitionId, TopicPartition};

use crate::broker::Broker;
use crate::fetch::check_epoch;
use crate::handler::{Call, Handler};

/// The handler.
pub struct OffsetForLeaderEpoch;

impl Handler for OffsetForLeaderEpoch {
    type Request = OffsetForLeaderEpochRequest;

    fn authorise(
        broker: &Broker,
        _: &Call,
        request: OffsetForLeaderEpochRequest,
    ) -> Result<Authorized<OffsetForLeaderEpochRequest>, Box<OffsetForLeaderEpochResponse>> {
        Ok(broker.gate.open(request, "topics are judged one by one"))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<OffsetForLeaderEpochRequest>,
    ) -> OffsetForLeaderEpochResponse {
        let request = request.into_inner();
        let image = broker.controller.image();
        let topics = request.topics.into_iter().map(|topic| {
            let action = Action::topic(Operation::Describe, &topic.topic);
            let may = broker.gate.allows(&call.context, action, OnDenial::Audit);
            let known = image.topic(&topic.topic);
            let partitions = topic.partitions.iter().map(|asked| {
                let mut answer = EpochEndOffset { partition: asked.partition, ..EpochEndOffset::default() };
                let log = known.and_then(|topic| {
                    broker.engine.partition(&TopicPartition::new(topic.id, PartitionId(asked.partition)))
                });
                let code = match log {
                    _ if !may => Some(ErrorCode::TopicAuthorizationFailed),
                    None => Some(ErrorCode::UnknownTopicOrPartition),
                    Some(log) => match check_epoch(&log, asked.current_leader_epoch) {
                        Err(code) => Some(code),
                        Ok(()) => {
                            let (epoch, end) = log.epoch_end(LeaderEpoch(asked.leader_epoch));
                            answer.leader_epoch = epoch.get();
                            answer.end_offset = end.get();
                            None
                        }
                    },
                };
                if let Some(code) = code {
                    answer.error_code = code.code();
                }
                answer
            });
            OffsetForLeaderTopicResult {
                partitions: partitions.collect(),
                topic: topic.topic,
                ..OffsetForLeaderTopicResult::default()
            }
        });
        OffsetForLeaderEpochResponse { topics: topics.collect(), ..OffsetForLeaderEpochResponse::default() }
    }

    fn throttle(response: &mut OffsetForLeaderEpochResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}
