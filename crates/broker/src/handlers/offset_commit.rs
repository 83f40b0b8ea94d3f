//! OffsetCommit: by topic name up to version 9, by topic id from version 10 on.

use std::sync::Arc;
use std::time::Duration;

use waybill_control::Topic;
use waybill_coordinator::answer::CommitAnswer;
use waybill_coordinator::request::{CommitPartition, CommitRequest, CommitTopic};
use waybill_protocol::ErrorCode;
use waybill_protocol_gen::messages::offset_commit_request::OffsetCommitRequestTopic;
use waybill_protocol_gen::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use waybill_protocol_gen::messages::{OffsetCommitRequest, OffsetCommitResponse};
use waybill_security::{
    Action, AuditAction, AuditEvent, Authorized, OnDenial, Operation, Outcome, ResourceType,
};
use waybill_types::{Offset, PartitionId, TopicId};

use super::errors::denied;
use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// The handler.
pub struct OffsetCommit;

impl Handler for OffsetCommit {
    type Request = OffsetCommitRequest;

    fn authorise(
        broker: &Broker,
        call: &Call,
        request: OffsetCommitRequest,
    ) -> Result<Authorized<OffsetCommitRequest>, Box<OffsetCommitResponse>> {
        let action = Action::group(Operation::Read, &request.group_id);
        match broker.gate.require(&call.context, action, ()) {
            Ok(gated) => Ok(gated.map(|()| request)),
            Err(refused) => {
                let code = denied(refused).code();
                let topics = request.topics.iter().map(|topic| {
                    let mut told = told_topic(topic);
                    told.partitions = topic
                        .partitions
                        .iter()
                        .map(|one| told_partition(one.partition_index, code))
                        .collect();
                    told
                });
                Err(Box::new(OffsetCommitResponse {
                    topics: topics.collect(),
                    ..OffsetCommitResponse::default()
                }))
            }
        }
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<OffsetCommitRequest>,
    ) -> OffsetCommitResponse {
        let request = request.into_inner();
        let mut response = OffsetCommitResponse::default();
        let mut valid = Vec::new();
        for (at, topic) in request.topics.iter().enumerate() {
            let mut told = told_topic(topic);
            match find(&broker, &call, topic) {
                Ok(known) => {
                    if let Some(commit) = partition(&known, topic, &mut told) {
                        valid.push((at, commit));
                    }
                }
                Err(code) => {
                    let failed =
                        topic.partitions.iter().map(|one| told_partition(one.partition_index, code.code()));
                    told.partitions = failed.collect();
                }
            }
            response.topics.push(told);
        }
        if valid.is_empty() {
            return response;
        }
        let (places, topics): (Vec<usize>, Vec<CommitTopic>) = valid.into_iter().unzip();
        let asked = CommitRequest {
            group_id: request.group_id.to_string(),
            generation: request.generation_id_or_member_epoch,
            member_id: request.member_id.to_string(),
            instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
            retention: retention(call.version, request.retention_time_ms),
            knows_group_id_not_found: call.version >= 9,
            topics: topics.clone(),
        };
        let committed = broker
            .groups
            .ask(&broker, &request.group_id, move |coordinator, now| coordinator.commit(now, asked));
        let code = match committed.await {
            Ok(Ok(answer)) => {
                audit(&broker, &call, &request.group_id, &answer);
                merge(&mut response, &places, answer);
                return response;
            }
            Ok(Err(refusal)) => refusal.code(),
            Err(code) => code.code(),
        };
        for (place, topic) in places.iter().zip(topics) {
            if let Some(told) = response.topics.get_mut(*place) {
                told.partitions
                    .extend(topic.partitions.iter().map(|one| told_partition(one.partition.get(), code)));
            }
        }
        response
    }

    fn throttle(response: &mut OffsetCommitResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

/// How long the client wants its offsets kept, which versions 2 to 4 can say.
fn retention(version: i16, ms: i64) -> Option<Duration> {
    (version <= 4 && ms != -1).then(|| Duration::from_millis(u64::try_from(ms).unwrap_or_default()))
}

fn told_topic(topic: &OffsetCommitRequestTopic) -> OffsetCommitResponseTopic {
    OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        ..OffsetCommitResponseTopic::default()
    }
}

fn told_partition(partition_index: i32, error_code: i16) -> OffsetCommitResponsePartition {
    OffsetCommitResponsePartition { partition_index, error_code, ..OffsetCommitResponsePartition::default() }
}

/// The topic, if the client may read it.
fn find(broker: &Broker, call: &Call, asked: &OffsetCommitRequestTopic) -> Result<Arc<Topic>, ErrorCode> {
    let image = broker.controller.image();
    let (known, name) = if call.version >= 10 {
        let known = image.topic_by_id(TopicId(asked.topic_id.0)).ok_or(ErrorCode::UnknownTopicId)?;
        (Some(Arc::clone(known)), known.name.to_string())
    } else {
        (image.topic(&asked.name).cloned(), asked.name.to_string())
    };
    if !broker.gate.allows(&call.context, Action::topic(Operation::Read, &name), OnDenial::Audit) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    known.ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// The partitions that there are, to commit; those that there are not are told at once.
fn partition(
    known: &Topic,
    asked: &OffsetCommitRequestTopic,
    told: &mut OffsetCommitResponseTopic,
) -> Option<CommitTopic> {
    let mut partitions = Vec::with_capacity(asked.partitions.len());
    for one in &asked.partitions {
        if !(0..known.partitions).contains(&one.partition_index) {
            let code = ErrorCode::UnknownTopicOrPartition.code();
            told.partitions.push(told_partition(one.partition_index, code));
            continue;
        }
        partitions.push(CommitPartition {
            partition: PartitionId(one.partition_index),
            offset: Offset(one.committed_offset),
            leader_epoch: one.committed_leader_epoch,
            metadata: one.committed_metadata.as_ref().map(ToString::to_string),
        });
    }
    // The id is kept also where the client gave a name, so that an offset never passes for one of a later topic.
    let topic = CommitTopic { topic_id: known.id, topic: known.name.to_string(), partitions };
    (!topic.partitions.is_empty()).then_some(topic)
}

fn merge(response: &mut OffsetCommitResponse, places: &[usize], answer: CommitAnswer) {
    for (place, topic) in places.iter().zip(answer.topics) {
        if let Some(told) = response.topics.get_mut(*place) {
            let partitions = topic.partitions.into_iter();
            told.partitions.extend(partitions.map(|(partition, error)| {
                told_partition(partition.get(), error.map_or(0, |refusal| refusal.code()))
            }));
        }
    }
}

/// An offset that goes backwards means that records are read again.
fn audit(broker: &Broker, call: &Call, group: &str, answer: &CommitAnswer) {
    for back in &answer.backwards {
        let event = AuditEvent::of(
            &call.context,
            AuditAction::OffsetReset,
            ResourceType::Group,
            group,
            Outcome::Done,
        );
        let detail =
            format!("topic={} partition={} from={} to={}", back.topic, back.partition, back.from, back.to);
        broker.gate.audit().record(event.with_detail(detail));
    }
}
