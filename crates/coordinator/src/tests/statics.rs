//! Static members (KIP-345) and what a leader need not do again (KIP-814).

use std::time::Duration;

use super::world::*;
use crate::GroupState;
use crate::answer::Refusal;

const SECOND: Duration = Duration::from_secs(1);

/// A stable group of two static members: their ids (the leader's first) and the generation.
fn stable(world: &mut World) -> (String, String, i32) {
    let (a, b) = (world.join(&fixed("", "a")), world.join(&fixed("", "b")));
    world.pass(9 * SECOND);
    let (a, b) = (world.joined(a).unwrap(), world.joined(b).unwrap());
    assert!(a.member_id.starts_with("a-"), "static members need no second join");
    assert_eq!(a.members[0].instance_id.as_deref(), Some("a"));
    let to = world.sync(&a.member_id, a.generation, &[(&a.member_id, "one"), (&b.member_id, "two")]);
    world.sync(&b.member_id, a.generation, &[]);
    assert_eq!(world.synced(to).unwrap().error, None);
    (a.member_id, b.member_id, a.generation)
}

#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    let mut world = World::new();
    let (leader, follower, generation) = stable(&mut world);
    let logged = world.log.len();
    let back = world.join_now(&fixed("", "b"));
    assert_eq!((back.error, back.generation, back.skip_assignment), (None, generation, false));
    assert_ne!(back.member_id, follower);
    assert_eq!(back.leader, leader);
    assert_eq!(world.log.len(), logged + 1, "the new id is kept");
    let to = world.sync(&back.member_id, generation, &[]);
    assert_eq!(&world.synced(to).unwrap().assignment[..], b"two");
    // Its old self is unknown by its id, and fenced by its instance id.
    assert_eq!(world.beat(&follower, generation), Err(Refusal::UnknownMemberId));
    let fenced = world.join_now(&fixed(&follower, "b"));
    assert_eq!(fenced.error, Some(Refusal::FencedInstanceId));
    world.restart();
    assert_eq!(world.beat(&back.member_id, generation), Ok(()));
}

#[test]
fn a_leader_that_comes_back_is_told_to_skip_the_assignment() {
    let mut world = World::new();
    let (leader, _, generation) = stable(&mut world);
    let back = world.join_now(&fixed("", "a"));
    assert!(back.skip_assignment);
    assert_eq!(back.leader, back.member_id);
    assert_eq!(back.members.len(), 2);
    // Clients that do not know skipAssignment must not take themselves for the leader.
    let old = world.join_now(&Who { old_client: true, ..fixed("", "a") });
    assert_eq!((old.skip_assignment, old.members.len()), (false, 0));
    assert_eq!(old.leader, back.member_id);
    assert_ne!(old.leader, leader);
    assert_eq!(old.generation, generation);
}

#[test]
fn a_parked_request_of_the_old_self_is_fenced() {
    let mut world = World::new();
    let (a, b) = (world.join(&fixed("", "a")), world.join(&fixed("", "b")));
    let again = world.join(&fixed("", "a"));
    assert_eq!(world.joined(a).unwrap().error, Some(Refusal::FencedInstanceId));
    world.pass(9 * SECOND);
    let (again, b) = (world.joined(again).unwrap(), world.joined(b).unwrap());
    assert_eq!(again.leader, again.member_id, "it leads on");
    let waits = world.sync(&b.member_id, b.generation, &[]);
    // While the leader assigns, a return means another rebalance.
    world.join(&fixed("", "b"));
    assert_eq!(world.synced(waits).unwrap().error, Some(Refusal::FencedInstanceId));
    assert_eq!(world.coordinator.state_of(GROUP), Some(GroupState::PreparingRebalance));
}

#[test]
fn a_return_with_other_protocols_rebalances_only_if_the_choice_changes() {
    let mut world = World::new();
    let (_, _, generation) = stable(&mut world);
    let more = Who {
        protocols: vec![consumer_protocol("range", &["t"]), consumer_protocol("sticky", &["t"])],
        ..fixed("", "b")
    };
    assert_eq!(world.join_now(&more).generation, generation);
    let other = Who { protocols: vec![consumer_protocol("sticky", &["t"])], ..fixed("", "b") };
    assert_eq!(world.join_now(&other).error, Some(Refusal::InconsistentGroupProtocol));
}

#[test]
fn static_members_that_do_not_rejoin_stay_until_their_session_ends() {
    let mut world = World::new();
    let (leader, follower, generation) = stable(&mut world);
    let to = world.join(&fixed(&leader, "a"));
    world.pass(5 * SECOND);
    assert_eq!(world.joined(to), None);
    assert_eq!(world.beat(&follower, generation), Err(Refusal::RebalanceInProgress));
    world.pass(9 * SECOND);
    assert_eq!(world.joined(to), None);
    world.pass(2 * SECOND);
    assert_eq!(world.joined(to).unwrap().members.len(), 1);
}

#[test]
fn an_administrator_removes_a_static_member_by_its_instance_id() {
    let mut world = World::new();
    let (_, follower, generation) = stable(&mut world);
    assert_eq!(world.leave("", Some("nobody")), Some(Refusal::UnknownMemberId));
    assert_eq!(world.leave("wrong", Some("b")), Some(Refusal::FencedInstanceId));
    assert_eq!(world.leave("", Some("b")), None);
    assert_eq!(world.beat(&follower, generation), Err(Refusal::UnknownMemberId));
    assert_eq!(world.coordinator.state_of(GROUP), Some(GroupState::PreparingRebalance));
}

#[test]
fn fencing_reaches_commits() {
    let mut world = World::new();
    let (_, follower, generation) = stable(&mut world);
    let back = world.join_now(&fixed("", "b"));
    let mut request = world.commit_request(&follower, generation, 5);
    request.instance_id = Some("b".to_owned());
    assert_eq!(world.ask_commit(request.clone()), Err(Refusal::FencedInstanceId));
    request.member_id = back.member_id;
    assert!(world.ask_commit(request).is_ok());
}
