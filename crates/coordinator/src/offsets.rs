//! Committing, fetching and deleting offsets.

use std::collections::BTreeMap;

use waybill_types::{Offset, PartitionId, TopicId};

use crate::answer::{Backwards, CommitAnswer, Committed, FetchedOffset, FetchedTopic, Refusal, TopicErrors};
use crate::coordinator::Coordinator;
use crate::group::{Group, GroupState};
use crate::record::{OffsetValue, Record};
use crate::request::{CommitPartition, CommitRequest, CommitTopic, FetchTopic};
use crate::step::{Now, Step};

impl Coordinator {
    /// An OffsetCommit; `Err` is the error of every partition. The group is made when the commit comes from outside
    /// of the group protocol (generation -1).
    pub fn commit(&mut self, now: Now, request: CommitRequest) -> (Result<CommitAnswer, Refusal>, Step) {
        let mut step = Step::default();
        if let Err(refusal) = self.check_commit(&request) {
            return (Err(refusal), step);
        }
        self.with_group(&request.group_id, now, &mut step, |group, parts| {
            // A commit keeps a member's session alive, but for one that the leader has not assigned to yet.
            group.keep_alive(&request.member_id, parts);
        });
        let mut answer = CommitAnswer::default();
        let expires = request.retention.map(|span| now.wall.plus(span));
        for topic in &request.topics {
            let mut errors = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                if self.metadata_too_long(partition.metadata.as_deref()) {
                    errors.push((partition.partition, Some(Refusal::OffsetMetadataTooLarge)));
                    continue;
                }
                errors.push((partition.partition, None));
                answer.backwards.extend(self.backwards(&request.group_id, topic, partition));
                step.records.push(Record::Offset {
                    group: request.group_id.clone(),
                    topic: topic.topic.clone(),
                    partition: partition.partition,
                    value: Some(OffsetValue {
                        offset: partition.offset,
                        leader_epoch: partition.leader_epoch,
                        metadata: partition.metadata.clone().unwrap_or_default(),
                        committed: now.wall,
                        expires,
                        topic_id: topic.topic_id,
                    }),
                });
            }
            answer.topics.push(TopicErrors {
                topic_id: topic.topic_id,
                topic: topic.topic.clone(),
                partitions: errors,
            });
        }
        for record in step.records.clone() {
            self.replay(record, now.wall);
        }
        (Ok(answer), step)
    }

    fn check_commit(&self, request: &CommitRequest) -> Result<(), Refusal> {
        let Some(group) = self.groups.get(request.group_id.as_str()) else {
            return if request.generation >= 0 {
                let knows = request.knows_group_id_not_found;
                Err(if knows { Refusal::GroupIdNotFound } else { Refusal::IllegalGeneration })
            } else if self.groups.len() >= self.config.limits.groups {
                Err(Refusal::CoordinatorNotAvailable)
            } else {
                self.check_offset_bytes(request)
            };
        };
        group.check_commit(request)?;
        self.check_offset_bytes(request)
    }

    fn check_offset_bytes(&self, request: &CommitRequest) -> Result<(), Refusal> {
        let added = request.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| {
                if self.offset(&request.group_id, &topic.topic, partition.partition).is_some() {
                    return 0;
                }
                topic.topic.len() + partition.metadata.as_deref().map_or(0, str::len) + 96
            })
        });
        let total = self.held.offset_bytes.saturating_add(added.sum());
        if total > self.config.limits.offset_bytes { Err(Refusal::CoordinatorNotAvailable) } else { Ok(()) }
    }

    fn metadata_too_long(&self, metadata: Option<&str>) -> bool {
        metadata.is_some_and(|text| text.encode_utf16().count() > self.config.offset_metadata_max)
    }

    fn backwards(&self, group: &str, topic: &CommitTopic, partition: &CommitPartition) -> Option<Backwards> {
        let before = self.offset(group, &topic.topic, partition.partition)?;
        (partition.offset < before.offset).then(|| Backwards {
            topic: topic.topic.clone(),
            partition: partition.partition,
            from: before.offset,
            to: partition.offset,
        })
    }

    /// The committed offset of a partition.
    #[must_use]
    pub fn offset(&self, group: &str, topic: &str, partition: PartitionId) -> Option<&OffsetValue> {
        self.offsets.get(group)?.get(topic)?.get(&partition)
    }

    /// The committed offsets of the partitions asked for, -1 where there is none.
    #[must_use]
    pub fn fetch(&self, group_id: &str, topics: &[FetchTopic]) -> Vec<FetchedTopic> {
        let offsets = self.offsets.get(group_id);
        let fetch = |topic: &FetchTopic| {
            let committed = offsets.and_then(|topics| topics.get(&topic.topic));
            let partitions = topic.partitions.iter().map(|partition| {
                // An offset of a topic of the same name that is no more does not count.
                let value = committed.and_then(|offsets| offsets.get(partition));
                fetched(*partition, value.filter(|value| !is_other(value.topic_id, topic.topic_id)))
            });
            FetchedTopic {
                topic_id: topic.topic_id,
                topic: topic.topic.clone(),
                partitions: partitions.collect(),
            }
        };
        topics.iter().map(fetch).collect()
    }

    /// All committed offsets of a group, but for those of topics that are no more while another one, of the id that
    /// `current` gives, has their name. The topics carry that id; zero where `current` knows none.
    #[must_use]
    pub fn fetch_all(&self, group_id: &str, current: &dyn Fn(&str) -> TopicId) -> Vec<FetchedTopic> {
        let topics = self.offsets.get(group_id).into_iter().flatten();
        let fetch = |(topic, partitions): (&String, &BTreeMap<PartitionId, OffsetValue>)| {
            let topic_id = current(topic);
            let mine = partitions.iter().filter(|(_, value)| !is_other(value.topic_id, topic_id));
            let partitions: Vec<_> =
                mine.map(|(partition, value)| fetched(*partition, Some(value))).collect();
            (!partitions.is_empty()).then(|| FetchedTopic { topic_id, topic: topic.clone(), partitions })
        };
        topics.filter_map(fetch).collect()
    }

    /// The first `limit` committed offsets, by group, topic and partition.
    #[must_use]
    pub fn stock(&self, limit: usize) -> Vec<Committed> {
        let all = self.offsets.iter().flat_map(|(group, topics)| {
            topics.iter().flat_map(move |(topic, partitions)| {
                partitions.iter().map(move |(partition, value)| Committed {
                    group: group.to_string(),
                    topic: topic.clone(),
                    partition: *partition,
                    offset: value.offset,
                    committed: value.committed,
                })
            })
        });
        all.take(limit).collect()
    }

    /// An OffsetDelete (KIP-496); `Err` fails it whole.
    pub fn delete_offsets(
        &mut self,
        now: Now,
        group_id: &str,
        topics: &[FetchTopic],
    ) -> (Result<Vec<TopicErrors>, Refusal>, Step) {
        let mut step = Step::default();
        if group_id.is_empty() {
            return (Err(Refusal::InvalidGroupId), step);
        }
        let Some(group) = self.groups.get(group_id) else { return (Err(Refusal::GroupIdNotFound), step) };
        if group.state != GroupState::Empty && !group.is_consumer() {
            return (Err(Refusal::NonEmptyGroup), step);
        }
        let mut answer = Vec::with_capacity(topics.len());
        for topic in topics {
            let error = group.is_subscribed(&topic.topic).then_some(Refusal::GroupSubscribedToTopic);
            for partition in &topic.partitions {
                if error.is_none() && self.offset(group_id, &topic.topic, *partition).is_some() {
                    step.records.push(tombstone(group_id, &topic.topic, *partition));
                }
            }
            let partitions = topic.partitions.iter().map(|partition| (*partition, error));
            answer.push(TopicErrors {
                topic_id: topic.topic_id,
                topic: topic.topic.clone(),
                partitions: partitions.collect(),
            });
        }
        for record in step.records.clone() {
            self.replay(record, now.wall);
        }
        (Ok(answer), step)
    }

    /// Topics were deleted: their offsets go too, but not those of later topics of the same names.
    pub fn topics_deleted(&mut self, now: Now, topics: &[(String, TopicId)]) -> Step {
        let mut step = Step::default();
        for (group, offsets) in &self.offsets {
            for (topic, id) in topics {
                for (partition, value) in offsets.get(topic).into_iter().flatten() {
                    if !is_other(value.topic_id, *id) {
                        step.records.push(tombstone(group, topic, *partition));
                    }
                }
            }
        }
        for record in step.records.clone() {
            self.replay(record, now.wall);
        }
        step
    }
}

impl Group {
    /// Whether a commit is from a member of this generation, or from outside while the group has no members.
    fn check_commit(&self, request: &CommitRequest) -> Result<(), Refusal> {
        if request.generation < 0 && self.state == GroupState::Empty {
            return Ok(());
        }
        if request.generation < 0 && request.member_id.is_empty() && request.instance_id.is_none() {
            return Err(Refusal::UnknownMemberId);
        }
        self.validate(&request.member_id, request.instance_id.as_deref())?;
        if request.generation != self.generation {
            return Err(Refusal::IllegalGeneration);
        }
        if self.state == GroupState::CompletingRebalance {
            // The member knows the new generation, but not yet what it is assigned in it.
            return Err(Refusal::RebalanceInProgress);
        }
        Ok(())
    }
}

pub(crate) fn tombstone(group: &str, topic: &str, partition: PartitionId) -> Record {
    Record::Offset { group: group.to_owned(), topic: topic.to_owned(), partition, value: None }
}

fn fetched(partition: PartitionId, value: Option<&OffsetValue>) -> FetchedOffset {
    FetchedOffset {
        partition,
        offset: value.map_or(Offset(-1), |value| value.offset),
        leader_epoch: value.map_or(-1, |value| value.leader_epoch),
        metadata: value.map(|value| value.metadata.clone()).unwrap_or_default(),
    }
}

fn is_other(committed: TopicId, asked: TopicId) -> bool {
    committed != TopicId::ZERO && asked != TopicId::ZERO && committed != asked
}
