//! Facts from the log, and the answers that rest on them.
