//! What can go wrong in a codec.

/// Why bytes can not be decompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// The output would be larger than the cap.
    #[error("decompressed data exceeds {limit} bytes")]
    TooLarge {
        /// The cap in bytes.
        limit: usize,
    },
    /// The input ends before the output is whole.
    #[error("{codec} data ends too soon")]
    Truncated {
        /// The codec's name.
        codec: &'static str,
    },
    /// The input is not of the codec's format.
    #[error("{codec} data is malformed: {what}")]
    Malformed {
        /// The codec's name.
        codec: &'static str,
        /// What is wrong.
        what: &'static str,
    },
    /// The codec's library says so.
    #[error("{0}")]
    Codec(String),
}

impl CompressionError {
    pub(super) fn codec(error: impl std::fmt::Display) -> Self {
        Self::Codec(error.to_string())
    }

    pub(super) const fn malformed(codec: &'static str, what: &'static str) -> Self {
        Self::Malformed { codec, what }
    }
}
