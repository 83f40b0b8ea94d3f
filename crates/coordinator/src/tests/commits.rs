use std::time::Duration;

use waybill_types::{Offset, PartitionId, TopicId};

use super::world::*;
use crate::GroupState;
use crate::answer::Refusal;
use crate::config::{GroupConfig, Limits};
use crate::request::FetchTopic;

#[test]
fn a_consumer_outside_of_the_group_protocol_makes_a_simple_group() {
    let mut world = World::new();
    assert_eq!(world.committed(), -1);
    assert_eq!(world.commit("", -1, 7), Ok(()));
    assert_eq!(world.committed(), 7);
    assert_eq!(world.coordinator.state_of(GROUP), Some(GroupState::Empty));
    assert_eq!(world.replayed().settled(), world.coordinator.settled());
    let listed = world.coordinator.list(&[], &[]);
    assert_eq!((listed[0].protocol_type.as_str(), listed[0].state), ("", GroupState::Empty));
}

#[test]
fn only_members_of_the_generation_commit() {
    let mut world = World::new();
    assert_eq!(world.commit("m", 1, 7), Err(Refusal::GroupIdNotFound));
    let mut old = world.commit_request("m", 1, 7);
    old.knows_group_id_not_found = false;
    assert_eq!(world.ask_commit(old), Err(Refusal::IllegalGeneration));
    let (members, generation) = world.stable(1);
    assert_eq!(world.commit("", -1, 7), Err(Refusal::UnknownMemberId), "the group has members");
    assert_eq!(world.commit("m", generation, 7), Err(Refusal::UnknownMemberId));
    assert_eq!(world.commit(&members[0], generation - 1, 7), Err(Refusal::IllegalGeneration));
    assert_eq!(world.commit(&members[0], generation, 7), Ok(()));
    // While the next generation gathers, the last one may still commit; once it is there, no longer.
    let to = world.join(&Who { old_client: true, ..who("") });
    assert_eq!(world.commit(&members[0], generation, 8), Ok(()));
    world.join(&who(&members[0]));
    let newcomer = world.joined(to).unwrap();
    assert_eq!(world.commit(&members[0], generation, 9), Err(Refusal::IllegalGeneration));
    assert_eq!(world.commit(&newcomer.member_id, generation + 1, 9), Err(Refusal::RebalanceInProgress));
    assert_eq!(world.committed(), 8);
}

#[test]
fn metadata_is_bounded_partition_by_partition() {
    let mut world = World::new();
    let mut request = world.commit_request("", -1, 7);
    let mut long = request.topics[0].partitions[0].clone();
    long.partition = PartitionId(1);
    long.metadata = Some("ü".repeat(4097));
    request.topics[0].partitions.push(long.clone());
    long.partition = PartitionId(2);
    long.metadata = Some("ü".repeat(4096));
    request.topics[0].partitions.push(long);
    let answer = world.ask_commit(request).unwrap();
    let errors: Vec<_> = answer.topics[0].partitions.iter().map(|(_, error)| *error).collect();
    assert_eq!(errors, [None, Some(Refusal::OffsetMetadataTooLarge), None]);
    assert_eq!(world.coordinator.offset_count(), 2);
}

#[test]
fn a_commit_that_goes_backwards_is_told_for_the_audit() {
    let mut world = World::new();
    let first = world.commit_request("", -1, 7);
    assert!(world.ask_commit(first.clone()).unwrap().backwards.is_empty());
    let mut back = first;
    back.topics[0].partitions[0].offset = Offset(3);
    let answer = world.ask_commit(back).unwrap();
    assert_eq!((answer.backwards[0].from, answer.backwards[0].to), (Offset(7), Offset(3)));
    assert_eq!(world.committed(), 3);
}

#[test]
fn an_offset_of_an_earlier_topic_of_that_name_is_not_told() {
    let mut world = World::new();
    let mut request = world.commit_request("", -1, 7);
    request.topics[0].topic_id = TopicId([1; 16]);
    world.ask_commit(request).unwrap();
    let fetch = |id: TopicId| {
        let topic = FetchTopic { topic_id: id, topic: "t".to_owned(), partitions: vec![PartitionId(0)] };
        world.coordinator.fetch(GROUP, &[topic])[0].partitions[0].offset
    };
    assert_eq!(fetch(TopicId([1; 16])), Offset(7));
    assert_eq!(fetch(TopicId([2; 16])), Offset(-1));
    assert_eq!(fetch(TopicId::ZERO), Offset(7));
}

#[test]
fn everything_a_group_has_committed_can_be_fetched() {
    let mut world = World::new();
    let unknown = |_: &str| TopicId::ZERO;
    assert!(world.coordinator.fetch_all(GROUP, &unknown).is_empty());
    let mut request = world.commit_request("", -1, 7);
    request.topics[0].topic_id = TopicId([1; 16]);
    world.ask_commit(request).unwrap();
    let all = world.coordinator.fetch_all(GROUP, &unknown);
    let offset = &all[0].partitions[0];
    assert_eq!((all[0].topic.as_str(), offset.offset, offset.leader_epoch), ("t", Offset(7), 3));
    assert_eq!(offset.metadata, "m");
    assert_eq!(world.coordinator.fetch_all(GROUP, &|_| TopicId([1; 16])).len(), 1);
    assert!(
        world.coordinator.fetch_all(GROUP, &|_| TopicId([2; 16])).is_empty(),
        "another topic of that name"
    );
}

#[test]
fn stock_is_taken_up_to_a_limit() {
    let mut world = World::new();
    world.commit("", -1, 7).unwrap();
    let stock = world.coordinator.stock(10);
    assert_eq!((stock[0].group.as_str(), stock[0].topic.as_str(), stock[0].offset), (GROUP, "t", Offset(7)));
    assert_eq!(stock[0].committed, world.now().wall);
    assert!(world.coordinator.stock(0).is_empty());
}

#[test]
fn offsets_are_deleted_unless_a_member_subscribes() {
    let mut world = World::new();
    let topic = FetchTopic {
        topic_id: TopicId::ZERO,
        topic: "t".to_owned(),
        partitions: vec![PartitionId(0), PartitionId(9)],
    };
    let now = world.now();
    let (missing, _) = world.coordinator.delete_offsets(now, GROUP, std::slice::from_ref(&topic));
    assert_eq!(missing, Err(Refusal::GroupIdNotFound));
    world.commit("", -1, 7).unwrap();
    let (done, step) = world.coordinator.delete_offsets(now, GROUP, std::slice::from_ref(&topic));
    assert_eq!(done.unwrap()[0].partitions, [(PartitionId(0), None), (PartitionId(9), None)]);
    assert_eq!(step.records.len(), 1);
    world.take(step);
    assert_eq!(world.committed(), -1);

    let (members, generation) = world.stable(1);
    world.commit(&members[0], generation, 8).unwrap();
    let (done, step) = world.coordinator.delete_offsets(now, GROUP, &[topic]);
    assert_eq!(done.unwrap()[0].partitions[0], (PartitionId(0), Some(Refusal::GroupSubscribedToTopic)));
    assert!(step.records.is_empty());
}

#[test]
fn offsets_go_with_their_topic() {
    let mut world = World::new();
    let mut request = world.commit_request("", -1, 7);
    request.topics[0].topic_id = TopicId([2; 16]);
    world.ask_commit(request).unwrap();
    let deleted = |id| [("t".to_owned(), TopicId([id; 16])), ("u".to_owned(), TopicId([9; 16]))];
    let step = world.coordinator.topics_deleted(world.now(), &deleted(1));
    assert!(step.records.is_empty(), "another topic of that name");
    let step = world.coordinator.topics_deleted(world.now(), &deleted(2));
    assert_eq!(step.records.len(), 1);
    world.take(step);
    assert_eq!(world.committed(), -1);
    assert_eq!(world.replayed().settled(), world.coordinator.settled());
}

#[test]
fn offsets_are_bounded_in_bytes() {
    let limits = Limits { offset_bytes: 150, ..Limits::default() };
    let mut world = World::with(GroupConfig { limits, ..GroupConfig::default() });
    world.commit("", -1, 7).unwrap();
    world.commit("", -1, 8).unwrap();
    let mut other = world.commit_request("", -1, 9);
    other.topics[0].partitions[0].partition = PartitionId(1);
    assert_eq!(world.ask_commit(other), Err(Refusal::CoordinatorNotAvailable));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.committed(), 8);
}
