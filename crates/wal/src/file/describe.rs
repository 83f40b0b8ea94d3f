//! The file `ring` that says what the ring is: written once, before the ring is used.
//!
//! Its presence proves that every file of the ring was made, so one that is missing later is damage.

use bytes::{Buf, BufMut};
use crc32c::crc32c;
use waybill_types::StoreId;

use crate::file::layout::Geometry;

/// The name of the description within the WAL folder.
pub(crate) const RING_FILE: &str = "ring";

const MAGIC: [u8; 8] = *b"WbRing\r\n";
const VERSION: u8 = 1;
/// Length of the encoded description in bytes.
pub(crate) const DESCRIPTION_LEN: usize = 48;

/// Whose ring it is and its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) store: StoreId,
    pub(crate) geometry: Geometry,
}

/// Why a description can not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DescriptionFault {
    #[error("it is not a description of a ring, or it is damaged")]
    Damaged,
    #[error("its format has version {0}, this program knows version {VERSION}")]
    Version(u8),
}

impl Description {
    pub(crate) fn encode(&self) -> [u8; DESCRIPTION_LEN] {
        let mut bytes = [0; DESCRIPTION_LEN];
        let mut out: &mut [u8] = &mut bytes;
        out.put_slice(&MAGIC);
        out.put_u8(VERSION);
        out.put_bytes(0, 3);
        out.put_slice(self.store.as_bytes());
        out.put_u32_le(self.geometry.files);
        out.put_u64_le(self.geometry.file_size);
        out.put_u32_le(self.geometry.block);
        let (summed, sum) = bytes.split_at_mut(DESCRIPTION_LEN - 4);
        sum.copy_from_slice(&crc32c(summed).to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DescriptionFault> {
        let (summed, mut sum) = bytes
            .split_at_checked(DESCRIPTION_LEN - 4)
            .filter(|(_, sum)| sum.len() == 4)
            .ok_or(DescriptionFault::Damaged)?;
        let mut from = summed;
        let mut magic = [0; 8];
        from.copy_to_slice(&mut magic);
        if magic != MAGIC || sum.get_u32_le() != crc32c(summed) {
            return Err(DescriptionFault::Damaged);
        }
        let version = from.get_u8();
        if version != VERSION {
            return Err(DescriptionFault::Version(version));
        }
        from.advance(3);
        let mut store = [0; 16];
        from.copy_to_slice(&mut store);
        let geometry =
            Geometry { files: from.get_u32_le(), file_size: from.get_u64_le(), block: from.get_u32_le() };
        if !geometry.is_sound() {
            return Err(DescriptionFault::Damaged);
        }
        Ok(Self { store: StoreId(store), geometry })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_survive_and_damage_is_seen() {
        let ring = Description {
            store: StoreId([7; 16]),
            geometry: Geometry { files: 16, file_size: 32 << 20, block: 4096 },
        };
        let mut bytes = ring.encode();
        assert_eq!(Description::decode(&bytes), Ok(ring));
        for bit in 0..DESCRIPTION_LEN * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Description::decode(&bytes).is_err());
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(Description::decode(&bytes[1..]), Err(DescriptionFault::Damaged));
        assert_eq!(Description::decode(&[]), Err(DescriptionFault::Damaged));
    }
}
