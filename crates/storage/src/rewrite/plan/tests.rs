use super::*;
use proptest::prelude::*;

const NOTHING: [u64; 0] = [];
const DAY: i64 = 86_400_000;

fn object(id: u64, size: u64, dead: u64, slices: u32, since: i64) -> ObjectFacts {
    ObjectFacts { id: ObjectId(id), size, dead, slices, since: TimestampMs(since) }
}

fn chosen(facts: &[ObjectFacts]) -> Vec<u64> {
    refusing(facts, &BTreeSet::new())
}

fn refusing(facts: &[ObjectFacts], refused: &BTreeSet<BTreeSet<ObjectId>>) -> Vec<u64> {
    let options = CompactionOptions::default();
    let terms = Terms { options: &options, read_bytes: 1 << 20, now: TimestampMs(DAY), refused };
    plan(facts, &terms).map(|plan| plan.objects.iter().map(|id| id.get()).collect()).unwrap_or_default()
}

#[test]
fn many_small_slices_are_merged_and_large_ones_left() {
    // 32 MiB of 1,000 partitions each: 32 KiB slices.
    let fine: Vec<_> = (0..20).map(|id| object(id, 32 << 20, 0, 1_000, id as i64)).collect();
    assert_eq!(chosen(&fine).len(), 16, "as many as may be at once");
    // Of 10 partitions each: a reader takes 3 MiB slices in several requests anyway.
    let coarse: Vec<_> = (0..20).map(|id| object(id, 32 << 20, 0, 10, id as i64)).collect();
    assert_eq!(chosen(&coarse), NOTHING);
    // Tiny ones of one partition pay only when there are many.
    let tiny = |count| (0..count).map(|id| object(id, 500, 0, 1, id as i64)).collect::<Vec<_>>();
    assert_eq!(chosen(&tiny(4)), NOTHING);
    assert_eq!(chosen(&tiny(16)).len(), 16);
    assert_eq!(chosen(&[]), NOTHING);
}

#[test]
fn objects_of_another_grain_are_not_moved_along() {
    let mut facts: Vec<_> = (0..8).map(|id| object(id, 1 << 20, 0, 1_000, id as i64)).collect();
    facts.push(object(8, 32 << 20, 0, 100, 8));
    assert_eq!(chosen(&facts), (0..8).collect::<Vec<_>>());
}

#[test]
fn what_is_mostly_dead_is_freed() {
    let facts = [
        object(1, 32 << 20, 20 << 20, 3, 0),
        object(2, 32 << 20, 10 << 20, 3, 0),
        object(3, 10_000, 9_000, 1, 0),
        object(4, 32 << 20, 31 << 20, 1, 5),
    ];
    // Less than half dead, or so little that a request costs more than a month of it.
    assert_eq!(chosen(&facts), [1, 4]);
    let refused = BTreeSet::from([BTreeSet::from([ObjectId(1), ObjectId(4)])]);
    assert_eq!(refusing(&facts, &refused), NOTHING);
}

#[test]
fn old_history_is_read_less_and_must_save_more() {
    let small = |since| (0..16).map(|id| object(id, 500, 0, 1, since)).collect::<Vec<_>>();
    assert_eq!(chosen(&small(0)).len(), 16);
    assert_eq!(chosen(&small(-30 * DAY)), NOTHING);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// A merge never grows what is left to do: doing what is planned, again and again, ends.
    #[test]
    fn merging_ends(sizes in proptest::collection::vec((1u64..40 << 20, 1u32..2_000), 0..40)) {
        let mut facts: Vec<_> = sizes
            .iter()
            .enumerate()
            .map(|(id, (size, slices))| object(id as u64, *size, 0, *slices, id as i64))
            .collect();
        let mut next = facts.len() as u64;
        for _ in 0..200 {
            let chosen = chosen(&facts);
            if chosen.is_empty() {
                return Ok(());
            }
            let of_these = |object: &&ObjectFacts| chosen.contains(&object.id.get());
            let (bytes, slices, since) = facts.iter().filter(of_these).fold((0, 0, i64::MAX), |sum, object| {
                (sum.0 + object.size, sum.1.max(object.slices), sum.2.min(object.since.get()))
            });
            facts.retain(|object| !chosen.contains(&object.id.get()));
            // The same partitions in each: as many segments as it takes, each with its share of the slices.
            let outputs = (bytes / (32 << 20) + 1).min(u64::from(slices));
            for _ in 0..outputs {
                facts.push(object(next, bytes / outputs, 0, slices / outputs as u32, since));
                next += 1;
            }
        }
        prop_assert!(false, "{facts:?}");
    }
}
