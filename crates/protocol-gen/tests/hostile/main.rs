//! Bytes that are not messages: cut short, damaged, forged. Never a panic, never memory beyond the limit.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where it finds a surprise")]

mod counting;
#[allow(dead_code, reason = "only its seeds")]
#[path = "../../../../fuzz/entry/damage.rs"]
mod damage;
#[path = "../../../../fuzz/entry/messages.rs"]
mod entry;
#[path = "../support/mod.rs"]
mod support;

use bytes::Bytes;
use counting::peak_of;
use entry::MEMORY_LIMIT;
use support::{Maker, Random, messages, schema::Message};
use waybill_protocol::wire::{DecodeErrorKind, Reader, put_unsigned_varint};
use waybill_protocol_gen::ApiKey;
use waybill_protocol_gen::erased::{Kind, MessageInfo};
use waybill_protocol_gen::registry::MESSAGES;

/// What an error costs: the boxed error and the path to its field.
const ERROR_ALLOWANCE: usize = 1024;

fn info(message: &Message) -> &'static MessageInfo {
    MESSAGES.iter().find(|m| m.name == message.name).unwrap()
}

/// Calls `each` with every message, every version of it and a valid encoding.
fn for_each_encoding(seed: u64, mut each: impl FnMut(&'static MessageInfo, i16, Vec<u8>)) {
    for message in &messages() {
        let (low, high) = message.versions.0.unwrap();
        for version in low..=high {
            let bytes = Maker::new(message, version).bytes(&mut Random::new(seed));
            each(info(message), version, bytes);
        }
    }
}

/// Decodes under the memory limit and answers whether that succeeded.
fn decode(info: &MessageInfo, version: i16, bytes: &[u8]) -> bool {
    let frame = Bytes::copy_from_slice(bytes);
    let (ok, peak) = peak_of(|| {
        let reader = Reader::new(frame).with_memory_limit(MEMORY_LIMIT);
        info.decode(reader, version).is_ok()
    });
    assert!(peak <= MEMORY_LIMIT + ERROR_ALLOWANCE, "{} v{version}: {peak} bytes for {bytes:?}", info.name);
    ok
}

#[test]
fn a_message_cut_short_is_refused_at_every_byte() {
    let mut cuts = 0;
    for seed in 0..3 {
        for_each_encoding(seed, |info, version, bytes| {
            assert!(decode(info, version, &bytes));
            for end in 0..bytes.len() {
                let whole = decode(info, version, &bytes[..end]);
                assert!(!whole, "{} v{version} seed {seed} took {end} of {} bytes", info.name, bytes.len());
                cuts += 1;
            }
        });
    }
    assert!(cuts > 100_000, "only {cuts} cuts");
}

#[test]
fn a_forged_length_at_any_byte_costs_no_memory() {
    let forged: [&[u8]; 4] =
        [&[0x7f, 0xff, 0xff, 0xff], &[0xff, 0xff, 0xff, 0xff, 0x07], &[0x7f, 0xff], &[0x80, 0x80, 0x01]];
    for_each_encoding(11, |info, version, bytes| {
        for at in 0..bytes.len() {
            for patch in forged {
                let mut damaged = bytes.clone();
                let end = (at + patch.len()).min(damaged.len());
                damaged.splice(at..end, patch.iter().copied());
                let frame = Bytes::from(damaged);
                // Without a limit: what is reserved must fit the bytes that are there.
                let size = frame.len();
                let ((), peak) = peak_of(|| drop(info.decode(Reader::new(frame), version)));
                let bound = size * LARGEST_GROWTH + ERROR_ALLOWANCE;
                assert!(peak <= bound, "{} v{version}: {peak} bytes for a frame of {size}", info.name);
            }
        }
    });
}

/// The most memory a byte of a frame may cost without a limit. An empty array is one byte on the wire and a `Vec` of
/// 24 in memory; an unknown tagged field is two bytes, and 48 in a list that doubles.
const LARGEST_GROWTH: usize = 100;

#[test]
fn crowds_of_small_elements_are_bounded() {
    let mut largest = (0, String::new());
    for message in &messages() {
        let (low, high) = message.versions.0.unwrap();
        for (version, depth) in (low..=high).flat_map(|v| (0..4).map(move |depth| (v, depth))) {
            let frame =
                Bytes::from(Maker::crowded(message, version, depth).bytes(&mut Random::new(depth as u64)));
            let size = frame.len();
            let (ok, peak) = peak_of(|| info(message).decode(Reader::new(frame), version).is_ok());
            assert!(ok, "{} v{version}", message.name);
            let growth = peak.saturating_sub(ERROR_ALLOWANCE) / size.max(1);
            largest = largest.max((growth, format!("{} v{version}", message.name)));
        }
    }
    assert!(largest.0 <= LARGEST_GROWTH, "{largest:?}");
}

#[test]
fn crowds_of_unknown_tags_in_any_order_cost_little() {
    let heartbeat = MESSAGES.iter().find(|m| m.name == "HeartbeatRequest").unwrap();
    const TAGS: u32 = 200_000;
    let mut body = vec![1, 0, 0, 0, 1, 1, 0];
    put_unsigned_varint(&mut body, TAGS);
    for tag in (1..=TAGS).rev() {
        put_unsigned_varint(&mut body, tag);
        body.push(0);
    }
    let (size, frame) = (body.len(), Bytes::from(body));
    // Kept in order one by one these would move 200,000 * 100,000 fields.
    let (consumed, peak) = peak_of(|| heartbeat.decode(Reader::new(frame.clone()), 4));
    assert_eq!(consumed, Ok(size));
    assert!(peak <= size * LARGEST_GROWTH, "{peak} bytes for a frame of {size}");
    let limited = heartbeat.decode(Reader::new(frame).with_memory_limit(MEMORY_LIMIT), 4).unwrap_err();
    assert_eq!(limited.kind(), DecodeErrorKind::MemoryLimit { limit: MEMORY_LIMIT });
}

#[test]
fn damaged_messages_break_no_promise() {
    let mut runs = 0;
    for seed in 0..6u64 {
        let mut random = Random::new(77 + seed);
        for_each_encoding(100 + seed, |info, version, bytes| {
            for _ in 0..4 {
                let damaged = mutate(bytes.clone(), &mut random);
                decode(info, version, &damaged);
                entry::message(info, version, &damaged);
                runs += 1;
            }
        });
    }
    assert!(runs > 10_000, "only {runs} runs");
}

#[test]
fn whole_frames_break_no_promise() {
    let mut number = 0;
    for seed in 0..4u64 {
        let mut random = Random::new(500 + seed);
        for_each_encoding(200 + seed, |info, version, bytes| {
            let choice = [random.next() as u8, random.next() as u8];
            let (key, correlation) = (info.key.unwrap_or_default(), 7i32);
            let mut frame =
                [&key.to_be_bytes()[..], &version.to_be_bytes(), &correlation.to_be_bytes()].concat();
            frame.extend([0xff, 0xff]);
            if version >= info.flexible_from {
                frame.push(0);
            }
            frame.extend(&bytes);
            if seed == 0 {
                keep_seed(info, version, &frame, &bytes, number);
                number += 1;
            }
            match info.kind {
                Kind::Request => entry::request(&mutate(frame, &mut random)),
                Kind::Response => entry::response(&mutate([&choice[..], &bytes].concat(), &mut random)),
                _ => entry::record(&mutate([&choice[..], &bytes].concat(), &mut random)),
            }
        });
        for _ in 0..2_000 {
            let noise: Vec<u8> = (0..random.below(80)).map(|_| random.next() as u8).collect();
            entry::request(&noise);
            entry::response(&noise);
            entry::record(&noise);
        }
    }
}

/// Keeps sound bytes for the fuzz target that takes them.
fn keep_seed(info: &MessageInfo, version: i16, frame: &[u8], body: &[u8], number: usize) {
    let (target, which) = match info.kind {
        Kind::Request => return damage::seed("request", number, frame),
        Kind::Response => ("response", ApiKey::ALL.iter().position(|key| info.key == Some((*key).into()))),
        _ => {
            let mut others = MESSAGES.iter().filter(|m| !matches!(m.kind, Kind::Request | Kind::Response));
            ("record", others.position(|m| m.name == info.name))
        }
    };
    let chosen = [which.unwrap() as u8, (version - info.min_version + 1) as u8];
    damage::seed(target, number, &[&chosen[..], body].concat());
}

/// Damages bytes in one to three places.
fn mutate(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.next() as u8),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            4 => drop(bytes.splice(at..at, [0xff, 0xff, 0xff, 0xff, 0x07]).collect::<Vec<_>>()),
            _ if at < bytes.len() => bytes[at] = random.next() as u8,
            _ => bytes.push(random.next() as u8),
        }
    }
    bytes
}
