//! The headers in front of requests and responses.

use thiserror::Error;
use waybill_protocol::wire::{DecodeError, EncodeError, Message, Reader, Writer};

use crate::ApiKey;
use crate::api::UnknownApiKey;
use crate::messages::{RequestHeader, ResponseHeader};

/// Why a request's header can not be read. The connection is of no use after any of these.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// No API has the key.
    #[error(transparent)]
    UnknownApiKey(#[from] UnknownApiKey),
    /// The bytes are not a header.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

/// Reads the header of a request; what remains in the reader is the request's body.
///
/// A version beyond the schema is no error here: ApiVersions must be answered even then. The header is read in the
/// form that such a version would have.
///
/// # Errors
/// The key is unknown or the bytes are cut short.
pub fn decode_request_header(reader: &mut Reader) -> Result<(ApiKey, RequestHeader), HeaderError> {
    let mut ahead = reader.clone();
    let key = ahead.i16("request_api_key").map_err(|e| e.of(RequestHeader::NAME))?;
    let version = ahead.i16("request_api_version").map_err(|e| e.of(RequestHeader::NAME))?;
    let key = ApiKey::try_from(key)?;
    let header = RequestHeader::decode(reader, key.request_header_version(version))?;
    Ok((key, header))
}

/// Writes the header of the response to `key` in `version`.
///
/// # Errors
/// None in practice: the header's fields are of fixed width.
pub fn encode_response_header(
    writer: &mut Writer,
    key: ApiKey,
    version: i16,
    correlation_id: i32,
) -> Result<(), EncodeError> {
    let header = ResponseHeader { correlation_id, ..ResponseHeader::default() };
    header.encode(writer, key.response_header_version(version))
}

/// Writes the header of a request.
///
/// # Errors
/// The client id is longer than 32,767 bytes.
pub fn encode_request_header(
    writer: &mut Writer,
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<(), EncodeError> {
    let header = RequestHeader {
        request_api_key: key.into(),
        request_api_version: version,
        correlation_id,
        client_id: client_id.map(Into::into),
        ..RequestHeader::default()
    };
    header.encode(writer, key.request_header_version(version))
}
