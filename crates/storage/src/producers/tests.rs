use super::*;
use proptest::prelude::*;
use waybill_types::{LeaderEpoch, PartitionId, TopicId, TopicPartition};

const DAY: i64 = 86_400_000;

fn facts(epoch: i16, sequence: i32, records: i32) -> BatchFacts {
    BatchFacts {
        producer_id: ProducerId(7),
        epoch: ProducerEpoch(epoch),
        base_sequence: Sequence(sequence),
        last_delta: records - 1,
        transactional: false,
        origin: AppendOrigin::Client,
        marker: None,
    }
}

fn frame(facts: &BatchFacts, base: i64, at: i64) -> FrameHeader {
    let mut flags = FrameFlags::default();
    if facts.transactional {
        flags = flags.with(FrameFlags::TRANSACTIONAL);
    }
    if facts.marker.is_some() {
        flags = flags.with(FrameFlags::CONTROL);
    }
    FrameHeader {
        partition: TopicPartition::new(TopicId([1; 16]), PartitionId(0)),
        leader_epoch: LeaderEpoch(0),
        base_offset: Offset(base),
        last_offset: Offset(base + i64::from(facts.last_delta)),
        max_timestamp: TimestampMs(-1),
        append_time: TimestampMs(at),
        producer_id: facts.producer_id,
        producer_epoch: facts.epoch,
        base_sequence: facts.base_sequence,
        flags,
        coordinator_epoch: facts.marker.map_or(CoordinatorEpoch(-1), |marker| marker.coordinator_epoch),
    }
}

struct Log {
    states: ProducerStates,
    end: i64,
    now: i64,
}

impl Log {
    fn new() -> Self {
        Self { states: ProducerStates::new(DAY), end: 0, now: 1_000 }
    }

    fn send(&mut self, facts: BatchFacts) -> Result<Verdict, ProducerFault> {
        let verdict = self.states.check(&facts, TimestampMs(self.now))?;
        if verdict == Verdict::Append {
            self.states.apply(&frame(&facts, self.end, self.now));
            self.end += i64::from(facts.last_delta) + 1;
        }
        Ok(verdict)
    }
}

fn out_of_order(got: i32, last: i32) -> Result<Verdict, ProducerFault> {
    Err(ProducerFault::OutOfOrder { producer_id: ProducerId(7), got: Sequence(got), last: Sequence(last) })
}

#[test]
fn sequences_follow_each_other() {
    let mut log = Log::new();
    assert_eq!(log.send(facts(0, 0, 3)), Ok(Verdict::Append));
    assert_eq!(log.send(facts(0, 3, 1)), Ok(Verdict::Append));
    assert_eq!(log.send(facts(0, 5, 1)), out_of_order(5, 3));
    assert_eq!(log.send(facts(0, 4, 1)), Ok(Verdict::Append));
}

#[test]
fn without_state_any_sequence_is_taken() {
    let mut log = Log::new();
    assert_eq!(log.send(facts(3, 100, 1)), Ok(Verdict::Append));
    assert_eq!(log.send(facts(3, 100, 2)), out_of_order(100, 100));
    assert_eq!(log.send(facts(3, 101, 1)), Ok(Verdict::Append));
}

#[test]
fn sequences_wrap_after_the_largest() {
    let mut log = Log::new();
    assert_eq!(log.send(facts(0, i32::MAX - 1, 2)), Ok(Verdict::Append));
    assert_eq!(log.send(facts(0, 0, 1)), Ok(Verdict::Append));
    // A batch that wraps inside.
    let mut log = Log::new();
    assert_eq!(log.send(facts(0, i32::MAX, 2)), Ok(Verdict::Append));
    assert_eq!(log.send(facts(0, 0, 1)), out_of_order(0, 0));
    assert_eq!(log.send(facts(0, 1, 1)), Ok(Verdict::Append));
}

#[test]
fn the_last_five_batches_are_known_as_duplicates() {
    let mut log = Log::new();
    for sequence in 0..6 {
        assert_eq!(log.send(facts(0, sequence, 1)), Ok(Verdict::Append));
    }
    for sequence in 1..6 {
        let offset = Offset(i64::from(sequence));
        let append_time = TimestampMs(1_000);
        assert_eq!(
            log.send(facts(0, sequence, 1)),
            Ok(Verdict::Duplicate { base_offset: offset, last_offset: offset, append_time })
        );
    }
    assert_eq!(log.send(facts(0, 0, 1)), out_of_order(0, 5));
    // The same first sequence with another length is not the same batch.
    assert_eq!(log.send(facts(0, 5, 2)), out_of_order(5, 5));
}

#[test]
fn a_new_epoch_starts_at_zero_and_fences_the_old_one() {
    let mut log = Log::new();
    assert_eq!(log.send(facts(0, 0, 5)), Ok(Verdict::Append));
    assert_eq!(log.send(facts(1, 5, 1)), out_of_order(5, 4));
    assert_eq!(log.send(facts(1, 0, 5)), Ok(Verdict::Append));
    let invalid = ProducerFault::InvalidEpoch {
        producer_id: ProducerId(7),
        got: ProducerEpoch(0),
        current: ProducerEpoch(1),
    };
    assert_eq!(log.send(facts(0, 5, 1)), Err(invalid));
}

#[test]
fn idle_producers_are_forgotten_by_append_time() {
    let mut log = Log::new();
    assert_eq!(log.send(facts(0, 0, 1)), Ok(Verdict::Append));
    log.now += DAY - 1;
    assert_eq!(log.send(facts(0, 9, 1)), out_of_order(9, 0));
    log.now += 1;
    assert_eq!(log.send(facts(0, 9, 1)), Ok(Verdict::Append));
    log.now += DAY;
    log.states.expire(TimestampMs(log.now));
    assert!(log.states.is_empty());
}

#[test]
fn open_transactions_keep_their_producer() {
    let mut log = Log::new();
    assert_eq!(log.send(BatchFacts { transactional: true, ..facts(0, 0, 2) }), Ok(Verdict::Append));
    assert_eq!(log.send(facts(0, 2, 1)), Err(ProducerFault::OutsideTransaction(ProducerId(7))));
    log.now += 2 * DAY;
    log.states.expire(TimestampMs(log.now));
    assert_eq!(log.states.open_transactions().collect::<Vec<_>>(), [(Offset(0), ProducerId(7))]);
}

fn marker(epoch: i16, coordinator: i32, strict_epoch: bool) -> BatchFacts {
    let marker = Marker { commit: true, coordinator_epoch: CoordinatorEpoch(coordinator), strict_epoch };
    BatchFacts {
        transactional: true,
        origin: AppendOrigin::Coordinator,
        marker: Some(marker),
        ..facts(epoch, -1, 1)
    }
}

#[test]
fn markers_end_transactions_and_fence() {
    let mut log = Log::new();
    assert_eq!(log.send(BatchFacts { transactional: true, ..facts(0, 0, 2) }), Ok(Verdict::Append));
    // Transaction version 2 wants a higher epoch, version 1 an equal one.
    assert!(matches!(log.send(marker(0, 3, true)), Err(ProducerFault::InvalidEpoch { .. })));
    assert_eq!(log.send(marker(0, 3, false)), Ok(Verdict::Append));
    assert_eq!(log.states.open_transactions().count(), 0);
    assert!(matches!(log.send(marker(0, 2, false)), Err(ProducerFault::CoordinatorFenced { .. })));
    // A marker that is written again is let through.
    assert_eq!(log.send(marker(0, 3, true)), Ok(Verdict::Append));
    assert_eq!(log.send(marker(1, 3, true)), Ok(Verdict::Append));
    // The marker's epoch is new, so the producer starts at 0 in it.
    assert_eq!(log.send(BatchFacts { transactional: true, ..facts(1, 0, 1) }), Ok(Verdict::Append));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// A snapshot anywhere plus the frames after it is the state after them, whatever was sent.
    #[test]
    fn a_snapshot_and_the_frames_after_it_give_the_state(
        sends in proptest::collection::vec((0i16..3, 0i32..12, 1i32..4, 0i64..3 * DAY / 4, any::<bool>()), 1..40),
        cut in 0usize..40,
    ) {
        let mut states = ProducerStates::new(DAY);
        let (mut end, mut now) = (0, 1_000);
        let mut frames = Vec::new();
        let mut snapshot = (0, states.snapshots());
        for (epoch, sequence, records, gap, transactional) in sends {
            now += gap;
            let facts = BatchFacts { transactional, ..facts(epoch, sequence, records) };
            if states.check(&facts, TimestampMs(now)) == Ok(Verdict::Append) {
                let header = frame(&facts, end, now);
                states.apply(&header);
                frames.push(header);
                end += i64::from(records);
            }
            if frames.len() == cut {
                snapshot = (cut, states.snapshots());
            }
        }
        let mut rebuilt = ProducerStates::from_snapshots(&snapshot.1, DAY);
        for header in &frames[snapshot.0..] {
            rebuilt.apply(header);
        }
        prop_assert_eq!(rebuilt, states);
    }

    /// A naive model: a producer that retries anything at random never gets a batch in twice, and what it got in is
    /// in order without gaps.
    #[test]
    fn retries_never_double(picks in proptest::collection::vec((0usize..6, any::<bool>()), 1..60)) {
        let mut log = Log::new();
        let mut next = 0;
        let mut appended = Vec::new();
        for (back, fresh) in picks {
            let sequence = if fresh { next } else { (next - back as i32).max(0) };
            match log.send(facts(0, sequence, 1)) {
                Ok(Verdict::Append) => {
                    appended.push(sequence);
                    next = sequence + 1;
                }
                Ok(Verdict::Duplicate { base_offset, .. }) => {
                    prop_assert_eq!(appended[base_offset.get() as usize], sequence);
                }
                Err(_) => prop_assert!(sequence + 5 < next),
            }
        }
        prop_assert!(appended.iter().enumerate().all(|(at, sequence)| at as i32 == *sequence));
    }
}
