//! Kafka wire primitives, framing, compression and record batches viewed in place.
