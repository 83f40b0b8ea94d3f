//! Identities: topics, partitions, brokers, producers, clusters, stores.

use std::fmt;
use std::str::FromStr;

/// Declares a newtype over an integer with the conversions that every such newtype has.
macro_rules! integer_newtype {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl $name {
            /// The bare integer, for encodings.
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}
pub(crate) use integer_newtype;

integer_newtype!(
    /// A partition's index within its topic, from 0.
    PartitionId(i32)
);
integer_newtype!(
    /// A broker's node id, as Kafka clients see it.
    BrokerId(i32)
);
integer_newtype!(
    /// How often a broker has started: each start is a new incarnation with its own WAL life.
    Incarnation(u64)
);
integer_newtype!(
    /// An idempotent producer's id (KIP-98); -1 means none.
    ProducerId(i64)
);
integer_newtype!(
    /// An idempotent producer's epoch (KIP-98); -1 means none.
    ProducerEpoch(i16)
);

impl ProducerId {
    /// The id in batches of producers that are not idempotent.
    pub const NONE: Self = Self(-1);
}

impl ProducerEpoch {
    /// The epoch in batches of producers that are not idempotent.
    pub const NONE: Self = Self(-1);
}

/// Declares a 16-byte id, shown the way Kafka shows its UUIDs: URL-safe base64 without padding.
macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// The id of all zeros, which Kafka uses for "none".
            pub const ZERO: Self = Self([0; 16]);

            /// The bytes, in network order.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&base64url(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), base64url(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_base64url(text).map(Self)
            }
        }
    };
}

uuid_newtype!(
    /// A topic's id (KIP-516). Never reused: a topic deleted and made again under the same name has another.
    TopicId
);
uuid_newtype!(
    /// A cluster's id, made once with the cluster.
    ClusterId
);
uuid_newtype!(
    /// The id of a store that holds a WAL, written into it when it is first used.
    StoreId
);

/// One partition of one topic, by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicId,
    /// The partition's index within it.
    pub partition: PartitionId,
}

impl TopicPartition {
    /// Names partition `partition` of `topic`.
    pub const fn new(topic: TopicId, partition: PartitionId) -> Self {
        Self { topic, partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A text is not a 16-byte id in URL-safe base64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an id: expected 22 characters of URL-safe base64")]
pub struct ParseIdError(pub String);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64url(bytes: &[u8; 16]) -> String {
    let value = u128::from_be_bytes(*bytes);
    // 128 bits in 22 digits of 6 bits: the last digit holds 2 bits, padded with zeros to the right.
    (0..22)
        .map(|digit| {
            let shift = 122 - 6 * digit;
            let six = if shift >= 0 { value >> shift } else { value << -shift };
            ALPHABET.get((six & 0x3f) as usize).copied().map_or('A', char::from)
        })
        .collect()
}

fn parse_base64url(text: &str) -> Result<[u8; 16], ParseIdError> {
    let fault = || ParseIdError(text.to_owned());
    let digits = text.trim_end_matches('=').as_bytes();
    if digits.len() != 22 {
        return Err(fault());
    }
    let mut value: u128 = 0;
    for (at, digit) in digits.iter().enumerate() {
        let six = ALPHABET.iter().position(|known| known == digit).ok_or_else(fault)? as u128;
        if at == 21 {
            value = (value << 2) | (six >> 4);
        } else {
            value = (value << 6) | six;
        }
    }
    Ok(value.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_are_shown_as_kafka_shows_them() {
        // Kafka's Uuid(0, 1).toString() and the all-zero id.
        assert_eq!(TopicId(1u128.to_be_bytes()).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(TopicId::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert!("not-an-id".parse::<TopicId>().is_err());
    }

    proptest! {
        #[test]
        fn ids_survive_text(bytes: [u8; 16]) {
            prop_assert_eq!(TopicId(bytes).to_string().parse::<TopicId>().unwrap(), TopicId(bytes));
        }
    }
}
