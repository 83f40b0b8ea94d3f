//! Variable-length integers: seven bits to a byte, least significant first, the high bit says "more follows".
//!
//! Signed ones are zigzag-coded first, as in Protocol Buffers and Kafka's `ByteUtils`.

/// Bytes that a 32-bit varint takes at most.
pub const MAX_VARINT_LEN: usize = 5;

/// Bytes that a 64-bit varint takes at most.
pub const MAX_VARLONG_LEN: usize = 10;

/// Appends `value` as an unsigned varint.
pub fn put_unsigned_varint(out: &mut Vec<u8>, value: u32) {
    put_unsigned_varlong(out, u64::from(value));
}

/// Appends `value` as a zigzag varint.
pub fn put_varint(out: &mut Vec<u8>, value: i32) {
    put_unsigned_varint(out, zigzag_encode_i32(value));
}

/// Appends `value` as a zigzag varlong.
pub fn put_varlong(out: &mut Vec<u8>, value: i64) {
    put_unsigned_varlong(out, zigzag_encode_i64(value));
}

fn put_unsigned_varlong(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes that `value` takes as an unsigned varint.
#[must_use]
pub fn unsigned_varint_len(value: u32) -> usize {
    unsigned_varlong_len(u64::from(value))
}

/// Bytes that `value` takes as a zigzag varint.
#[must_use]
pub fn varint_len(value: i32) -> usize {
    unsigned_varint_len(zigzag_encode_i32(value))
}

/// Bytes that `value` takes as a zigzag varlong.
#[must_use]
pub fn varlong_len(value: i64) -> usize {
    unsigned_varlong_len(zigzag_encode_i64(value))
}

fn unsigned_varlong_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Maps small magnitudes of either sign to small unsigned numbers.
#[must_use]
pub fn zigzag_encode_i32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

/// Undoes [`zigzag_encode_i32`].
#[must_use]
pub fn zigzag_decode_i32(value: u32) -> i32 {
    ((value >> 1) as i32) ^ -((value & 1) as i32)
}

/// Maps small magnitudes of either sign to small unsigned numbers.
#[must_use]
pub fn zigzag_encode_i64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Undoes [`zigzag_encode_i64`].
#[must_use]
pub fn zigzag_decode_i64(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}
