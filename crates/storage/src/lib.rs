//! Partitions: offsets, producer state, segments, index, cache, reads, retention.
