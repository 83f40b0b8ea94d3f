use std::time::Duration;

use super::world::*;
use crate::answer::Refusal;
use crate::config::{GroupConfig, Limits};
use crate::{GroupState, Record};

const SECOND: Duration = Duration::from_secs(1);

/// Two members that have joined and not synced: the leader first.
fn joined(world: &mut World) -> (String, String, i32) {
    let newcomer = Who { old_client: true, ..who("") };
    let (first, second) = (world.join(&newcomer), world.join(&newcomer));
    world.pass(9 * SECOND);
    let (first, second) = (world.joined(first).unwrap(), world.joined(second).unwrap());
    (first.member_id, second.member_id, first.generation)
}

#[test]
fn followers_wait_for_the_leader_and_get_what_it_assigns() {
    let mut world = World::new();
    let (leader, follower, generation) = joined(&mut world);
    let waits = world.sync(&follower, generation, &[(&follower, "stolen")]);
    assert_eq!(world.synced(waits), None, "only the leader assigns");
    let logged = world.log.len();
    let to = world.sync(&leader, generation, &[(&leader, "one"), (&follower, "two"), ("stranger", "x")]);
    assert_eq!(&world.synced(to).unwrap().assignment[..], b"one");
    let told = world.synced(waits).unwrap();
    assert_eq!(&told.assignment[..], b"two");
    assert_eq!((told.protocol.as_deref(), told.protocol_type.as_deref()), (Some("range"), Some("consumer")));
    assert_eq!(world.coordinator.state_of(GROUP), Some(GroupState::Stable));
    // One record holds the generation, and a late or repeated sync is told the same.
    assert_eq!(world.log.len(), logged + 1);
    let again = world.sync(&follower, generation, &[]);
    assert_eq!(&world.synced(again).unwrap().assignment[..], b"two");
}

#[test]
fn a_member_that_the_leader_leaves_out_gets_an_empty_assignment() {
    let mut world = World::new();
    let (leader, follower, generation) = joined(&mut world);
    let waits = world.sync(&follower, generation, &[]);
    world.sync(&leader, generation, &[]);
    let told = world.synced(waits).unwrap();
    assert_eq!((told.error, told.assignment.len()), (None, 0));
}

#[test]
fn a_sync_is_refused_in_every_state_that_it_does_not_fit() {
    let mut world = World::new();
    let refused = |world: &mut World, member: &str, generation| {
        let to = world.sync(member, generation, &[]);
        world.synced(to).unwrap().error
    };
    assert_eq!(refused(&mut world, "m", 1), Some(Refusal::UnknownMemberId), "no group");
    world.join_now(&who(""));
    assert_eq!(refused(&mut world, "m", 0), Some(Refusal::UnknownMemberId), "an empty group");
    let (members, generation) = world.stable(1);
    assert_eq!(refused(&mut world, "m", generation), Some(Refusal::UnknownMemberId), "a stranger");
    assert_eq!(refused(&mut world, &members[0], generation - 1), Some(Refusal::IllegalGeneration));
    let told = world.join_now(&who(""));
    world.join(&who(&told.member_id));
    assert_eq!(refused(&mut world, &members[0], generation), Some(Refusal::RebalanceInProgress));
}

#[test]
fn a_sync_must_not_contradict_the_chosen_protocol() {
    let mut world = World::new();
    let (leader, _, generation) = joined(&mut world);
    for (kind, protocol) in [(Some("connect"), None), (None, Some("roundrobin"))] {
        let request = crate::request::SyncRequest {
            group_id: GROUP.to_owned(),
            generation,
            member_id: leader.clone(),
            instance_id: None,
            protocol_type: kind.map(str::to_owned),
            protocol: protocol.map(str::to_owned),
            assignments: Vec::new(),
        };
        let to = crate::RequestId(u64::MAX - u64::from(kind.is_some()));
        let step = world.coordinator.sync(world.now(), request, to);
        world.take(step);
        assert_eq!(world.synced(to).unwrap().error, Some(Refusal::InconsistentGroupProtocol));
    }
}

#[test]
fn waiting_syncs_are_told_when_another_rebalance_begins() {
    let mut world = World::new();
    let (_, follower, generation) = joined(&mut world);
    let waits = world.sync(&follower, generation, &[]);
    let changed = Who { protocols: vec![consumer_protocol("range", &["u"])], ..who(&follower) };
    world.join(&changed);
    assert_eq!(world.synced(waits).unwrap().error, Some(Refusal::RebalanceInProgress));
}

#[test]
fn members_that_do_not_sync_in_time_are_dropped() {
    let mut world = World::new();
    let (leader, follower, generation) = joined(&mut world);
    for _ in 0..11 {
        world.pass(5 * SECOND);
        assert_eq!(world.beat(&leader, generation), Ok(()));
        assert_eq!(world.beat(&follower, generation), Ok(()));
    }
    world.sync(&leader, generation, &[]);
    world.pass(5 * SECOND);
    assert_eq!(world.beat(&follower, generation), Err(Refusal::UnknownMemberId));
    assert_eq!(world.beat(&leader, generation), Err(Refusal::RebalanceInProgress));
}

#[test]
fn a_group_too_large_for_its_record_fails_the_rebalance() {
    let limits = Limits { group_record_bytes: 600, ..Limits::default() };
    let mut world = World::with(GroupConfig { limits, ..GroupConfig::default() });
    let (leader, _, generation) = joined(&mut world);
    let logged = world.log.len();
    let to = world.sync(&leader, generation, &[(&leader, &"x".repeat(1000))]);
    assert_eq!(world.synced(to).unwrap().error, Some(Refusal::UnknownServerError));
    assert_eq!(world.coordinator.state_of(GROUP), Some(GroupState::PreparingRebalance));
    assert_eq!(world.log.len(), logged);
}

#[test]
fn the_record_of_a_generation_is_all_that_a_restart_needs() {
    let mut world = World::new();
    let (members, generation) = world.stable(2);
    assert!(matches!(
        world.log.last(),
        Some(Record::Group { value: Some(value), .. }) if value.members.len() == 2
    ));
    world.restart();
    assert_eq!(world.beat(&members[0], generation), Ok(()));
    let to = world.sync(&members[1], generation, &[]);
    assert_eq!(&world.synced(to).unwrap().assignment[..], b"a");
    // Sessions began anew with the load.
    world.pass(9 * SECOND);
    assert_eq!(world.beat(&members[1], generation), Ok(()));
    world.pass(2 * SECOND);
    assert_eq!(world.beat(&members[0], generation), Err(Refusal::UnknownMemberId));
}

#[test]
fn whoever_waits_when_the_partition_moves_looks_for_its_coordinator_again() {
    let mut world = World::new();
    let (_, follower, generation) = joined(&mut world);
    let sync = world.sync(&follower, generation, &[]);
    world.restart();
    assert_eq!(world.synced(sync).unwrap().error, Some(Refusal::NotCoordinator));
    let told = world.join_now(&who(""));
    let join = world.join(&who(&told.member_id));
    world.restart();
    assert_eq!(world.joined(join).unwrap().error, Some(Refusal::NotCoordinator));
}
