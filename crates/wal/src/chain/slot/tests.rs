use proptest::prelude::*;
use waybill_types::{Offset, PartitionId, TopicId, TopicPartition};

use super::*;
use crate::frame::FrameHeader;

fn identity() -> Identity {
    let chain = ChainId { broker: BrokerId(7), incarnation: Incarnation(3) };
    Identity { store: StoreId([9; 16]), chain, writer: 0x1122_3344_5566_7788 }
}

fn frame(offset: i64, records: Vec<u8>) -> Frame {
    let partition = TopicPartition::new(TopicId([5; 16]), PartitionId(1));
    let mut header = FrameHeader::plain(partition);
    header.base_offset = Offset(offset);
    header.last_offset = Offset(offset);
    Frame { header, records: records.into() }
}

fn data(records: &[Vec<u8>]) -> (Encoded, Bytes) {
    let frames: Vec<Frame> =
        records.iter().enumerate().map(|(at, records)| frame(at as i64, records.clone())).collect();
    let encoded = encode_data(identity(), 12, WalPosition(1 << 40), 11, &frames).unwrap();
    let whole = Bytes::from(encoded.parts.concat());
    (encoded, whole)
}

#[test]
fn open_records_and_seals_are_read_back() {
    let record = OpenRecord { depth: 16, largest: 1 << 24, written: TimestampMs(99) };
    let open = encode_open(identity(), WalPosition(77), record).unwrap();
    assert_eq!(decode_front(&open.parts.concat()).unwrap(), Front::Open(open.head, record));
    assert_eq!(open.head.position, WalPosition(77));
    let record = SealRecord { term: 4, attempt: 2, written: TimestampMs(5) };
    let seal = encode_seal(identity(), 8, record).unwrap();
    assert_eq!(decode_front(&seal.parts.concat()).unwrap(), Front::Seal(seal.head, record));
    assert_eq!((seal.head.slot, seal.head.length), (8, 128));
}

/// The format does not change without a new version.
#[test]
fn golden_bytes() {
    let (_, whole) = data(&[b"ab".to_vec()]);
    assert_eq!(whole.len(), 96 + 88 + 2);
    assert_eq!(&whole[..8], b"WbCh\x01\x02\x60\x00");
    assert_eq!(crc32c(&whole), GOLDEN, "{:#010x}", crc32c(&whole));
}

const GOLDEN: u32 = 0xb9fd_1e5a;

#[test]
fn a_newer_format_is_told() {
    let (_, whole) = data(&[b"ab".to_vec()]);
    let mut bytes = whole.to_vec();
    bytes[4] = 2;
    assert_eq!(decode_front(&bytes), Err(SlotFault::Newer(2)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn data_survives_its_encoding_and_damage_is_seen(
        records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..5),
        at: prop::sample::Index,
        bit in 0..8u32,
        cut: prop::sample::Index,
    ) {
        let (encoded, whole) = data(&records);
        let (head, frames) = decode_data(&whole).unwrap();
        prop_assert_eq!(head, encoded.head);
        prop_assert_eq!(head.length, whole.len() as u64);
        let read: Vec<Vec<u8>> = frames.iter().map(|frame| frame.frame.records.to_vec()).collect();
        prop_assert_eq!(&read, &records);
        for frame in &frames {
            let from = (frame.position.0 - head.position.0) as usize;
            prop_assert_eq!(&whole[from..from + frame.frame.records.len()], &frame.frame.records[..]);
        }
        let mut flipped = whole.to_vec();
        flipped[at.index(whole.len())] ^= 1 << bit;
        prop_assert!(decode_data(&Bytes::from(flipped)).is_err());
        prop_assert!(decode_data(&whole.slice(..cut.index(whole.len()))).is_err());
    }

    #[test]
    fn any_bytes_are_an_object_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut forged = b"WbCh\x01\x02\x60\x00".to_vec();
        forged.extend_from_slice(&bytes);
        prop_assert!(decode_data(&Bytes::from(bytes)).is_err());
        prop_assert!(decode_data(&Bytes::from(forged)).is_err());
    }
}
