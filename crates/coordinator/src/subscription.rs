//! The topics in a consumer's subscription.
//!
//! Members' metadata is opaque to the coordinator, but for groups of protocol type `consumer` it reads the topics, so
//! that offsets of topics that are still consumed do not expire (KIP-211) and are not deleted (KIP-496). Every version
//! of the subscription begins with version 0: version, topics, user data.

use std::collections::BTreeSet;

/// The protocol type of consumers.
pub(crate) const CONSUMER: &str = "consumer";

/// Adds the subscription's topics to `topics`; false when the bytes are not a subscription.
pub(crate) fn collect_topics(metadata: &[u8], topics: &mut BTreeSet<String>) -> bool {
    read_topics(metadata, topics).is_some()
}

fn read_topics(metadata: &[u8], topics: &mut BTreeSet<String>) -> Option<()> {
    let mut rest = metadata;
    let _version = take(&mut rest, 2)?;
    let count = i32::from_be_bytes(take(&mut rest, 4)?.try_into().ok()?);
    for _ in 0..count {
        let length = i16::from_be_bytes(take(&mut rest, 2)?.try_into().ok()?);
        let name = take(&mut rest, usize::try_from(length).ok()?)?;
        topics.insert(str::from_utf8(name).ok()?.to_owned());
    }
    Some(())
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn topics_are_read_from_any_version() {
        let mut topics = BTreeSet::new();
        let bytes =
            b"\x00\x03\x00\x00\x00\x02\x00\x01a\x00\x02bc\xff\xff\xff\xff whatever later versions add";
        assert!(collect_topics(bytes, &mut topics));
        assert_eq!(topics.into_iter().collect::<Vec<_>>(), ["a", "bc"]);
        assert!(!collect_topics(b"\x00\x00\x7f\xff\xff\xff", &mut BTreeSet::new()));
        assert!(!collect_topics(b"", &mut BTreeSet::new()));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            collect_topics(&bytes, &mut BTreeSet::new());
        }
    }
}
