use proptest::prelude::*;
use waybill_types::{LeaderEpoch, Offset, PartitionId, TopicId, TopicPartition};

use super::*;
use crate::frame::FrameHeader;

fn frame(seed: u8, length: usize) -> Frame {
    let partition = TopicPartition::new(TopicId([seed; 16]), PartitionId(i32::from(seed)));
    let mut header = FrameHeader::plain(partition);
    header.leader_epoch = LeaderEpoch(3);
    header.base_offset = Offset(i64::from(seed) * 100);
    header.last_offset = Offset(i64::from(seed) * 100 + 9);
    let records = (0..length).map(|at| (at as u8).wrapping_mul(seed | 1)).collect::<Vec<_>>();
    Frame { header, records: records.into() }
}

fn group(lengths: &[usize]) -> (GroupHeader, Vec<Frame>, Vec<u8>) {
    let frames: Vec<_> = lengths.iter().enumerate().map(|(n, length)| frame(n as u8, *length)).collect();
    let used = used_length(lengths.iter().copied());
    let header = GroupHeader {
        store: StoreId([9; 16]),
        incarnation: Incarnation(4),
        position: WalPosition(8192),
        durable: WalPosition(4096),
        previous: WalPosition(8192),
        length: used.next_multiple_of(512) as u32,
        used: used as u32,
        frames: lengths.len() as u32,
    };
    let mut out = vec![0xaa; header.length as usize];
    encode_group(&mut out, &header, frames.iter()).unwrap();
    (header, frames, out)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn groups_survive_their_encoding(lengths in proptest::collection::vec(0usize..700, 0..6)) {
        let (header, frames, bytes) = group(&lengths);
        let (back, decoded) = decode_group(&Bytes::from(bytes)).unwrap();
        prop_assert_eq!(back, header);
        prop_assert_eq!(decoded.len(), frames.len());
        for (durable, frame) in decoded.iter().zip(&frames) {
            prop_assert_eq!(durable.frame.header, frame.header);
            prop_assert_eq!(&durable.frame.records, &frame.records);
        }
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(verify_group(&bytes).is_err());
    }
}

#[test]
fn every_flipped_bit_is_seen() {
    let (_, _, mut bytes) = group(&[40, 0, 130]);
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(verify_group(&bytes).is_err(), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(verify_group(&bytes).is_ok());
}

/// The format of version 1, byte for byte: a change here needs a new version.
#[test]
fn the_first_version_is_readable_for_ever() {
    let (_, _, bytes) = group(&[3]);
    assert_eq!(
        bytes
            .iter()
            .take(GROUP_HEADER_LEN + ENTRY_LEN + 3)
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>(),
        include_str!("golden-v1.hex").trim(),
    );
}

#[test]
fn forged_lengths_are_refused() {
    let (_, _, bytes) = group(&[64]);
    for (at, value) in
        [(56, u32::MAX), (60, u32::MAX), (64, u32::MAX), (64, 0), (GROUP_HEADER_LEN + 80, u32::MAX)]
    {
        let mut forged = bytes.clone();
        forged[at..at + 4].copy_from_slice(&value.to_le_bytes());
        assert!(verify_group(&forged).is_err(), "{value} at {at}");
    }
}

/// Found by fuzzing: a group with a right checksum that says it stands where positions end.
#[test]
fn a_group_beyond_all_positions_is_refused() {
    let (sound, frames, mut bytes) = group(&[40]);
    for position in [u64::MAX, u64::MAX - u64::from(sound.length) + 1] {
        let header = GroupHeader { position: WalPosition(position), ..sound };
        encode_group(&mut bytes, &header, frames.iter()).unwrap();
        assert_eq!(decode_group(&Bytes::copy_from_slice(&bytes)).unwrap_err(), GroupFault::NoHeader);
    }
}
