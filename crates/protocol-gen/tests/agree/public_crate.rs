//! The public crate `kafka-protocol`, over every message and version both know.
//!
//! It is fed valid bytes only: on forged array lengths it asks for absurd memory and the process aborts.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{self as theirs, RequestKind, ResponseKind};
use kafka_protocol::protocol::{Decodable, Encodable, Message as TheirMessage, VersionRange};

use super::again;
use super::support::{Maker, Random, messages, schema::Message};

/// Their decoding and encoding of one message, as bytes to bytes.
type Theirs = Box<dyn Fn(&[u8], i16) -> anyhow::Result<Bytes>>;

fn by_type<M: Decodable + Encodable>() -> Theirs {
    Box::new(|bytes, version| {
        let mut input = Bytes::copy_from_slice(bytes);
        let value = M::decode(&mut input, version)?;
        anyhow::ensure!(input.is_empty(), "{} bytes left", input.len());
        let mut out = BytesMut::new();
        value.encode(&mut out, version)?;
        Ok(out.freeze())
    })
}

/// Messages that have no API key and are reached by their type.
fn other(name: &str) -> Option<(VersionRange, Theirs)> {
    macro_rules! known {
        ($($name:ident),*) => {
            match name {
                $(stringify!($name) => Some((
                    <theirs::$name as TheirMessage>::VERSIONS, by_type::<theirs::$name>(),
                )),)*
                _ => None,
            }
        };
    }
    known!(
        RequestHeader,
        ResponseHeader,
        ConsumerProtocolAssignment,
        ConsumerProtocolSubscription,
        DefaultPrincipalData,
        EndTxnMarker,
        KRaftVersionRecord,
        LeaderChangeMessage,
        SnapshotFooterRecord,
        SnapshotHeaderRecord,
        VotersRecord
    )
}

fn find(message: &Message) -> Option<(VersionRange, Theirs)> {
    if !matches!(message.kind.as_str(), "request" | "response") {
        return other(&message.name);
    }
    let key = theirs::ApiKey::try_from(message.key?).ok()?;
    let request = message.kind == "request";
    let run: Theirs = Box::new(move |bytes, version| {
        let mut input = Bytes::copy_from_slice(bytes);
        let mut out = BytesMut::new();
        if request {
            RequestKind::decode(key, &mut input, version)?.encode(&mut out, version)?;
        } else {
            ResponseKind::decode(key, &mut input, version)?.encode(&mut out, version)?;
        }
        anyhow::ensure!(input.is_empty(), "{} bytes left", input.len());
        Ok(out.freeze())
    });
    Some((key.valid_versions(), run))
}

/// What it claims to know and then refuses: versions that its own structs lag behind, and two records whose nested
/// structs it never matches with the version.
const REFUSED: [(&str, i16); 6] = [
    ("InitProducerIdRequest", 6),
    ("LeaderChangeMessage", 0),
    ("LeaderChangeMessage", 1),
    ("OffsetCommitRequest", 10),
    ("OffsetFetchRequest", 10),
    ("VotersRecord", 0),
];

#[test]
fn both_codecs_write_what_the_other_reads() {
    let (mut pairs, mut differences) = (0, Vec::new());
    let mut refused = std::collections::BTreeSet::new();
    let all = messages();
    for message in &all {
        let Some((range, run)) = find(message) else { continue };
        let (low, high) = message.versions.0.unwrap();
        let name = message.name.as_str();
        for version in low.max(range.min)..=high.min(range.max) {
            pairs += 1;
            for seed in 0..6 {
                let bytes = Maker::new(message, version).bytes(&mut Random::new(1000 + seed));
                let ours = again(name, version, &bytes);
                match run(&ours, version) {
                    Ok(theirs) if theirs == ours => {}
                    Ok(_) => differences.push(format!("{name} v{version} seed {seed}: other bytes")),
                    Err(error) if format!("{error:#}").contains("specified version not supported") => {
                        refused.insert((name, version));
                    }
                    Err(error) => differences.push(format!("{name} v{version} seed {seed}: {error:#}")),
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(refused.into_iter().collect::<Vec<_>>(), REFUSED);
    assert!(pairs > 550, "only {pairs} messages and versions compared");
}
