//! Bytes that are no log: damaged, cut, forged. Never a panic, never memory beyond a small multiple of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where it finds a surprise")]

#[path = "../../../protocol-gen/tests/hostile/counting.rs"]
mod counting;
#[path = "../../../../fuzz/entry/damage.rs"]
mod damage;
#[path = "../../../../fuzz/entry/wal.rs"]
mod entry;

use bytes::Bytes;
use counting::peak_of;
use damage::{Random, damage, seed};
use entry::{BLOCK, FILE_SIZE, FILES};
use waybill_types::{Incarnation, Offset, PartitionId, StoreId, TopicId, TopicPartition};
use waybill_wal::group::{GroupHeader, encode_group, used_length};
use waybill_wal::{Frame, FrameHeader, WalPosition};

/// What one walk may hold: a ring, its window, its groups and its files.
const MEMORY: usize = 32 * FILES as usize * FILE_SIZE + 16 * 1024;

fn group(position: u64, previous: u64, random: &mut Random) -> Vec<u8> {
    let of = TopicPartition::new(TopicId([1; 16]), PartitionId(0));
    let frames: Vec<Frame> = (0..random.below(4))
        .map(|at| Frame {
            header: FrameHeader { base_offset: Offset(at as i64), ..FrameHeader::plain(of) },
            records: Bytes::from(vec![random.next() as u8; random.below(60)]),
        })
        .collect();
    let used = used_length(frames.iter().map(|frame| frame.records.len()));
    let length = used.next_multiple_of(BLOCK);
    let header = GroupHeader {
        store: StoreId([7; 16]),
        incarnation: Incarnation(1),
        position: WalPosition(position),
        durable: WalPosition(previous),
        previous: WalPosition(previous),
        length: length as u32,
        used: used as u32,
        frames: frames.len() as u32,
    };
    let mut bytes = vec![0; length];
    encode_group(&mut bytes, &header, frames.iter()).unwrap();
    bytes
}

/// A ring as its first writer leaves it: groups one after the other from the first block on.
fn ring(random: &mut Random) -> Vec<u8> {
    let (mut bytes, mut previous) = (Vec::new(), 0);
    loop {
        let mut next = group(bytes.len() as u64, previous, random);
        let room = FILE_SIZE - bytes.len() % FILE_SIZE;
        if next.len() > room {
            bytes.resize(bytes.len() + room, 0);
            next = group(bytes.len() as u64, previous, random);
        }
        if bytes.len() + next.len() > FILES as usize * FILE_SIZE {
            return bytes;
        }
        previous = (bytes.len() + next.len()) as u64;
        bytes.extend(next);
    }
}

#[test]
fn damaged_groups_keep_every_promise_within_their_memory() {
    let mut random = Random(5);
    let mut accepted = 0;
    for round in 0..20_000 {
        let sound = group(4096, 0, &mut random);
        if round < 20 {
            seed("wal", round, &[&[1], &sound[..]].concat());
        }
        // With the checksums as they are, and put right.
        for chosen in [1, 0] {
            let bytes = [&[chosen], &damage(sound.clone(), &mut random)[..]].concat();
            let (taken, peak) = peak_of(|| entry::part(&bytes));
            accepted += usize::from(taken);
            assert!(peak <= MEMORY, "round {round}: {peak} bytes held for {}", bytes.len());
        }
    }
    assert!((10_000..39_000).contains(&accepted), "{accepted} were accepted");
}

#[test]
fn damaged_rings_keep_every_promise_within_their_memory() {
    let mut random = Random(6);
    let mut recovered = 0;
    for round in 0..8_000 {
        let sound = [&[0, 1, 0], &ring(&mut random)[..]].concat();
        assert!(
            entry::part(&[&[5], &sound[..]].concat()) || sound.len() < 4 * BLOCK,
            "a sound ring is empty"
        );
        if round < 20 {
            seed("wal", 100 + round, &[&[5], &sound[..]].concat());
            seed("wal", 200 + round, &[&[4], &sound[..]].concat());
        }
        for chosen in [5, 4] {
            let bytes = [&[chosen], &damage(sound.clone(), &mut random)[..]].concat();
            let (taken, peak) = peak_of(|| entry::part(&bytes));
            recovered += usize::from(taken);
            assert!(peak <= MEMORY, "round {round}: {peak} bytes held for {}", bytes.len());
        }
    }
    assert!((1_000..15_500).contains(&recovered), "{recovered} were recovered");
}

#[test]
fn damaged_descriptions_do_no_harm() {
    let mut random = Random(7);
    let mut described = [&b"WbRing\r\n\x01\0\0\0"[..], &[7; 16]].concat();
    described.extend(FILES.to_le_bytes());
    described.extend((FILE_SIZE as u64).to_le_bytes());
    described.extend((BLOCK as u32).to_le_bytes());
    described.extend([0; 4]);
    let sound = [&[2], &described[..]].concat();
    seed("wal", 300, &sound);
    assert!(entry::part(&sound), "a sound description is refused");
    for _ in 0..20_000 {
        entry::part(&[&[2], &damage(described.clone(), &mut random)[..]].concat());
    }
}

#[test]
fn noise_does_no_harm() {
    let mut random = Random(8);
    for _ in 0..20_000 {
        let mut noise = random.noise(3 * BLOCK);
        // Blocks that begin as groups do are made groups.
        for at in (4..noise.len()).step_by(BLOCK) {
            noise[at] = b'W';
        }
        entry::part(&noise);
    }
}
