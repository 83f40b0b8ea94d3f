//! Bytes that are no segments: damaged, cut, forged.

#[path = "../../../../fuzz/entry/damage.rs"]
mod damage;
#[path = "../../../../fuzz/entry/segments.rs"]
mod entry;

use damage::{Random, damage, seed};
use waybill_meta::ProducerSnapshot;
use waybill_types::{CoordinatorEpoch, ProducerEpoch};

use super::tests::{directory, identity, slice, whole};
use super::*;

/// A segment of some slices; damaging it is to reach all parts, so it is small.
fn sound(random: &mut Random) -> Bytes {
    let inputs: Vec<_> = (0..=random.below(3))
        .map(|partition| {
            let sizes: Vec<usize> = (0..=random.below(3)).map(|_| random.below(40)).collect();
            let mut input = slice(partition as i32, random.below(100) as i64, &sizes);
            input.producers.push(ProducerSnapshot {
                producer_id: waybill_types::ProducerId(3),
                epoch: ProducerEpoch(1),
                coordinator_epoch: CoordinatorEpoch(-1),
                last_update: waybill_types::TimestampMs(9),
                transaction_start: None,
                batches: Vec::new(),
            });
            input
        })
        .collect();
    whole(&build(&identity(), &inputs))
}

/// Everything that the entry takes, out of one segment: what the first byte chooses, and the bytes.
fn parts(segment: &Bytes) -> Vec<(u8, Bytes)> {
    let end = segment.len() - TRAILER_LEN;
    let (position, length) = parse_trailer(&segment[end..], segment.len() as u64).unwrap();
    let mut parts = vec![
        (0, segment.slice(end..)),
        (2, segment.slice(position as usize..(position + length) as usize)),
        (6, segment.clone()),
    ];
    for slice in directory(segment).unwrap().slices {
        let at = slice.index_position as usize;
        parts.push((4, segment.slice(at..at + slice.index_length as usize)));
    }
    parts
}

#[test]
fn a_sound_segment_passes_and_any_damage_to_what_readers_use_is_seen() {
    let mut random = Random(1);
    for _ in 0..30 {
        let segment = sound(&mut random);
        let told = check_segment(&segment).unwrap();
        assert_eq!(Ok(told), directory(&segment));
        // The head is not read by anyone: a segment is found through its trailer.
        for bit in HEAD_LEN * 8..segment.len() * 8 {
            let mut bytes = segment.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(check_segment(&bytes.into()).is_err(), "bit {bit} of {}", segment.len() * 8);
        }
    }
}

#[test]
fn damaged_segments_break_no_promise() {
    let mut random = Random(2);
    let (mut accepted, mut number) = (0, 0);
    for round in 0..3_000 {
        for (chosen, bytes) in parts(&sound(&mut random)) {
            assert!(entry::part(&[&[chosen + 1], &bytes[..]].concat()), "a sound part is refused");
            if round < 10 {
                seed("segment", number, &[&[chosen], &bytes[..]].concat());
                number += 1;
            }
            // With the checksums as they are, and put right.
            for chosen in [chosen, chosen + 1] {
                let damaged = damage(bytes.to_vec(), &mut random);
                accepted += usize::from(entry::part(&[&[chosen], &damaged[..]].concat()));
            }
        }
    }
    assert!((3_000..25_000).contains(&accepted), "{accepted} were accepted");
}

#[test]
fn noise_does_no_harm() {
    let mut random = Random(3);
    for _ in 0..20_000 {
        entry::part(&random.noise(400));
    }
}

/// The end of a directory that reaches to the end of what 64 bits can count.
#[test]
fn a_trailer_that_points_beyond_all_numbers_is_refused() {
    let mut trailer = [(u64::MAX - 4).to_be_bytes().as_slice(), &[0; 4], &[0; 8]].concat();
    trailer.extend(crc32c::crc32c(&trailer).to_be_bytes());
    trailer.extend(TAIL_MAGIC);
    assert_eq!(parse_trailer(&trailer, 0), Err(SegmentFault::Short("segment")));
}
