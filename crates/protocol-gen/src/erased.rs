//! Messages behind one type, for what walks over all of them: fuzzing, oracles, tables in the docs.

use bytes::Bytes;
use waybill_protocol::wire::{DecodeError, EncodeError, Message, Reader, Writer};

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sent by a client.
    Request,
    /// Answers a request.
    Response,
    /// Stands in front of a request or response.
    Header,
    /// Stands inside another message or a control record.
    Data,
    /// The key of a coordinator record.
    CoordinatorKey,
    /// The value of a coordinator record.
    CoordinatorValue,
}

/// A message's decoded and re-encoded form.
#[derive(Debug, Clone)]
pub struct RoundTrip {
    /// Bytes that the message took from the front of the input.
    pub consumed: usize,
    /// What encoding the decoded value gave.
    pub encoded: Result<Bytes, EncodeError>,
}

/// One message, by name.
#[derive(Debug, Clone, Copy)]
pub struct MessageInfo {
    /// Kafka's name.
    pub name: &'static str,
    /// What it is for.
    pub kind: Kind,
    /// The API key, or the type of the coordinator record.
    pub key: Option<i16>,
    /// The oldest version.
    pub min_version: i16,
    /// The newest version.
    pub max_version: i16,
    /// The first version in flexible encoding; `i16::MAX` when none is.
    pub flexible_from: i16,
    round_trip: fn(Reader, i16) -> Result<RoundTrip, DecodeError>,
    decode: fn(Reader, i16) -> Result<usize, DecodeError>,
    encode_default: fn(i16) -> Result<Bytes, EncodeError>,
}

impl MessageInfo {
    /// Describes `M`.
    #[must_use]
    pub const fn of<M: Message>(kind: Kind, key: Option<i16>) -> Self {
        Self {
            name: M::NAME,
            kind,
            key,
            min_version: M::MIN_VERSION,
            max_version: M::MAX_VERSION,
            flexible_from: M::FLEXIBLE_FROM,
            round_trip: round_trip::<M>,
            decode: decode::<M>,
            encode_default: encode_default::<M>,
        }
    }

    /// Decodes from the front of `reader` and encodes the result again.
    ///
    /// # Errors
    /// The bytes are not a message of that version.
    pub fn round_trip(&self, reader: Reader, version: i16) -> Result<RoundTrip, DecodeError> {
        (self.round_trip)(reader, version)
    }

    /// Decodes from the front of `reader`, drops the result and answers how many bytes it took.
    ///
    /// # Errors
    /// The bytes are not a message of that version.
    pub fn decode(&self, reader: Reader, version: i16) -> Result<usize, DecodeError> {
        (self.decode)(reader, version)
    }

    /// Encodes the message with every field at its default.
    ///
    /// # Errors
    /// The version can not carry a default.
    pub fn encode_default(&self, version: i16) -> Result<Bytes, EncodeError> {
        (self.encode_default)(version)
    }
}

fn round_trip<M: Message>(mut reader: Reader, version: i16) -> Result<RoundTrip, DecodeError> {
    let message = M::decode(&mut reader, version)?;
    let mut writer = Writer::new();
    let encoded = message.encode(&mut writer, version).and_then(|()| writer.into_bytes());
    Ok(RoundTrip { consumed: reader.position(), encoded })
}

fn decode<M: Message>(mut reader: Reader, version: i16) -> Result<usize, DecodeError> {
    M::decode(&mut reader, version)?;
    Ok(reader.position())
}

fn encode_default<M: Message>(version: i16) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    M::default().encode(&mut writer, version)?;
    writer.into_bytes()
}
