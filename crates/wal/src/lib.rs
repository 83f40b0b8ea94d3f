//! The write-ahead log: frames, groups, the recycled ring, recovery.
