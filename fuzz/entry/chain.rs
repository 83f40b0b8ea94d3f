//! What the fuzz target and the seeded tests call: bytes in, a broken promise panics.
//!
//! Promises of the chain's decoders: no panic, no memory beyond a small multiple of the bytes; an object that is taken
//! is what is written for its batches; a front that is taken is the front of that object.

use bytes::Bytes;
use crc32c::{crc32c, crc32c_append};
use waybill_types::{BrokerId, Incarnation, StoreId};
use waybill_wal::Frame;
use waybill_wal::chain::judge::{self, Seen};
use waybill_wal::chain::names::ChainId;
use waybill_wal::chain::slot::{BODY_LEN, Front, HEAD_LEN, decode_data, decode_front, encode_data};
use waybill_wal::entry::ENTRY_LEN;

/// The first byte says whether checksums are put right. Answers whether the rest was taken for an object with batches.
pub(crate) fn part(data: &[u8]) -> bool {
    let Some((chosen, bytes)) = data.split_first() else { return false };
    let mut bytes = bytes.to_vec();
    if chosen & 1 == 0 {
        put_right(&mut bytes);
    }
    let bytes = Bytes::from(bytes);
    let front = decode_front(&bytes);
    glance(&bytes);
    let Ok((head, frames)) = decode_data(&bytes) else { return false };
    assert!(
        matches!(front, Ok(Front::Data(other, ref entries)) if other == head && entries.len() == frames.len())
    );
    assert_eq!(head.length, bytes.len() as u64);
    let mut at = head.front_len() as u64;
    for frame in &frames {
        // Positions are promised only where the log does not end at 16 EiB.
        assert!(frame.position.0 == head.position.0.saturating_add(at));
        at += frame.frame.records.len() as u64;
    }
    let frames: Vec<Frame> = frames.into_iter().map(|durable| durable.frame).collect();
    let again =
        encode_data(head.identity, head.slot, head.position, head.durable, &frames).expect("it was decoded");
    assert_eq!(again.head.length, head.length);
    // What is reserved is held by sums only.
    let zero = |part: Option<&[u8]>| part.is_some_and(|part| part.iter().all(|byte| *byte == 0));
    let entries = bytes.get(HEAD_LEN..head.front_len()).unwrap_or_default().chunks(ENTRY_LEN);
    if zero(bytes.get(80..92)) && entries.into_iter().all(|entry| zero(entry.get(71..72))) {
        assert_eq!(again.parts.concat(), &bytes[..], "an object is not what is written for its batches");
    }
    true
}

/// Whoever reads a slot sees data, a seal, or damage: bytes are never absence.
fn glance(bytes: &Bytes) {
    let chain = ChainId { broker: BrokerId(1), incarnation: Incarnation(1) };
    let seen = judge::any(StoreId([7; 16]), chain, 1, Ok(bytes.clone()));
    assert!(matches!(seen, Seen::Data(..) | Seen::Seal | Seen::Damaged(_)));
}

/// Makes an object of the bytes: its marks, its lengths and its checksums; everything else stays as it is.
fn put_right(bytes: &mut [u8]) {
    let length = bytes.len() as u64;
    put(bytes, 0, b"WbCh\x01");
    put(bytes, 6, &(HEAD_LEN as u16).to_le_bytes());
    put(bytes, 64, &length.to_le_bytes());
    let kind = bytes.get(5).map_or(2, |kind| if kind % 8 < 6 { 2 } else { kind % 2 * 2 + 1 });
    put(bytes, 5, &[kind]);
    let room = bytes.len().saturating_sub(HEAD_LEN) / ENTRY_LEN;
    let frames =
        if kind == 2 { bytes.get(28).map_or(0, |count| usize::from(count % 5)).min(room) } else { 0 };
    put(bytes, 28, &(frames as u32).to_le_bytes());
    let front = if kind == 2 { HEAD_LEN + frames * ENTRY_LEN } else { HEAD_LEN + BODY_LEN };
    let mut at = front;
    for frame in 0..frames {
        let entry = HEAD_LEN + frame * ENTRY_LEN;
        let rest = bytes.len().saturating_sub(at);
        let wanted = bytes.get(entry + 80).map_or(0, |byte| usize::from(*byte)).min(rest);
        let length = if frame + 1 == frames { rest } else { wanted };
        let crc = crc32c(bytes.get(at..at + length).unwrap_or_default());
        put(bytes, entry + 76, &(at as u32).to_le_bytes());
        put(bytes, entry + 80, &(length as u32).to_le_bytes());
        put(bytes, entry + 84, &crc.to_le_bytes());
        at += length;
    }
    let (Some(head), Some(rest)) = (bytes.get(..HEAD_LEN - 4), bytes.get(HEAD_LEN..front)) else { return };
    let crc = crc32c_append(crc32c(head), rest);
    put(bytes, HEAD_LEN - 4, &crc.to_le_bytes());
}

fn put(bytes: &mut [u8], at: usize, part: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + part.len()) {
        place.copy_from_slice(part);
    }
}
