use std::time::Duration;

use super::world::*;
use crate::answer::Refusal;
use crate::config::{GroupConfig, Limits};
use crate::{GroupState, Record};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_member_without_an_id_is_given_one_first() {
    let mut world = World::new();
    let told = world.join_now(&who(""));
    assert_eq!(told.error, Some(Refusal::MemberIdRequired));
    assert!(told.member_id.starts_with("client-"));
    assert_eq!((told.generation, told.leader.as_str()), (-1, ""));
    // The group is kept from then on.
    assert!(matches!(&world.log[..], [Record::Group { value: Some(value), .. }] if value.generation == 0));
    let to = world.join(&who(&told.member_id));
    assert_eq!(world.joined(to), None);
    world.pass(3 * SECOND);
    let joined = world.joined(to).unwrap();
    assert_eq!((joined.error, joined.generation), (None, 1));
    assert_eq!(joined.leader, told.member_id);
    assert_eq!(joined.members.len(), 1);
    assert_eq!(
        (joined.protocol.as_deref(), joined.protocol_type.as_deref()),
        (Some("range"), Some("consumer"))
    );
    assert_eq!(world.coordinator.state_of(GROUP), Some(GroupState::CompletingRebalance));
}

#[test]
fn an_id_that_is_not_used_within_the_session_is_forgotten() {
    let mut world = World::new();
    let told = world.join_now(&who(""));
    world.pass(10 * SECOND);
    assert_eq!(world.join_now(&who(&told.member_id)).error, Some(Refusal::UnknownMemberId));
}

#[test]
fn a_pending_id_holds_a_rebalance_up_until_it_is_forgotten() {
    let mut world = World::new();
    let (members, _) = world.stable(1);
    assert_eq!(world.join_now(&who("")).error, Some(Refusal::MemberIdRequired));
    let to = world.join(&who(&members[0]));
    assert_eq!(world.joined(to), None, "the pending member may still come");
    world.pass(10 * SECOND);
    assert_eq!(world.joined(to).unwrap().generation, 2);
}

#[test]
fn the_initial_rebalance_waits_longer_while_members_come() {
    let mut world = World::new();
    let newcomer = Who { old_client: true, ..who("") };
    let first = world.join(&newcomer);
    world.pass(2 * SECOND);
    let second = world.join(&newcomer);
    world.pass(2 * SECOND);
    assert_eq!(world.joined(first), None, "someone came within the first three seconds");
    world.pass(2 * SECOND);
    let (first, second) = (world.joined(first).unwrap(), world.joined(second).unwrap());
    assert_eq!((first.generation, second.generation), (1, 1));
    assert_eq!(first.leader, first.member_id);
    assert_eq!((first.members.len(), second.members.len()), (2, 0));
}

#[test]
fn the_initial_rebalance_does_not_wait_beyond_the_rebalance_timeout() {
    let mut world = World::new();
    let newcomer = Who { old_client: true, ..who("") };
    let mut request = world.join_request(&newcomer);
    request.rebalance_timeout = 5 * SECOND;
    let first = world.ask_join(request.clone());
    for _ in 0..3 {
        world.pass(2 * SECOND);
        request.entropy = world.join_request(&newcomer).entropy;
        world.ask_join(request.clone());
    }
    assert!(world.joined(first).is_some());
}

#[test]
fn bad_joins_are_refused_and_make_no_group() {
    let mut world = World::new();
    let good = world.join_request(&who(""));
    let cases = [
        (JoinChange::GroupId, Refusal::InvalidGroupId),
        (JoinChange::Session(SECOND), Refusal::InvalidSessionTimeout),
        (JoinChange::Session(3600 * SECOND), Refusal::InvalidSessionTimeout),
        (JoinChange::NoProtocols, Refusal::InconsistentGroupProtocol),
        (JoinChange::NoType, Refusal::InconsistentGroupProtocol),
        (JoinChange::Twice, Refusal::InconsistentGroupProtocol),
        (JoinChange::Member, Refusal::UnknownMemberId),
    ];
    for (change, refusal) in cases {
        let mut request = good.clone();
        match change {
            JoinChange::GroupId => request.group_id.clear(),
            JoinChange::Session(span) => request.session_timeout = span,
            JoinChange::NoProtocols => request.protocols.clear(),
            JoinChange::NoType => request.protocol_type.clear(),
            JoinChange::Twice => request.protocols.push(request.protocols[0].clone()),
            JoinChange::Member => request.member_id = "stranger".to_owned(),
        }
        let to = world.ask_join(request);
        assert_eq!(world.joined(to).unwrap().error, Some(refusal));
    }
    assert_eq!(world.coordinator.group_count(), 0);
    assert!(world.log.is_empty());
}

enum JoinChange {
    GroupId,
    Session(Duration),
    NoProtocols,
    NoType,
    Twice,
    Member,
}

#[test]
fn a_member_must_share_a_protocol_with_all_others() {
    let mut world = World::new();
    world.stable(1);
    let other = Who { protocols: vec![consumer_protocol("roundrobin", &["t"])], ..who("") };
    assert_eq!(world.join_now(&other).error, Some(Refusal::InconsistentGroupProtocol));
    let mut request = world.join_request(&who(""));
    request.protocol_type = "connect".to_owned();
    let to = world.ask_join(request);
    assert_eq!(world.joined(to).unwrap().error, Some(Refusal::InconsistentGroupProtocol));
}

#[test]
fn the_protocol_with_most_votes_that_all_know_is_chosen() {
    let mut world = World::new();
    let offer = |names: &[&str]| Who {
        old_client: true,
        protocols: names.iter().map(|name| consumer_protocol(name, &["t"])).collect(),
        ..who("")
    };
    let first = world.join(&offer(&["only-mine", "a", "b"]));
    world.join(&offer(&["b", "a"]));
    world.join(&offer(&["b", "a", "c"]));
    world.pass(9 * SECOND);
    let joined = world.joined(first).unwrap();
    assert_eq!(joined.protocol.as_deref(), Some("b"));
    assert_eq!(joined.members.len(), 3);
}

#[test]
fn a_full_group_takes_no_more() {
    let mut world = World::with(GroupConfig { max_size: 2, ..GroupConfig::default() });
    let newcomer = Who { old_client: true, ..who("") };
    world.join(&newcomer);
    world.join(&newcomer);
    assert_eq!(world.join_now(&newcomer).error, Some(Refusal::GroupMaxSizeReached));
    world.pass(9 * SECOND);
    assert_eq!(world.join_now(&who("")).error, Some(Refusal::GroupMaxSizeReached));
}

#[test]
fn what_clients_can_make_it_hold_is_bounded() {
    let limits = Limits { groups: 1, pending_members: 2, ..Limits::default() };
    let mut world = World::with(GroupConfig { limits, ..GroupConfig::default() });
    for _ in 0..2 {
        assert_eq!(world.join_now(&who("")).error, Some(Refusal::MemberIdRequired));
    }
    assert_eq!(world.join_now(&who("")).error, Some(Refusal::GroupMaxSizeReached));
    let mut request = world.join_request(&who(""));
    request.group_id = "another".to_owned();
    let to = world.ask_join(request);
    assert_eq!(world.joined(to).unwrap().error, Some(Refusal::CoordinatorNotAvailable));

    let limits = Limits { member_bytes: 40, ..Limits::default() };
    let mut world = World::with(GroupConfig { limits, ..GroupConfig::default() });
    let newcomer = Who { old_client: true, ..who("") };
    world.join(&newcomer);
    world.join(&newcomer);
    assert_eq!(world.join_now(&newcomer).error, Some(Refusal::GroupMaxSizeReached));
}

#[test]
fn a_retry_of_a_join_whose_answer_was_lost_gets_it_again() {
    let mut world = World::new();
    let newcomer = Who { old_client: true, ..who("") };
    let (first, second) = (world.join(&newcomer), world.join(&newcomer));
    world.pass(9 * SECOND);
    let (leader, follower) = (world.joined(first).unwrap(), world.joined(second).unwrap());
    assert_eq!(world.join_now(&who(&leader.member_id)), leader);
    assert_eq!(world.join_now(&who(&follower.member_id)), follower);
}

#[test]
fn a_follower_with_the_same_subscription_does_not_disturb_a_stable_group() {
    let mut world = World::new();
    let (members, generation) = world.stable(2);
    let same = world.join_now(&who(&members[1]));
    assert_eq!((same.error, same.generation), (None, generation));
    // The leader, and anyone with another subscription, does.
    let changed = Who { protocols: vec![consumer_protocol("range", &["t", "u"])], ..who(&members[1]) };
    let to = world.join(&changed);
    assert_eq!(world.joined(to), None);
    assert_eq!(world.beat(&members[0], generation), Err(Refusal::RebalanceInProgress));
    let leader = world.join(&who(&members[0]));
    assert_eq!(world.joined(to).unwrap().generation, generation + 1);
    assert_eq!(world.joined(leader).unwrap().members.len(), 2);
}

#[test]
fn a_leader_that_rejoins_starts_a_rebalance() {
    let mut world = World::new();
    let (members, generation) = world.stable(2);
    let to = world.join(&who(&members[0]));
    assert_eq!(world.joined(to), None);
    assert_eq!(world.coordinator.state_of(GROUP), Some(GroupState::PreparingRebalance));
    assert_eq!(world.beat(&members[1], generation), Err(Refusal::RebalanceInProgress));
}

#[test]
fn those_that_do_not_rejoin_in_time_are_left_behind_and_another_leads() {
    let mut world = World::new();
    let (members, generation) = world.stable(3);
    let third = Who { protocols: vec![consumer_protocol("range", &["u"])], ..who(&members[2]) };
    let to = world.join(&third);
    for _ in 0..12 {
        world.pass(5 * SECOND);
        for member in &members[..2] {
            let _ = world.beat(member, generation);
        }
    }
    let joined = world.joined(to).unwrap();
    assert_eq!(joined.leader, members[2]);
    assert_eq!(joined.members.len(), 1);
    assert_eq!(world.beat(&members[0], generation), Err(Refusal::UnknownMemberId));
}

#[test]
fn a_join_from_another_connection_replaces_the_parked_one() {
    let mut world = World::new();
    let (members, _) = world.stable(2);
    let first = world.join(&who(&members[0]));
    let second = world.join(&who(&members[0]));
    assert_eq!(world.joined(first).unwrap().error, Some(Refusal::RebalanceInProgress));
    assert_eq!(world.joined(second), None);
    world.join(&who(&members[1]));
    assert_eq!(world.joined(second).unwrap().error, None);
}
