//! The shortest ways to lose data by assignments, step by step, with the rule and without.

use waybill_control::terms::assign::{Assign, Assignments, Taken};
use waybill_control::terms::sabotage::Sabotage;
use waybill_types::{Incarnation, LeaderEpoch, Offset};

use crate::world::partition;

fn assign(epoch: i32, incarnation: u64) -> Assign {
    let (epoch, incarnation) = (LeaderEpoch(epoch), Incarnation(incarnation));
    Assign { partition: partition(0), epoch, incarnation, start: Offset(0) }
}

/// C-M05: a broker is asked to release an epoch before the assignment of it arrives; the epoch then belongs to another.
#[test]
fn an_epoch_that_was_released_before_it_was_led_is_never_led() {
    for (rule, harm) in [(Sabotage::None, false), (Sabotage::NoFloor, true)] {
        let mut broker = Assignments::new(Incarnation(1), rule);
        assert!(!broker.release(partition(0), LeaderEpoch(2)));
        assert_eq!(broker.assign(&assign(2, 1)) == Taken::Lead, harm, "{rule:?}");
    }
}

/// C-M06: an assignment arrives a second time, after its epoch was released.
#[test]
fn an_assignment_that_arrives_again_after_its_release_is_ignored() {
    for (rule, harm) in [(Sabotage::None, false), (Sabotage::AssignAgain, true)] {
        let mut broker = Assignments::new(Incarnation(1), rule);
        assert_eq!(broker.assign(&assign(1, 1)), Taken::Lead);
        assert!(broker.release(partition(0), LeaderEpoch(1)));
        assert_eq!(broker.assign(&assign(1, 1)) == Taken::Lead, harm, "{rule:?}");
    }
}

/// C-M07: the node was restarted; the assignment was for the incarnation before.
#[test]
fn an_assignment_for_another_incarnation_is_ignored() {
    for (rule, harm) in [(Sabotage::None, false), (Sabotage::AssignToNode, true)] {
        let mut broker = Assignments::new(Incarnation(2), rule);
        assert_eq!(broker.assign(&assign(1, 1)) == Taken::Lead, harm, "{rule:?}");
    }
}
