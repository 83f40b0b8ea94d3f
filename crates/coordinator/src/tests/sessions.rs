use std::time::Duration;

use super::world::*;
use crate::GroupState;
use crate::answer::Refusal;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn heartbeats_keep_a_member_and_silence_loses_it() {
    let mut world = World::new();
    let (members, generation) = world.stable(2);
    for _ in 0..4 {
        world.pass(6 * SECOND);
        assert_eq!(
            world.beat(&members[0], generation),
            if world.at < Duration::from_secs(1019) { Ok(()) } else { Err(Refusal::RebalanceInProgress) }
        );
    }
    assert_eq!(world.beat(&members[1], generation), Err(Refusal::UnknownMemberId));
}

#[test]
fn heartbeats_are_refused_where_they_do_not_fit() {
    let mut world = World::new();
    assert_eq!(world.beat("m", 1), Err(Refusal::UnknownMemberId));
    let (members, generation) = world.stable(1);
    assert_eq!(world.beat("m", generation), Err(Refusal::UnknownMemberId));
    assert_eq!(world.beat(&members[0], generation + 1), Err(Refusal::IllegalGeneration));
}

#[test]
fn a_commit_keeps_a_member_too() {
    let mut world = World::new();
    let (members, generation) = world.stable(1);
    for offset in 0..5 {
        world.pass(6 * SECOND);
        assert_eq!(world.commit(&members[0], generation, offset), Ok(()));
    }
    assert_eq!(world.beat(&members[0], generation), Ok(()));
}

#[test]
fn the_last_to_leave_empties_the_group() {
    let mut world = World::new();
    let (members, generation) = world.stable(2);
    assert_eq!(world.leave("stranger", None), Some(Refusal::UnknownMemberId));
    assert_eq!(world.leave(&members[0], None), None);
    assert_eq!(world.beat(&members[1], generation), Err(Refusal::RebalanceInProgress));
    assert_eq!(world.leave(&members[1], None), None);
    assert_eq!(world.coordinator.state_of(GROUP), Some(GroupState::Empty));
    assert_eq!(world.replayed().settled(), world.coordinator.settled());
    assert_eq!(world.leave(&members[1], None), Some(Refusal::UnknownMemberId));
}

#[test]
fn whoever_leaves_while_its_requests_wait_gets_them_answered() {
    let mut world = World::new();
    let (members, generation) = world.stable(2);
    let join = world.join(&who(&members[0]));
    assert_eq!(world.leave(&members[0], None), None);
    assert_eq!(world.joined(join).unwrap().error, Some(Refusal::UnknownMemberId));
    let join = world.join(&who(&members[1]));
    assert_eq!(world.joined(join).unwrap().generation, generation + 1);

    let newcomer = Who { old_client: true, ..who("") };
    let other = world.join(&newcomer);
    let first = world.join(&who(&members[1]));
    let generation = world.joined(first).unwrap().generation;
    let other = world.joined(other).unwrap().member_id;
    let waits = world.sync(&other, generation, &[]);
    assert_eq!(world.leave(&other, None), None);
    assert_eq!(world.synced(waits).unwrap().error, Some(Refusal::UnknownMemberId));
}

#[test]
fn a_pending_member_can_leave() {
    let mut world = World::new();
    let told = world.join_now(&who(""));
    assert_eq!(world.leave(&told.member_id, None), None);
    assert_eq!(world.join_now(&who(&told.member_id)).error, Some(Refusal::UnknownMemberId));
}

#[test]
fn a_new_member_whose_join_waits_too_long_is_given_up() {
    let mut world = World::new();
    let (members, generation) = world.stable(1);
    let mut request = world.join_request(&Who { old_client: true, ..who("") });
    request.rebalance_timeout = Duration::from_secs(3600);
    let to = world.ask_join(request);
    for _ in 0..61 {
        world.pass(5 * SECOND);
        let _ = world.beat(&members[0], generation);
    }
    assert_eq!(world.joined(to).unwrap().error, Some(Refusal::UnknownMemberId));
}
