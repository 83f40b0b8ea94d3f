//! Records of the coordinators' topics (`__consumer_offsets`, `__transaction_state`, `__share_group_state`).
//!
//! A key is two bytes that name the record's type, then the key's fields. A value is two bytes of version, then the
//! value's fields in that version. A record without a value is a tombstone. Types are numbered per topic.

use bytes::Bytes;
use thiserror::Error;
use waybill_protocol::wire::{DecodeError, EncodeError, Message, Reader, Writer};

/// The key of a coordinator record.
pub trait CoordinatorKey: Message {
    /// The type of record, in front of the key; unique within a topic only.
    const ID: i16;
    /// The record's value.
    type Value: Message;
}

/// Why a coordinator record can not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The key is of another type.
    #[error("record of type {found}, expected {expected}")]
    OtherType {
        /// The type asked for.
        expected: i16,
        /// The type found.
        found: i16,
    },
    /// The bytes are not the fields they claim to be.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

/// The type of the record that has this key.
///
/// # Errors
/// There are fewer than two bytes.
pub fn record_type(key: &Bytes) -> Result<i16, DecodeError> {
    Reader::new(key.clone()).i16("record type")
}

/// The bytes of a key.
///
/// # Errors
/// A string is longer than 32,767 bytes.
pub fn encode_key<K: CoordinatorKey>(key: &K) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    writer.i16(K::ID);
    // Keys exist in version 0 only; the generator checks it.
    key.encode(&mut writer, 0)?;
    writer.into_bytes()
}

/// Reads a key.
///
/// # Errors
/// It is of another type, or malformed.
pub fn decode_key<K: CoordinatorKey>(bytes: &Bytes) -> Result<K, RecordError> {
    let mut reader = Reader::new(bytes.clone());
    let found = reader.i16("record type")?;
    if found != K::ID {
        return Err(RecordError::OtherType { expected: K::ID, found });
    }
    Ok(K::decode(&mut reader, 0)?)
}

/// The bytes of a value in `version`.
///
/// # Errors
/// The version is not one of the value's, or can not carry it.
pub fn encode_value<V: Message>(value: &V, version: i16) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    writer.i16(version);
    value.encode(&mut writer, version)?;
    writer.into_bytes()
}

/// Reads a value in the version that its first two bytes name.
///
/// # Errors
/// The version is unknown, or the bytes are malformed.
pub fn decode_value<V: Message>(bytes: &Bytes) -> Result<V, DecodeError> {
    let mut reader = Reader::new(bytes.clone());
    let version = reader.i16("value version")?;
    V::decode(&mut reader, version)
}
