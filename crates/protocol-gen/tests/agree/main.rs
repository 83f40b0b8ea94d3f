//! The codec against three others: Kafka's Java classes (recorded), the public crate, and the schema itself.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where it finds a surprise")]

mod fields;
mod java;
mod public_crate;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "shared with the hostile tests")]
mod support;

use bytes::Bytes;
use support::{Maker, Random, messages};
use waybill_protocol::wire::Reader;
use waybill_protocol_gen::erased::MessageInfo;
use waybill_protocol_gen::registry::MESSAGES;

/// The generated message of that name.
fn info(name: &str) -> &'static MessageInfo {
    MESSAGES.iter().find(|m| m.name == name).unwrap_or_else(|| panic!("no message {name}"))
}

/// Decodes and encodes again; all input must be used.
fn again(name: &str, version: i16, bytes: &[u8]) -> Bytes {
    let reader = Reader::new(Bytes::copy_from_slice(bytes));
    let trip = info(name).round_trip(reader, version).unwrap_or_else(|e| panic!("{name} v{version}: {e}"));
    assert_eq!(trip.consumed, bytes.len(), "{name} v{version} left bytes");
    trip.encoded.unwrap_or_else(|e| panic!("{name} v{version}: {e}"))
}

#[test]
fn every_message_comes_back_as_the_schema_wrote_it() {
    let all = messages();
    assert_eq!(all.len(), MESSAGES.len());
    let mut compared = 0;
    for message in &all {
        let (low, high) = message.versions.0.unwrap();
        assert_eq!((info(&message.name).min_version, info(&message.name).max_version), (low, high));
        for version in low..=high {
            for seed in 0..8 {
                let bytes = Maker::new(message, version).bytes(&mut Random::new(seed));
                assert_eq!(
                    again(&message.name, version, &bytes),
                    bytes,
                    "{} v{version} seed {seed}",
                    message.name
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 5_000, "only {compared} compared");
}
