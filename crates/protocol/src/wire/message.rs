//! What every generated message can do.

use std::fmt;

use super::{DecodeError, EncodeError, Reader, Writer};

/// A Kafka message: a request, a response, a header or a record schema.
pub trait Message: fmt::Debug + Clone + PartialEq + Default + Send + Sync + Sized + 'static {
    /// Kafka's name, as `ProduceRequest`.
    const NAME: &'static str;
    /// The oldest version that can be read and written.
    const MIN_VERSION: i16;
    /// The newest version that can be read and written.
    const MAX_VERSION: i16;
    /// The first version in flexible encoding (compact lengths, tagged fields); `i16::MAX` when none is.
    const FLEXIBLE_FROM: i16;

    /// Reads the message. `bytes` and `records` fields share the reader's buffer.
    ///
    /// What follows the message stays in the reader: like Kafka's broker, a caller may ignore it.
    ///
    /// # Errors
    /// The version is outside the valid range, or the bytes are not a message of that version.
    fn decode(reader: &mut Reader, version: i16) -> Result<Self, DecodeError>;

    /// Appends the message.
    ///
    /// # Errors
    /// The version is outside the valid range; a field that the version lacks and that may not be dropped in silence
    /// is set; a field is null where the version does not allow it; a length does not fit its prefix. What the
    /// writer then holds is of no use.
    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError>;
}
