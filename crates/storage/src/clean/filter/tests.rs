use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use waybill_meta::ProducerBatchSnapshot;
use waybill_protocol::batch::{BatchBuilder, EndTxnMarker, NewRecord, patch_in_place, split_batches};
use waybill_protocol::compression::Compression;
use waybill_types::{CoordinatorEpoch, LeaderEpoch, Sequence};

/// A record: its key, and its value unless it is a tombstone.
type Said = (u8, Option<u8>);

fn batch(base: i64, producer: Option<i64>, transactional: bool, records: &[Said]) -> RecordBatch {
    let codec = Compression::ALL[base as usize % 5];
    let mut builder = BatchBuilder::new(codec).base_offset(Offset(base)).leader_epoch(LeaderEpoch(1));
    if let Some(producer) = producer {
        builder = builder.producer(ProducerId(producer), ProducerEpoch(0), Sequence(base as i32));
    }
    let mut builder = builder.transactional(transactional);
    for (at, (key, value)) in records.iter().enumerate() {
        let value = value.map(|value| [value; 20]);
        let record = NewRecord {
            timestamp: TimestampMs(1_000 + base + at as i64),
            key: Some(&[*key]),
            value: value.as_ref().map(|value| &value[..]),
            headers: &[],
        };
        builder.push(record).unwrap();
    }
    builder.build().unwrap()
}

fn marker(base: i64, producer: i64, commit: bool) -> RecordBatch {
    let marker = EndTxnMarker { commit, coordinator_epoch: CoordinatorEpoch(1) };
    let made = marker.to_batch(ProducerId(producer), ProducerEpoch(0), TimestampMs(1_000 + base)).unwrap();
    let mut bytes = bytes::BytesMut::from(&made.bytes()[..]);
    patch_in_place(&mut bytes, Offset(base), LeaderEpoch(1)).unwrap();
    RecordBatch::new(bytes.freeze()).unwrap()
}

fn aborted(producer: i64, first: i64, last: i64) -> AbortedTransaction {
    AbortedTransaction {
        producer_id: ProducerId(producer),
        first_offset: Offset(first),
        last_offset: Offset(last),
    }
}

fn active(producer: i64, last: Option<i64>) -> ProducerSnapshot {
    let batch = |last: i64| ProducerBatchSnapshot {
        base_sequence: Sequence(0),
        last_delta: 0,
        base_offset: Offset(last),
        append_time: TimestampMs(0),
    };
    ProducerSnapshot {
        producer_id: ProducerId(producer),
        epoch: ProducerEpoch(0),
        coordinator_epoch: CoordinatorEpoch(-1),
        last_update: TimestampMs(0),
        transaction_start: None,
        batches: last.map(batch).into_iter().collect(),
    }
}

/// One compaction of a whole log.
struct Once<'a> {
    log: &'a [RecordBatch],
    aborted: Vec<AbortedTransaction>,
    producers: Vec<ProducerSnapshot>,
    now: i64,
    /// Keys from here to there are noted.
    dirty: (i64, i64),
}

impl<'a> Once<'a> {
    fn all(log: &'a [RecordBatch], now: i64) -> Self {
        Self { log, aborted: Vec::new(), producers: Vec::new(), now, dirty: (0, i64::MAX) }
    }

    fn run(self) -> (Vec<RecordBatch>, Vec<AbortedTransaction>) {
        let mut map = KeyMap::new(1 << 20);
        let mut decided = Decided::new(self.aborted.clone());
        let (from, to) = (Offset(self.dirty.0), Offset(self.dirty.1));
        for batch in self.log.iter().filter(|batch| batch.header().last_offset() < to) {
            note_keys(&mut map, &mut decided, batch, from, 1 << 20).unwrap();
        }
        let mut filter = Filter {
            map: &map,
            decided: Decided::new(self.aborted),
            last: LastOfProducers::new(&self.producers),
            now: TimestampMs(self.now),
            delete_retention_ms: 100,
            end: self.log.last().unwrap().header().next_offset(),
            limit: 1 << 20,
            dropped: 0,
            tombstones_at_once: false,
            forget_producers: false,
        };
        let left = self.log.iter().filter_map(|batch| match filter.take(batch) {
            Left::Same => Some(batch.clone()),
            Left::Thinner(batch) => Some(batch),
            Left::Nothing => None,
        });
        (left.collect(), filter.decided.take_told())
    }
}

fn records(log: &[RecordBatch]) -> Vec<(i64, Said)> {
    let mut all = Vec::new();
    for batch in log.iter().filter(|batch| !batch.header().attributes.is_control()) {
        batch.verify_crc().unwrap();
        for record in batch.records(1 << 20) {
            let record = record.unwrap();
            assert_eq!(record.timestamp.get(), 1_000 + record.offset.get(), "timestamps stay");
            let value = record.value.as_ref().map(|value| value[0]);
            all.push((record.offset.get(), (record.key.unwrap()[0], value)));
        }
    }
    all
}

fn bounds(log: &[RecordBatch]) -> Vec<(i64, i64, i32)> {
    let bounds = |batch: &RecordBatch| {
        let header = batch.header();
        (header.base_offset.get(), header.last_offset().get(), header.record_count)
    };
    log.iter().map(bounds).collect()
}

#[test]
fn the_newest_of_each_key_stays_at_its_offset() {
    let log = [
        batch(0, None, false, &[(1, Some(1)), (2, Some(1))]),
        batch(2, None, false, &[(1, Some(2))]),
        batch(3, None, false, &[(3, Some(1)), (1, Some(3)), (3, Some(2))]),
        batch(6, None, false, &[(3, Some(3))]),
    ];
    let (left, _) = Once::all(&log, 0).run();
    assert_eq!(records(&left), [(1, (2, Some(1))), (4, (1, Some(3))), (6, (3, Some(3)))]);
    assert_eq!(bounds(&left), [(0, 1, 1), (3, 5, 1), (6, 6, 1)]);
    // Beyond what was looked at, everything stays, and what is there does not push out what is before.
    let (left, _) = Once { dirty: (0, 3), ..Once::all(&log, 0) }.run();
    assert_eq!(
        records(&left),
        [
            (1, (2, Some(1))),
            (2, (1, Some(2))),
            (3, (3, Some(1))),
            (4, (1, Some(3))),
            (5, (3, Some(2))),
            (6, (3, Some(3)))
        ]
    );
}

#[test]
fn tombstones_stay_until_their_horizon() {
    let log = [
        batch(0, None, false, &[(1, Some(1)), (2, Some(1))]),
        batch(2, None, false, &[(1, None), (4, Some(1))]),
        batch(4, None, false, &[(3, Some(1))]),
    ];
    // The first compaction sets the horizon: 100 ms from now.
    let (first, _) = Once::all(&log, 1_000).run();
    assert_eq!(records(&first), [(1, (2, Some(1))), (2, (1, None)), (3, (4, Some(1))), (4, (3, Some(1)))]);
    let header = first[1].header();
    assert!(header.attributes.has_delete_horizon());
    assert_eq!(header.base_timestamp, TimestampMs(1_100));
    assert!(!first[0].header().attributes.has_delete_horizon(), "no tombstone is in it");
    let (second, _) = Once::all(&first, 1_099).run();
    assert_eq!(second, first, "a later one does not move it");
    let (third, _) = Once::all(&second, 1_100).run();
    assert_eq!(records(&third), [(1, (2, Some(1))), (3, (4, Some(1))), (4, (3, Some(1)))]);
}

#[test]
fn the_last_batch_of_a_producer_and_of_the_round_stay_emptied() {
    let log = [
        batch(0, Some(7), false, &[(1, Some(1)), (2, Some(1))]),
        batch(2, Some(7), false, &[(1, Some(2)), (2, Some(2))]),
        batch(4, None, false, &[(1, Some(3)), (2, Some(3))]),
        batch(6, None, false, &[(5, Some(1)), (5, Some(2))]),
        batch(8, None, false, &[(6, None)]),
    ];
    let producers = vec![active(7, Some(3)), active(8, Some(99))];
    let (left, _) = Once { producers: producers.clone(), ..Once::all(&log, 0) }.run();
    assert_eq!(bounds(&left), [(2, 3, 0), (4, 5, 2), (6, 7, 1), (8, 8, 1)]);
    let header = left[0].header();
    assert_eq!((header.producer_id, header.base_sequence), (ProducerId(7), Sequence(2)));
    // Once it is not the last one any more, it goes.
    let (again, _) = Once::all(&left, 0).run();
    assert_eq!(bounds(&again)[0], (4, 5, 2));
    // The tombstone goes after its time, the batch stays because the log ends there.
    let (later, _) = Once { producers, ..Once::all(&again, 100) }.run();
    assert_eq!(bounds(&later), [(4, 5, 2), (6, 7, 1), (8, 8, 0)]);
}

#[test]
fn aborted_records_go_and_markers_stay_for_their_time() {
    let log = [
        batch(0, Some(1), true, &[(1, Some(1))]),
        batch(1, Some(2), true, &[(1, Some(2)), (2, Some(2))]),
        marker(3, 2, false),
        marker(4, 1, true),
        batch(5, None, false, &[(9, Some(9))]),
    ];
    let gone = vec![aborted(2, 1, 3)];
    let (first, told) = Once { aborted: gone.clone(), ..Once::all(&log, 1_000) }.run();
    // The aborted newer value of key 1 does not push out the committed one.
    assert_eq!(records(&first), [(0, (1, Some(1))), (5, (9, Some(9)))]);
    assert_eq!(bounds(&first), [(0, 0, 1), (3, 3, 1), (4, 4, 1), (5, 5, 1)]);
    assert_eq!(told, gone, "who read it before must still hear that it was aborted");
    assert!(!first[1].header().attributes.has_delete_horizon(), "its data were there until now");
    // Nothing of it is left now: the marker gets its horizon, then goes. The other one has data and stays.
    let (second, told) = Once { aborted: gone.clone(), ..Once::all(&first, 1_000) }.run();
    assert!(told.is_empty() && second[1].header().attributes.has_delete_horizon());
    let (third, _) = Once::all(&second, 1_099).run();
    assert_eq!(bounds(&third), bounds(&second));
    let (fourth, _) = Once::all(&third, 1_100).run();
    assert_eq!(bounds(&fourth), [(0, 0, 1), (4, 4, 1), (5, 5, 1)]);
    // A producer whose last word is a marker keeps it for its epoch.
    let (kept, _) = Once { producers: vec![active(2, None)], ..Once::all(&third, 1_100) }.run();
    assert_eq!(bounds(&kept), [(0, 0, 1), (3, 3, 0), (4, 4, 1), (5, 5, 1)]);
}

#[test]
fn what_can_not_be_read_stays() {
    let mut bytes = batch(0, None, false, &[(1, Some(1))]).into_bytes().to_vec();
    let last = bytes.len() - 30;
    bytes[last] = 0x7f;
    let broken = RecordBatch::new(Bytes::from(bytes)).unwrap();
    let log =
        [broken.clone(), batch(1, None, false, &[(1, Some(2))]), batch(2, None, false, &[(1, Some(3))])];
    let (left, _) = Once::all(&log, 0).run();
    assert_eq!(left[0], broken);
    assert_eq!(bounds(&left[1..]), [(2, 2, 1)]);
}

/// What a log looks like to somebody who keeps the newest value of each key, tombstones included.
fn naive(records: &[(i64, Said)]) -> Vec<(i64, Said)> {
    let mut newest = BTreeMap::new();
    for (offset, (key, _)) in records {
        newest.insert(*key, *offset);
    }
    records.iter().filter(|(offset, (key, _))| newest[key] == *offset).copied().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    /// Against a map, for random logs that are compacted again and again as they grow.
    #[test]
    fn it_keeps_what_a_naive_model_keeps(
        batches in proptest::collection::vec(
            (proptest::collection::vec((0u8..12, proptest::option::weighted(0.8, 0u8..9)), 1..6), proptest::bool::ANY),
            1..30,
        ),
        rounds in proptest::collection::vec((0usize..30, 0i64..150), 0..6),
    ) {
        let mut log: Vec<RecordBatch> = Vec::new();
        let mut all = Vec::new();
        for (said, idempotent) in &batches {
            let base = all.len() as i64;
            log.push(batch(base, idempotent.then_some(4), false, said));
            all.extend(said.iter().enumerate().map(|(at, said)| (base + at as i64, *said)));
        }
        let last = |log: &[RecordBatch]| log.iter().rev().find(|batch| batch.header().producer_id == ProducerId(4)).map(|batch| batch.header().last_offset());
        let of_producer = last(&log);
        let producers = |last: Option<Offset>| last.map(|last| active(4, Some(last.get()))).into_iter().collect::<Vec<_>>();
        let (mut now, mut from) = (0, 0);
        // When each tombstone may go at the soonest.
        let mut cleaned_at: BTreeMap<i64, i64> = BTreeMap::new();
        for (upto, wait) in rounds {
            now += wait;
            let Some(end) = log.get(upto.min(log.len() - 1)).map(|batch| batch.header().next_offset().get()) else { break };
            if end <= from {
                continue;
            }
            let (mut head, tail): (Vec<_>, Vec<_>) = log.iter().cloned().partition(|batch| batch.header().next_offset().get() <= end);
            if head.is_empty() { continue; }
            let once = Once { producers: producers(of_producer), dirty: (from, end), ..Once::all(&head, now) };
            (head, _) = once.run();
            let left = records(&head);
            let wanted = naive(&all.iter().filter(|(offset, _)| *offset < end).copied().collect::<Vec<_>>());
            for (offset, said) in &wanted {
                if said.1.is_none() {
                    let since = *cleaned_at.entry(*offset).or_insert(now);
                    let there = left.iter().any(|(at, _)| at == offset);
                    // 100 ms after the first compaction it may go, and does when the next one comes by.
                    prop_assert_eq!(there, now < since + 100, "tombstone at {} first met at {}, now {}", offset, since, now);
                } else {
                    prop_assert!(left.contains(&(*offset, *said)), "{} is gone", offset);
                }
            }
            prop_assert!(left.iter().all(|record| wanted.contains(record)), "something older is left");
            prop_assert_eq!(head.last().unwrap().header().next_offset().get(), end);
            log = head.into_iter().chain(tail).collect();
            prop_assert_eq!(last(&log), of_producer, "the producer's last batch");
            from = end;
        }
        let bytes: Vec<u8> = log.iter().flat_map(|batch| batch.bytes().to_vec()).collect();
        prop_assert!(split_batches(bytes.into()).strict().all(|batch| batch.is_ok()));
    }
}
