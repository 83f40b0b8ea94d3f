//! Bytes that are not batches: damaged, cut, forged. Never a panic, never memory beyond the limits.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where it finds a surprise")]

#[path = "../../../protocol-gen/tests/hostile/counting.rs"]
mod counting;
#[path = "../../../../fuzz/entry/damage.rs"]
mod damage;
#[path = "../../../../fuzz/entry/batches.rs"]
mod entry;

use counting::peak_of;
use damage::{Random, damage, seed};
use waybill_protocol::batch::{BatchBuilder, NewRecord};
use waybill_protocol::compression::Compression;
use waybill_types::TimestampMs;

/// What a walk may hold: the input and its copy, the plain body, records' places, and the codecs' own state (the
/// largest is inflate's window and the 64 KiB it reads into).
const MEMORY: usize = 8 * entry::LIMIT + 512 * 1024;

fn batch(codec: Compression, random: &mut Random) -> Vec<u8> {
    let mut builder = BatchBuilder::new(codec);
    for _ in 0..=random.below(20) {
        let value = vec![random.next() as u8; random.below(700)];
        let key: Option<&[u8]> = if random.below(4) == 0 { None } else { Some(b"key") };
        let timestamp = TimestampMs(1_700_000_000_000 - random.below(2000) as i64);
        let headers: &[(&str, Option<&[u8]>)] =
            if random.below(3) == 0 { &[("h", Some(b"v")), ("h", None)] } else { &[] };
        builder.push(NewRecord { timestamp, key, value: Some(&value), headers }).unwrap();
    }
    builder.build_bytes().unwrap().to_vec()
}

#[test]
fn damaged_batches_keep_every_promise_within_their_memory() {
    let mut random = Random(7);
    let mut accepted = 0;
    for round in 0..3000u64 {
        let codec = Compression::ALL[random.below(5)];
        let sound = batch(codec, &mut random);
        if round < 40 {
            seed("record_batch", round as usize, &[&[0, 1], &sound[..]].concat());
            seed("batch_row", round as usize, &sound);
        }
        let bytes = damage(sound, &mut random);
        let rules = [random.next() as u8, random.next() as u8];
        let chosen = [&rules[..], &bytes].concat();
        let ((), peak) = peak_of(|| {
            accepted += usize::from(entry::produce(&chosen));
            entry::row(&bytes);
        });
        assert!(peak <= MEMORY, "round {round}: {peak} bytes held for {}", bytes.len());
    }
    assert!((300..2700).contains(&accepted), "{accepted} were accepted");
}

#[test]
fn damaged_compressed_bytes_keep_every_promise_within_their_memory() {
    let mut random = Random(8);
    let mut refused = 0;
    for round in 0..3000u64 {
        let codec = Compression::ALL[1 + random.below(4)];
        let plain = vec![random.next() as u8; random.below(3 * entry::LIMIT)];
        let sound = codec.compress(&plain, None).unwrap();
        if round < 40 {
            seed("decompress", round as usize, &[&[codec.id() as u8][..], &sound].concat());
        }
        let bytes = damage(sound, &mut random);
        let chosen = [&[codec.id() as u8][..], &bytes].concat();
        let (gave, peak) = peak_of(|| {
            entry::decompress(&chosen);
            codec.decompress(&bytes, entry::LIMIT).is_ok()
        });
        refused += usize::from(!gave);
        assert!(peak <= MEMORY, "round {round}: {codec} held {peak} bytes for {}", bytes.len());
    }
    assert!(refused > 1000, "only {refused} were refused");
}

#[test]
fn noise_does_no_harm() {
    let mut random = Random(9);
    for _ in 0..3000 {
        let mut noise = random.noise(300);
        entry::decompress(&noise);
        entry::produce(&noise);
        if let Some(magic) = noise.get_mut(16) {
            *magic = 2;
        }
        entry::row(&noise);
    }
}
