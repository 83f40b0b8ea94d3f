//! Frontiers as text: a time and, for each partition, its next offset and highest record time.
//!
//! Format 2, in URL-safe base64 without padding: version byte 2, time (i64), digests of the mappings that read what lies
//! below and of what decisions brought in there (u64 each), then for each topic its id (16 bytes), a count of partitions
//! (u32) and for each its number (i32), next offset (i64) and highest record time (i64, the least number for none). All
//! big-endian. Format 1, which is still read, has no digests.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};

use crate::model::{Frontier, Position};
use crate::store::Reading;

const VERSION: u8 = 2;

/// The version without digests.
const WITHOUT_READING: u8 = 1;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A moment and a frontier: an answer's place in time and in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The time.
    pub time: TimestampMs,
    /// The offsets.
    pub frontier: Frontier,
    /// How what lies below them was read; `None` in tokens of format 1.
    pub reading: Option<Reading>,
}

/// A text is not a frontier token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not a frontier token")]
pub struct NotAToken;

impl Token {
    fn bytes(&self) -> Vec<u8> {
        let mut topics: BTreeMap<TopicId, Vec<(PartitionId, Position)>> = BTreeMap::new();
        for ((topic, partition), position) in &self.frontier.positions {
            topics.entry(*topic).or_default().push((*partition, *position));
        }
        let mut bytes = vec![if self.reading.is_some() { VERSION } else { WITHOUT_READING }];
        bytes.extend(self.time.get().to_be_bytes());
        if let Some(reading) = &self.reading {
            bytes.extend(reading.spans.to_be_bytes());
            bytes.extend(reading.brought.to_be_bytes());
        }
        for (topic, partitions) in topics {
            bytes.extend(topic.as_bytes());
            bytes.extend(u32::try_from(partitions.len()).unwrap_or(u32::MAX).to_be_bytes());
            for (partition, position) in partitions {
                bytes.extend(partition.get().to_be_bytes());
                bytes.extend(position.next.get().to_be_bytes());
                bytes.extend(position.high.map_or(i64::MIN, TimestampMs::get).to_be_bytes());
            }
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (time, rest) = rest.split_first_chunk::<8>()?;
        let (reading, mut rest) = match *version {
            VERSION => {
                let (spans, rest) = rest.split_first_chunk::<8>()?;
                let (brought, rest) = rest.split_first_chunk::<8>()?;
                let (spans, brought) = (u64::from_be_bytes(*spans), u64::from_be_bytes(*brought));
                (Some(Reading { spans, brought }), rest)
            }
            WITHOUT_READING => (None, rest),
            _ => return None,
        };
        let mut positions = BTreeMap::new();
        while !rest.is_empty() {
            let (topic, after) = rest.split_first_chunk::<16>()?;
            let (count, mut after) = after.split_first_chunk::<4>()?;
            for _ in 0..u32::from_be_bytes(*count) {
                let (partition, next_at) = after.split_first_chunk::<4>()?;
                let (next, high_at) = next_at.split_first_chunk::<8>()?;
                let (high, end) = high_at.split_first_chunk::<8>()?;
                let high = i64::from_be_bytes(*high);
                let position = Position {
                    next: Offset(i64::from_be_bytes(*next)),
                    high: (high != i64::MIN).then_some(TimestampMs(high)),
                };
                positions.insert((TopicId(*topic), PartitionId(i32::from_be_bytes(*partition))), position);
                after = end;
            }
            rest = after;
        }
        let frontier = Frontier { positions, ..Frontier::default() };
        Some(Self { time: TimestampMs(i64::from_be_bytes(*time)), frontier, reading })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.bytes().chunks(3) {
            let group = chunk.iter().fold(0_u32, |group, byte| (group << 8) | u32::from(*byte));
            let group = group << (8 * (3 - chunk.len()));
            for digit in 0..=chunk.len() {
                let six = (group >> (18 - 6 * digit)) & 0x3f;
                let letter = ALPHABET.get(six as usize).copied().unwrap_or(b'A');
                write!(f, "{}", char::from(letter))?;
            }
        }
        Ok(())
    }
}

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let mut bytes = Vec::with_capacity(text.len());
        for chunk in text.as_bytes().chunks(4) {
            if chunk.len() == 1 {
                return Err(NotAToken);
            }
            let mut group = 0_u32;
            for letter in chunk {
                let six = ALPHABET.iter().position(|known| known == letter).ok_or(NotAToken)?;
                group = (group << 6) | u32::try_from(six).map_err(|_| NotAToken)?;
            }
            group <<= 6 * (4 - chunk.len());
            bytes.extend(group.to_be_bytes().into_iter().skip(1).take(chunk.len() - 1));
        }
        Self::read(&bytes).ok_or(NotAToken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn tokens_survive_text(
            time: i64,
            reading: Option<(u64, u64)>,
            parts in prop::collection::btree_map((any::<[u8; 16]>(), 0..5_i32), (any::<i64>(), any::<Option<u32>>()), 0..6),
        ) {
            let positions = parts
                .into_iter()
                .map(|((topic, partition), (next, high))| {
                    let high = high.map(|high| TimestampMs(i64::from(high)));
                    ((TopicId(topic), PartitionId(partition)), Position { next: Offset(next), high })
                })
                .collect();
            let frontier = Frontier { positions, ..Frontier::default() };
            let reading = reading.map(|(spans, brought)| Reading { spans, brought });
            let token = Token { time: TimestampMs(time), frontier, reading };
            prop_assert_eq!(token.to_string().parse::<Token>().unwrap(), token);
        }

        #[test]
        fn any_text_is_a_token_or_an_error(text in ".{0,80}") {
            let _ = text.parse::<Token>();
        }
    }
}
