//! What can go wrong.

use std::time::Duration;

use waybill_protocol::error_code::ErrorCode;
use waybill_protocol::framing::FrameError;
use waybill_protocol::wire::{DecodeError, EncodeError, KString};
use waybill_protocol_gen::ApiKey;

use crate::config::Endpoint;

/// A broker's "no" to one thing that was asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// Kafka's code.
    pub code: ErrorCode,
    /// The broker's own words, where it has some.
    pub message: Option<String>,
}

impl ApiError {
    /// Reads a response's code and message; `Ok` when the code says that there is no error. A code that this
    /// client does not know counts as an unexpected error of the broker and is told in the message.
    ///
    /// # Errors
    /// The broker's error.
    pub fn check(code: i16, message: Option<&KString>) -> Result<(), Self> {
        let message = message.filter(|text| !text.is_empty()).map(|text| text.as_str().to_owned());
        match ErrorCode::from_i16(code) {
            Some(ErrorCode::None) => Ok(()),
            Some(code) => Err(Self { code, message }),
            None => {
                let words = message.map(|text| format!(": {text}")).unwrap_or_default();
                let message = Some(format!("error code {code}{words}"));
                Err(Self { code: ErrorCode::UnknownServerError, message })
            }
        }
    }

    /// Whether the same request may succeed a little later.
    pub fn is_retriable(&self) -> bool {
        self.code.is_retriable()
    }
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = self.message.as_deref().unwrap_or_else(|| self.code.message());
        write!(f, "{words} ({})", self.code.name())
    }
}

impl std::error::Error for ApiError {}

/// Why an operation failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection could be made.
    #[error("can not connect to {endpoint}: {reason}")]
    Connect {
        /// Where to.
        endpoint: Endpoint,
        /// Why not.
        reason: String,
    },
    /// No broker was ever reached: the addresses are wrong, or nobody is there.
    #[error("no bootstrap server can be reached: {tried}")]
    Unreachable {
        /// Each address and what happened there.
        tried: String,
    },
    /// The connection ended before the answer came.
    #[error("connection to {endpoint} ended before the answer to {api} came: {reason}")]
    Closed {
        /// Where to.
        endpoint: Endpoint,
        /// What was asked.
        api: ApiKey,
        /// Why it ended.
        reason: String,
    },
    /// The answer did not come in time.
    #[error("{endpoint} did not answer {api} within {} ms", .after.as_millis())]
    TimedOut {
        /// Who was asked.
        endpoint: Endpoint,
        /// What was asked.
        api: ApiKey,
        /// How long was waited.
        after: Duration,
    },
    /// The broker has no version of the API that this client speaks.
    #[error("{endpoint} does not offer {api} in a version that this client can use (it offers {offered})")]
    Unsupported {
        /// Who was asked.
        endpoint: Endpoint,
        /// What for.
        api: ApiKey,
        /// Its versions, in words.
        offered: String,
    },
    /// The request can not be written.
    #[error("{api} can not be written: {source}")]
    Encode {
        /// Which request.
        api: ApiKey,
        /// Why not.
        source: EncodeError,
    },
    /// The answer is not what the protocol says.
    #[error("{endpoint} answered {api} with bytes that are no such answer: {source}")]
    Decode {
        /// Who answered.
        endpoint: Endpoint,
        /// What.
        api: ApiKey,
        /// What is wrong.
        source: DecodeError,
    },
    /// The answer's frame is not acceptable.
    #[error("{endpoint}: {source}")]
    Frame {
        /// Who sent it.
        endpoint: Endpoint,
        /// What is wrong.
        source: FrameError,
    },
    /// The broker refused.
    #[error("{what}: {error}")]
    Refused {
        /// What was asked of it, in words.
        what: String,
        /// Its answer.
        error: ApiError,
    },
    /// The answer lacks what was asked for.
    #[error("the answer to {api} says nothing about {what}")]
    Missing {
        /// Which answer.
        api: ApiKey,
        /// What it lacks.
        what: String,
    },
}

impl ClientError {
    /// A broker's refusal, with what was asked of it.
    pub fn refused(what: impl Into<String>, error: ApiError) -> Self {
        Self::Refused { what: what.into(), error }
    }

    /// Whether trying again, maybe elsewhere, may help.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Closed { .. } | Self::TimedOut { .. } => true,
            Self::Refused { error, .. } => error.is_retriable(),
            Self::Unreachable { .. }
            | Self::Unsupported { .. }
            | Self::Encode { .. }
            | Self::Decode { .. }
            | Self::Frame { .. }
            | Self::Missing { .. } => false,
        }
    }

    /// The broker's code, when it was the broker that refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { error, .. } => Some(error.code),
            _ => None,
        }
    }
}
