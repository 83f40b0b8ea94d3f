//! The newest offset of each key, in memory of fixed size for any number of keys: 16 bytes of a strong hash and the offset. Pure.
//!
//! As Kafka's `SkimpyOffsetMap`. Two keys with the same hash would lose one of them, so the hash is one for which nobody can find such keys.

use sha2::{Digest, Sha256};
use waybill_types::Offset;

/// A hash and the offset above -1; an empty place is all zero.
type Place = [u64; 3];

/// Bytes of a place.
pub(crate) const PLACE_BYTES: usize = size_of::<Place>();
/// The table begins with so many places and doubles.
const FIRST: usize = 1 << 10;

/// Offsets by key.
#[derive(Debug)]
pub(crate) struct KeyMap {
    places: Vec<Place>,
    most: usize,
    keys: usize,
    latest: Offset,
}

/// There is no room for another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl KeyMap {
    /// A map that takes at most `bytes` of memory, and some keys at least.
    pub(crate) fn new(bytes: usize) -> Self {
        // Growing takes half as much again for a moment.
        let most = (bytes / PLACE_BYTES / 3 * 2).max(8);
        let most = if most.is_power_of_two() { most } else { most.next_power_of_two() / 2 };
        Self { places: vec![[0; 3]; most.min(FIRST)], most, keys: 0, latest: Offset(-1) }
    }

    /// Nothing behind this offset was looked at.
    pub(crate) fn latest(&self) -> Offset {
        self.latest
    }

    /// Notes that everything up to `offset` was looked at.
    pub(crate) fn reached(&mut self, offset: Offset) {
        self.latest = self.latest.max(offset);
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.places.len() * PLACE_BYTES
    }

    /// Notes that `key` stands at `offset`, which lies behind all noted before.
    pub(crate) fn put(&mut self, key: &[u8], offset: Offset) -> Result<(), Full> {
        let hash = hash(key);
        let found = self.find(hash);
        let known = self.places.get(found).is_some_and(|place| place[2] != 0);
        if !known {
            if (self.keys + 1) * 4 > self.places.len() * 3 {
                if self.places.len() >= self.most {
                    return Err(Full);
                }
                self.grow();
            }
            self.keys += 1;
        }
        let at = if known { found } else { self.find(hash) };
        if let Some(place) = self.places.get_mut(at) {
            *place = [hash[0], hash[1], offset.get().cast_unsigned().wrapping_add(1)];
        }
        self.latest = self.latest.max(offset);
        Ok(())
    }

    /// Where `key` stands last; `None` when it was not met.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Offset> {
        let place = self.places.get(self.find(hash(key)))?;
        (place[2] != 0).then(|| Offset(place[2].wrapping_sub(1).cast_signed()))
    }

    /// The place of a hash, or the empty one where it belongs.
    fn find(&self, hash: [u64; 2]) -> usize {
        let mask = self.places.len() - 1;
        let mut at = (hash[0] as usize) & mask;
        while let Some(place) = self.places.get(at)
            && place[2] != 0
            && (place[0] != hash[0] || place[1] != hash[1])
        {
            at = (at + 1) & mask;
        }
        at
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.places);
        self.places = vec![[0; 3]; old.len() * 2];
        for place in old.into_iter().filter(|place| place[2] != 0) {
            let at = self.find([place[0], place[1]]);
            if let Some(empty) = self.places.get_mut(at) {
                *empty = place;
            }
        }
    }
}

fn hash(key: &[u8]) -> [u64; 2] {
    let digest = Sha256::digest(key);
    let part = |at: usize| {
        digest.get(at..at + 8).and_then(|part| part.try_into().ok()).map_or(0, u64::from_be_bytes)
    };
    [part(0), part(8)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn it_is_full_at_its_bound_and_knows_old_keys_still() {
        let bytes = 100_000;
        let mut map = KeyMap::new(bytes);
        let mut taken = 0i64;
        while map.put(&taken.to_be_bytes(), Offset(taken)).is_ok() {
            taken += 1;
        }
        assert!(map.bytes() * 3 / 2 <= bytes && taken > 1_000, "{taken} keys in {}", map.bytes());
        assert_eq!(map.latest(), Offset(taken - 1));
        assert_eq!(map.put(&5i64.to_be_bytes(), Offset(taken)), Ok(()));
        assert_eq!(map.get(&5i64.to_be_bytes()), Some(Offset(taken)));
        assert_eq!(map.get(b"other"), None);
        // However little it is given, it takes some keys, so that compaction gets on.
        assert_eq!(KeyMap::new(0).put(b"key", Offset(0)), Ok(()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_agrees_with_a_map(keys in proptest::collection::vec(0u16..2_000, 0..4_000)) {
            let (mut map, mut naive) = (KeyMap::new(1 << 20), HashMap::new());
            for (offset, key) in keys.iter().enumerate() {
                map.put(&key.to_be_bytes(), Offset(offset as i64)).unwrap();
                naive.insert(*key, offset as i64);
            }
            for key in 0u16..2_000 {
                prop_assert_eq!(map.get(&key.to_be_bytes()).map(Offset::get), naive.get(&key).copied());
            }
        }
    }
}
