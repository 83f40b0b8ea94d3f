//! Bytes that are no object of a chain: damaged, cut, forged. Never a panic, never memory beyond a small multiple of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where it finds a surprise")]

#[path = "../../../protocol-gen/tests/hostile/counting.rs"]
mod counting;
#[path = "../../../../fuzz/entry/damage.rs"]
mod damage;
#[path = "../../../../fuzz/entry/chain.rs"]
mod entry;

use counting::peak_of;
use damage::{Random, damage, seed};
use waybill_types::{BrokerId, Incarnation, PartitionId, StoreId, TopicId, TopicPartition};
use waybill_wal::chain::names::ChainId;
use waybill_wal::chain::slot::{Identity, encode_data};
use waybill_wal::{Frame, FrameHeader, WalPosition};

/// What the decoders of one object may hold beside it.
const MEMORY: usize = 32 * 1024;

fn object(random: &mut Random) -> Vec<u8> {
    let of = TopicPartition::new(TopicId([1; 16]), PartitionId(0));
    let frames: Vec<Frame> = (0..random.below(5))
        .map(|_| Frame {
            header: FrameHeader::plain(of),
            records: vec![random.next() as u8; random.below(60)].into(),
        })
        .collect();
    let chain = ChainId { broker: BrokerId(1), incarnation: Incarnation(1) };
    let identity = Identity { store: StoreId([7; 16]), chain, writer: random.next() };
    encode_data(identity, 1, WalPosition(4096), 1, &frames).unwrap().parts.concat()
}

#[test]
fn damaged_objects_keep_every_promise_within_their_memory() {
    let mut random = Random(9);
    let mut accepted = 0;
    for round in 0..20_000 {
        let sound = object(&mut random);
        assert!(entry::part(&[&[1], &sound[..]].concat()), "a sound object is refused");
        if round < 20 {
            seed("chain", round, &[&[1], &sound[..]].concat());
        }
        // With the checksums as they are, and put right.
        for chosen in [1, 0] {
            let bytes = [&[chosen], &damage(sound.clone(), &mut random)[..]].concat();
            let (taken, peak) = peak_of(|| entry::part(&bytes));
            accepted += usize::from(taken);
            assert!(peak <= MEMORY, "round {round}: {peak} bytes held for {}", bytes.len());
        }
    }
    assert!((4_000..39_000).contains(&accepted), "{accepted} were accepted");
}

#[test]
fn noise_does_no_harm() {
    let mut random = Random(10);
    for _ in 0..20_000 {
        let noise = random.noise(400);
        entry::part(&noise);
    }
}
