//! Which partition of `__consumer_offsets` coordinates which group.

/// The internal topic's name.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// `offsets.topic.num.partitions`: 50.
pub const OFFSETS_PARTITIONS: i32 = 50;

/// Java's `String.hashCode`: over UTF-16 units, `h = 31 h + unit`, wrapping.
#[must_use]
pub fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// The partition out of `partitions` that coordinates `group`: Kafka's `Utils.abs(hash) % partitions`, where the
/// absolute value of the smallest integer counts as 0.
///
/// # Panics
/// When `partitions` is not positive.
#[must_use]
pub fn partition_for(group: &str, partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    java_hash(group).checked_abs().unwrap_or(0) % partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_javas() {
        // "hello".hashCode(), "polygenelubricants".hashCode() (the smallest integer), "日本".hashCode().
        assert_eq!(java_hash(""), 0);
        assert_eq!(java_hash("hello"), 99_162_322);
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
        assert_eq!(java_hash("日本"), 0x65e5 * 31 + 0x672c);
        // A character outside of the basic plane counts as its two surrogates.
        assert_eq!(java_hash("😀"), 0xd83d * 31 + 0xde00);
    }

    #[test]
    fn placement_is_kafkas() {
        assert_eq!(partition_for("hello", 50), 22);
        assert_eq!(partition_for("polygenelubricants", 50), 0);
        assert_eq!(partition_for("", 50), 0);
    }
}
