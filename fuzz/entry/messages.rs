//! What the fuzz targets and the seeded tests call: bytes in, a broken promise panics.
//!
//! Promises of the message decoders: no panic, no memory beyond the limit, and what decodes also encodes, to bytes
//! that decode to the same again.

use bytes::Bytes;
use waybill_protocol::wire::{EncodeErrorKind, Reader};
use waybill_protocol_gen::ApiKey;
use waybill_protocol_gen::erased::{Kind, MessageInfo};
use waybill_protocol_gen::header::decode_request_header;
use waybill_protocol_gen::registry::MESSAGES;

/// What one decoding may allocate, as a broker would set it.
pub(crate) const MEMORY_LIMIT: usize = 256 * 1024;

/// A frame as a broker meets it: header, then the body that the header names.
pub(crate) fn request(data: &[u8]) {
    let mut reader = Reader::new(Bytes::copy_from_slice(data)).with_memory_limit(MEMORY_LIMIT);
    let Ok((key, header)) = decode_request_header(&mut reader) else { return };
    if let Some(info) = of_api(Kind::Request, key) {
        message(info, header.request_api_version, &reader.take_rest());
    }
}

/// A response as a client meets it: two bytes choose API and version.
pub(crate) fn response(data: &[u8]) {
    let Some(([api, version], body)) = data.split_first_chunk::<2>() else { return };
    let key = ApiKey::ALL.get(usize::from(*api) % ApiKey::ALL.len()).copied();
    if let Some(info) = key.and_then(|key| of_api(Kind::Response, key)) {
        message(info, version_of(info, *version), body);
    }
}

/// A header, a record schema of a coordinator or a control record: two bytes choose it and its version.
pub(crate) fn record(data: &[u8]) {
    let Some(([which, version], body)) = data.split_first_chunk::<2>() else { return };
    let mut others = MESSAGES.iter().filter(|m| !matches!(m.kind, Kind::Request | Kind::Response));
    let count = others.clone().count().max(1);
    if let Some(info) = others.nth(usize::from(*which) % count) {
        message(info, version_of(info, *version), body);
    }
}

fn of_api(kind: Kind, key: ApiKey) -> Option<&'static MessageInfo> {
    MESSAGES.iter().find(|m| m.kind == kind && m.key == Some(key.into()))
}

/// A version from one too old to one too new.
fn version_of(info: &MessageInfo, byte: u8) -> i16 {
    let range = info.max_version - info.min_version + 3;
    info.min_version - 1 + i16::from(byte) % range
}

/// Decodes `body` and, where that succeeds, holds the codec to its promises.
pub(crate) fn message(info: &MessageInfo, version: i16, body: &[u8]) {
    let reader = Reader::new(Bytes::copy_from_slice(body)).with_memory_limit(MEMORY_LIMIT);
    let Ok(first) = info.round_trip(reader, version) else { return };
    assert!(first.consumed <= body.len(), "{} v{version} read beyond the end", info.name);
    let encoded = match first.encoded {
        Ok(encoded) => encoded,
        // A string that was not UTF-8 may have grown beyond its limit.
        Err(error) if matches!(error.kind(), EncodeErrorKind::TooLong(_)) => return,
        Err(error) => panic!("{} v{version} decodes but does not encode: {error}", info.name),
    };
    let again = match info.round_trip(Reader::new(encoded.clone()), version) {
        Ok(again) => again,
        Err(error) => panic!("{} v{version} does not read its own bytes: {error}", info.name),
    };
    assert_eq!(again.consumed, encoded.len(), "{} v{version} left own bytes", info.name);
    assert_eq!(again.encoded.ok(), Some(encoded), "{} v{version} is not stable", info.name);
}
