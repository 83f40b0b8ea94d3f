//! The primitives every Kafka message is made of.
//!
//! | file | owns |
//! | --- | --- |
//! | `reader` | bounded reading of a frame: integers, strings, bytes, arrays, tagged fields |
//! | `writer` | writing into one buffer, `records` kept as separate segments |
//! | `varint` | unsigned and zigzag variable-length integers |
//! | `string` | [`KString`], a string that is cheap to clone and never pins a frame |
//! | `records` | [`Records`], the bytes of a `records` field, in one or several pieces |
//! | `uuid` | [`Uuid`] in Kafka's base64url form |
//! | `tags` | tagged fields that a version of ours does not know (KIP-482) |
//! | `message` | the trait that every generated message implements |
//! | `error` | [`DecodeError`] and [`EncodeError`], with the path of the field |
//!
//! *Invariant*: reading never panics and never asks for memory that the bytes which remain could not fill. A
//! claimed count is refused before anything is reserved for it.

mod error;
mod message;
mod reader;
mod records;
mod string;
mod tags;
mod uuid;
mod varint;
mod writer;

#[cfg(test)]
mod tests;

pub use error::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind};
pub use message::Message;
pub use reader::{Reader, TagScope};
pub use records::Records;
pub use string::KString;
pub use tags::{RawTaggedField, UnknownTaggedFields};
pub use uuid::Uuid;
pub use varint::{
    MAX_VARINT_LEN, MAX_VARLONG_LEN, put_unsigned_varint, put_varint, put_varlong, unsigned_varint_len,
    varint_len, varlong_len, zigzag_decode_i32, zigzag_decode_i64, zigzag_encode_i32, zigzag_encode_i64,
};
pub use writer::{TagStart, Writer};
