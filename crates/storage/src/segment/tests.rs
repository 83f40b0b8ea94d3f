use super::*;
use crate::testing::{batch, frame_header};
use crate::transactions::AbortedTransaction;
use bytes::BytesMut;
use proptest::prelude::*;
use waybill_types::{ClusterId, Incarnation, LeaderEpoch, Offset, ProducerId, TimestampMs};

pub(super) fn identity() -> SegmentIdentity {
    SegmentIdentity {
        cluster: ClusterId([5; 16]),
        region: "here".into(),
        placement: "local".into(),
        object: ObjectId(17),
        incarnation: Incarnation(3),
        created_at: TimestampMs(99),
    }
}

/// A slice of `sizes.len()` batches of one record each.
pub(super) fn slice(partition: i32, base: i64, sizes: &[usize]) -> SliceInput {
    let frames = sizes
        .iter()
        .enumerate()
        .map(|(at, size)| {
            let records = batch(base + at as i64, 1, 1_000 + at as i64, *size);
            (frame_header(partition, &records), records)
        })
        .collect();
    let slice = SliceInput::of_frames(crate::testing::partition(partition), frames);
    let empty = batch(base, 1, 1_000, 0);
    let slice = slice.unwrap_or_else(|| {
        let mut slice = SliceInput::of_frames(
            crate::testing::partition(partition),
            vec![(frame_header(partition, &empty), empty)],
        )
        .unwrap();
        slice.pieces.clear();
        slice
    });
    SliceInput {
        epochs: vec![(LeaderEpoch(2), Offset(base))],
        aborted: vec![AbortedTransaction {
            producer_id: ProducerId(1),
            first_offset: Offset(base),
            last_offset: Offset(base),
        }],
        ..slice
    }
}

pub(super) fn whole(segment: &BuiltSegment) -> Bytes {
    let mut bytes = BytesMut::new();
    for part in &segment.parts {
        bytes.extend_from_slice(part);
    }
    bytes.freeze()
}

pub(super) fn directory(bytes: &Bytes) -> Result<Directory, SegmentFault> {
    let trailer = bytes.len().checked_sub(TRAILER_LEN).ok_or(SegmentFault::Magic)?;
    let (position, length) = parse_trailer(&bytes[trailer..], bytes.len() as u64)?;
    parse_directory(&bytes[position as usize..(position + length) as usize])
}

#[test]
fn a_segment_says_what_it_holds() {
    let inputs = vec![slice(0, 10, &[100, 100]), slice(3, 0, &[70_000, 10, 10])];
    let segment = build(&identity(), &inputs);
    let bytes = whole(&segment);
    assert_eq!(segment.size, bytes.len() as u64);
    let directory = directory(&bytes).unwrap();
    assert_eq!((directory.object, directory.cluster), (ObjectId(17), ClusterId([5; 16])));
    assert_eq!((directory.region.as_str(), directory.placement.as_str()), ("here", "local"));
    for (entry, built) in directory.slices.iter().zip(&segment.slices) {
        assert_eq!(entry.partition, built.partition);
        assert_eq!(entry.base_offset, built.base_offset);
        assert_eq!(entry.data_position, built.record.data_position);
        assert_eq!(entry.last_offset, built.record.last_offset);
        let at = entry.index_position as usize;
        let index = parse_slice_index(&bytes[at..at + entry.index_length as usize]).unwrap();
        let at = entry.data_position as usize;
        let data = bytes.slice(at..at + entry.data_length as usize);
        index.verify(0, index.blocks.len(), &data).unwrap();
        assert_eq!((index.epochs.len(), index.aborted.len()), (1, 1));
    }
    // A batch larger than a block stands alone in one.
    let entry = directory.slices[1];
    let at = entry.index_position as usize;
    let index = parse_slice_index(&bytes[at..at + entry.index_length as usize]).unwrap();
    assert_eq!(index.blocks.iter().map(|block| block.base_offset.get()).collect::<Vec<_>>(), [0, 1]);
    assert_eq!((index.block_at(Offset(0)), index.block_at(Offset(2))), (0, 1));
    assert_eq!(index.block_from(TimestampMs(1_001)), Some(1));
    assert_eq!(index.block_from(TimestampMs(1_003)), None);
}

#[test]
fn damage_is_seen() {
    let segment = build(&identity(), &[slice(0, 10, &[100, 100])]);
    let bytes = whole(&segment);
    let record = &segment.slices[0].record;
    let range = |start: u64, length: u64| start as usize..(start + length) as usize;
    let (data, index) =
        (range(record.data_position, record.data_length), range(record.index_position, record.index_length));
    for at in HEAD_LEN..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 1;
        let damaged = Bytes::from(damaged);
        let seen = if data.contains(&at) {
            let index = parse_slice_index(&damaged[index.clone()]).unwrap();
            index.verify(0, index.blocks.len(), &damaged.slice(data.clone())).is_err()
        } else if index.contains(&at) {
            parse_slice_index(&damaged[index.clone()]).is_err()
        } else {
            directory(&damaged).is_err()
        };
        assert!(seen, "byte {at}");
    }
}

#[test]
fn the_layout_is_what_earlier_releases_wrote() {
    let bytes = whole(&build(&identity(), &[slice(0, 10, &[3]), slice(1, 0, &[5, 6])]));
    assert_eq!(bytes[..16], *b"WbSegm\r\n\x01\0\0\0\0\0\0\0");
    // Changing the layout changes this: add a version instead.
    assert_eq!((bytes.len(), crc32c::crc32c(&bytes)), (GOLDEN.0, GOLDEN.1));
}

const GOLDEN: (usize, u32) = (698, 4020536603);

#[test]
fn names_spread_and_parse() {
    assert_eq!(parse_object_name(&object_name(ObjectId(17))), Some(ObjectId(17)));
    assert_eq!(parse_object_name("seg/00/x"), None);
    assert_eq!(parse_object_name("seg/zz/00000000000000000017"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn any_bytes_are_an_error_or_a_segment(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_slice_index(&bytes);
        let _ = parse_directory(&bytes);
        let _ = parse_trailer(&bytes, bytes.len() as u64);
        // With a good checksum the lengths inside are what is tried.
        let mut summed = vec![VERSION];
        summed.extend_from_slice(&bytes);
        let crc = crc32c::crc32c(&summed);
        summed.extend_from_slice(&crc.to_be_bytes());
        let _ = parse_slice_index(&summed);
        let _ = parse_directory(&summed);
    }
}
