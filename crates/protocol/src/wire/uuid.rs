//! The 16-byte identifiers of topics, directories and members.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A 128-bit identifier, most significant byte first.
///
/// Its text form is Kafka's: base64url (RFC 4648 section 5) without padding, 22 characters.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

/// The text is not a base64url number of 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not an id: expected 22 characters of base64url without padding")]
pub struct ParseUuidError;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Uuid {
    /// All bits zero: Kafka's "no id".
    pub const ZERO: Self = Self([0; 16]);

    /// Whether this is [`Uuid::ZERO`].
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// The bytes in wire order.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for Uuid {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl From<Uuid> for [u8; 16] {
    fn from(id: Uuid) -> Self {
        id.0
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 128 bits are 21 digits of six bits and one last digit whose low four bits are zero.
        let number = u128::from_be_bytes(self.0);
        for digit in 0..22u32 {
            let bits = if digit < 21 { number >> (122 - 6 * digit) } else { number << 4 };
            let symbol = ALPHABET.get((bits & 0x3f) as usize).copied().unwrap_or(b'A');
            fmt::Write::write_char(f, char::from(symbol))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Self, ParseUuidError> {
        if text.len() != 22 {
            return Err(ParseUuidError);
        }
        let mut number: u128 = 0;
        for (position, symbol) in text.bytes().enumerate() {
            let value = ALPHABET.iter().position(|s| *s == symbol).ok_or(ParseUuidError)? as u128;
            if position < 21 {
                number = (number << 6) | value;
            } else {
                if value & 0x0f != 0 {
                    return Err(ParseUuidError);
                }
                number = (number << 2) | (value >> 4);
            }
        }
        Ok(Self(number.to_be_bytes()))
    }
}
