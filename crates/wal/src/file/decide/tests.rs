use proptest::prelude::*;

use super::*;

const RING: Geometry = Geometry { files: 4, file_size: 4 * 4096, block: 4096 };
const NOW: Registered = Registered { incarnation: Incarnation(2), trim: WalPosition(16_384) };

/// A log of groups of the given lengths in blocks, as a writer lays it out from the trim.
fn log(blocks: &[u64]) -> Vec<SeenGroup> {
    let mut groups = Vec::new();
    let (mut position, mut previous) = (NOW.trim, NOW.trim);
    for length in blocks.iter().map(|blocks| blocks * 4096) {
        if RING.offset_of(position) + length > RING.file_size {
            position = RING.start_at_or_after(position);
        }
        let end = WalPosition(position.0 + length);
        let (durable, incarnation) = (previous, NOW.incarnation);
        groups.push(SeenGroup { position, end, previous, durable, incarnation });
        (position, previous) = (end, end);
    }
    groups
}

fn run(groups: &[SeenGroup]) -> Result<Decision, Refusal> {
    decide(&mut groups.to_vec(), RING, NOW, Sabotage::None)
}

#[test]
fn an_empty_ring_ends_at_its_trim() {
    let decision = run(&[]).unwrap();
    assert_eq!((decision.groups, decision.end, decision.known_durable), (0, NOW.trim, NOW.trim));
    assert_eq!(decision.next_trim, RING.start_of(3));
    let never = Registered { incarnation: Incarnation(0), trim: WalPosition(0) };
    assert_eq!(decide(&mut Vec::new(), RING, never, Sabotage::None).unwrap().next_trim, WalPosition(0));
}

#[test]
fn the_next_incarnation_starts_beyond_a_write_that_was_cut_short() {
    // The log ends one block before the end of file 1: the write in flight may stand in file 1 or in file 2.
    assert_eq!(run(&log(&[3])).unwrap().next_trim, RING.start_of(3));
    // It ends exactly with file 1, so the write in flight stands in file 2.
    assert_eq!(run(&log(&[4])).unwrap().next_trim, RING.start_of(4));
}

#[test]
fn older_incarnations_are_ignored_and_newer_ones_refused() {
    let mut groups = log(&[1, 1]);
    groups[1].incarnation = Incarnation(1);
    assert_eq!(run(&groups).unwrap().groups, 1);
    groups[1].incarnation = Incarnation(3);
    assert!(matches!(run(&groups), Err(Refusal::Newer { .. })));
}

#[test]
fn a_trim_inside_a_file_is_refused() {
    let inside = Registered { incarnation: Incarnation(2), trim: WalPosition(4096) };
    assert_eq!(decide(&mut Vec::new(), RING, inside, Sabotage::None), Err(Refusal::Trim));
}

proptest! {
    #[test]
    fn a_lost_group_is_cut_only_at_the_very_end(blocks in proptest::collection::vec(1u64..4, 1..5), pick: u8) {
        let whole = log(&blocks);
        let decision = run(&whole).unwrap();
        prop_assert_eq!(decision.groups, whole.len());
        prop_assert_eq!(decision.end, whole.last().unwrap().end);
        prop_assert!(decision.next_trim > decision.end);

        let lost = usize::from(pick) % whole.len();
        let mut holed = whole.clone();
        holed.remove(lost);
        if lost + 1 == whole.len() {
            prop_assert_eq!(run(&holed).unwrap().groups, lost);
        } else {
            let refused = matches!(run(&holed), Err(Refusal::Damaged { .. }));
            prop_assert!(refused);
        }
    }
}
