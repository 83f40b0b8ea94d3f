//! Kafka's messages, generated from the facts of the pinned schema.
