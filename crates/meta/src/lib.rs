//! The metadata store trait, its backends, and the encoding of every record kept in it.
