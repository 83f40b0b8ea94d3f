//! Retention (KIP-211), listing, describing, deleting.

use std::time::Duration;

use super::world::*;
use crate::GroupState;
use crate::answer::Refusal;

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn offsets_of_a_simple_group_expire_seven_days_after_their_commit() {
    let mut world = World::new();
    world.commit("", -1, 7).unwrap();
    world.pass(6 * DAY);
    assert_eq!(world.committed(), 7);
    world.pass(DAY + DAY / 24);
    assert_eq!(world.committed(), -1);
    assert_eq!(world.coordinator.group_count(), 0, "the group goes with its last offset");
    assert_eq!(world.replayed().settled(), []);
}

#[test]
fn offsets_of_a_group_expire_seven_days_after_it_became_empty() {
    let mut world = World::new();
    let (members, generation) = world.stable(1);
    world.commit(&members[0], generation, 7).unwrap();
    for _ in 0..(8 * 24 * 3600 / 9) {
        world.pass(Duration::from_secs(9));
        assert_eq!(world.beat(&members[0], generation), Ok(()));
    }
    assert_eq!(world.committed(), 7, "subscribed topics do not expire");
    world.leave(&members[0], None);
    world.pass(6 * DAY);
    assert_eq!(world.committed(), 7);
    world.pass(DAY + DAY / 24);
    assert_eq!(world.committed(), -1);
}

#[test]
fn a_retention_that_the_commit_names_counts() {
    let mut world = World::new();
    let mut request = world.commit_request("", -1, 7);
    request.retention = Some(Duration::from_secs(60));
    world.ask_commit(request).unwrap();
    world.pass(Duration::from_secs(660));
    assert_eq!(world.committed(), -1);
}

#[test]
fn a_group_that_someone_is_about_to_join_is_not_expired() {
    let mut world = World::new();
    let mut request = world.join_request(&who(""));
    request.session_timeout = Duration::from_secs(1200);
    let to = world.ask_join(request);
    let told = world.joined(to).unwrap();
    world.pass(Duration::from_secs(700));
    let to = world.join(&who(&told.member_id));
    world.pass(Duration::from_secs(5));
    assert_eq!(world.joined(to).unwrap().error, None);
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut world = World::new();
    world.stable(1);
    let list = |states: &[&str], types: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        world.coordinator.list(&owned(states), &owned(types)).len()
    };
    assert_eq!(list(&[], &[]), 1);
    assert_eq!(list(&["empty", " STABLE "], &["Classic"]), 1);
    assert_eq!(list(&["Empty"], &[]), 0);
    assert_eq!(list(&[], &["consumer", "nonsense"]), 0);
}

#[test]
fn a_description_tells_subscriptions_only_of_a_stable_group() {
    let mut world = World::new();
    let none = world.coordinator.describe(GROUP);
    assert_eq!((none.state, none.found), (GroupState::Dead, false));
    let (members, _) = world.stable(2);
    let stable = world.coordinator.describe(GROUP);
    assert_eq!((stable.state, stable.protocol.as_str()), (GroupState::Stable, "range"));
    assert_eq!(stable.members.len(), 2);
    assert_eq!(stable.members[0].client_host, "/127.0.0.1");
    assert!(!stable.members[0].metadata.is_empty());
    world.join(&who(&members[0]));
    let gathering = world.coordinator.describe(GROUP);
    assert_eq!((gathering.state, gathering.protocol.as_str()), (GroupState::PreparingRebalance, ""));
    assert!(gathering.members[0].metadata.is_empty());
}

#[test]
fn only_an_empty_group_is_deleted_and_its_offsets_with_it() {
    let mut world = World::new();
    let now = world.now();
    assert_eq!(world.coordinator.delete_group(now, GROUP).0, Err(Refusal::GroupIdNotFound));
    let (members, generation) = world.stable(1);
    world.commit(&members[0], generation, 7).unwrap();
    assert_eq!(world.coordinator.delete_group(now, GROUP).0, Err(Refusal::NonEmptyGroup));
    world.leave(&members[0], None);
    let (done, step) = world.coordinator.delete_group(now, GROUP);
    assert_eq!((done, step.records.len()), (Ok(()), 2));
    world.take(step);
    assert_eq!((world.coordinator.group_count(), world.coordinator.offset_count()), (0, 0));
    world.restart();
    assert_eq!((world.coordinator.group_count(), world.coordinator.offset_count()), (0, 0));
}

#[test]
fn refusals_have_codes_of_their_own() {
    let mut codes: Vec<i16> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Refusal::ALL.len());
}
