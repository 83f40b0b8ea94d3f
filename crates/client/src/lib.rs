//! A Kafka client for administration, forwarding and tests.
