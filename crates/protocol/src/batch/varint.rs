//! Zig-zag varints, as records use them.

use bytes::{BufMut, BytesMut};

use super::error::RecordFault;

/// Bytes that come one after the other: a slice, or the output of a codec.
pub(super) trait Source {
    /// What goes wrong: a fault of the bytes, or of the codec.
    type Error: From<RecordFault>;

    /// The next byte.
    fn byte(&mut self) -> Result<u8, Self::Error>;

    /// Leaves out `count` bytes.
    fn skip(&mut self, count: usize) -> Result<(), Self::Error>;

    /// Bytes handed out or left out so far.
    fn position(&self) -> usize;

    /// A signed number of at most 32 bits (`ByteUtils.readVarint`).
    #[inline]
    fn varint(&mut self) -> Result<i32, Self::Error> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(unzigzag32(u32::from(first)));
        }
        let mut raw = u32::from(first & 0x7f);
        for shift in [7, 14, 21, 28] {
            let byte = self.byte()?;
            raw |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(unzigzag32(raw));
            }
        }
        Err(RecordFault::Varint.into())
    }

    /// A signed number of at most 64 bits (`ByteUtils.readVarlong`).
    #[inline]
    fn varlong(&mut self) -> Result<i64, Self::Error> {
        let mut raw = 0u64;
        for shift in (0..=63).step_by(7) {
            let byte = self.byte()?;
            raw |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((raw >> 1) as i64 ^ -((raw & 1) as i64));
            }
        }
        Err(RecordFault::Varint.into())
    }
}

const fn unzigzag32(raw: u32) -> i32 {
    (raw >> 1) as i32 ^ -((raw & 1) as i32)
}

/// A slice as a source.
#[derive(Debug, Clone)]
pub(super) struct SliceSource<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> SliceSource<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) const fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }
}

impl Source for SliceSource<'_> {
    type Error = RecordFault;

    #[inline]
    fn byte(&mut self) -> Result<u8, RecordFault> {
        let byte = *self.bytes.get(self.at).ok_or(RecordFault::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn skip(&mut self, count: usize) -> Result<(), RecordFault> {
        if count > self.remaining() {
            return Err(RecordFault::Truncated);
        }
        self.at += count;
        Ok(())
    }

    #[inline]
    fn position(&self) -> usize {
        self.at
    }
}

/// Writes a signed number as [`Source::varint`] reads it.
pub(super) fn put_varint(out: &mut BytesMut, value: i32) {
    put_unsigned(out, u64::from(((value << 1) ^ (value >> 31)) as u32));
}

/// Writes a signed number as [`Source::varlong`] reads it.
pub(super) fn put_varlong(out: &mut BytesMut, value: i64) {
    put_unsigned(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn put_unsigned(out: &mut BytesMut, mut raw: u64) {
    while raw >= 0x80 {
        out.put_u8((raw as u8 & 0x7f) | 0x80);
        raw >>= 7;
    }
    out.put_u8(raw as u8);
}

/// Bytes that [`put_varint`] writes.
pub(super) fn varint_len(value: i32) -> usize {
    unsigned_len(u64::from(((value << 1) ^ (value >> 31)) as u32))
}

/// Bytes that [`put_varlong`] writes.
pub(super) fn varlong_len(value: i64) -> usize {
    unsigned_len(((value << 1) ^ (value >> 63)) as u64)
}

const fn unsigned_len(raw: u64) -> usize {
    let bits = 64 - (raw | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_survive(int: i32, long: i64) {
            let mut out = BytesMut::new();
            put_varint(&mut out, int);
            prop_assert_eq!(out.len(), varint_len(int));
            put_varlong(&mut out, long);
            prop_assert_eq!(out.len(), varint_len(int) + varlong_len(long));
            let mut source = SliceSource::new(&out);
            prop_assert_eq!(source.varint(), Ok(int));
            prop_assert_eq!(source.varlong(), Ok(long));
            prop_assert_eq!(source.remaining(), 0);
        }
    }

    #[test]
    fn numbers_that_do_not_end_are_refused() {
        assert_eq!(SliceSource::new(&[0x80; 11]).varint(), Err(RecordFault::Varint));
        assert_eq!(SliceSource::new(&[0x80; 11]).varlong(), Err(RecordFault::Varint));
        assert_eq!(SliceSource::new(&[0x80; 3]).varint(), Err(RecordFault::Truncated));
    }
}
