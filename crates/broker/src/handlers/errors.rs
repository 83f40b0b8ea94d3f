//! The one place where errors become Kafka's codes.

use waybill_control::ControllerError;
use waybill_control::create::TopicFault;
use waybill_protocol::ErrorCode;
use waybill_protocol::wire::KString;
use waybill_security::Denied;
use waybill_storage::{AckError, AppendError, DeleteError, ProducerFault, ReadError};
use waybill_wal::WalError;

/// A code and what is told beside it.
#[derive(Debug, Clone)]
pub struct Told {
    /// The code.
    pub code: ErrorCode,
    /// The message, where the response has room for one.
    pub message: Option<KString>,
}

impl Told {
    /// A code with its own message.
    pub fn new(code: ErrorCode, message: impl std::fmt::Display) -> Self {
        Self { code, message: Some(message.to_string().into()) }
    }

    /// A code alone.
    pub fn bare(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

impl From<&TopicFault> for Told {
    fn from(fault: &TopicFault) -> Self {
        let code = match fault {
            TopicFault::InvalidName(_) => ErrorCode::InvalidTopicException,
            TopicFault::Exists(_) => ErrorCode::TopicAlreadyExists,
            TopicFault::Unknown => ErrorCode::UnknownTopicOrPartition,
            TopicFault::UnknownId => ErrorCode::UnknownTopicId,
            TopicFault::InvalidPartitions(_) => ErrorCode::InvalidPartitions,
            TopicFault::InvalidReplicationFactor(_) => ErrorCode::InvalidReplicationFactor,
            TopicFault::InvalidAssignment(_) => ErrorCode::InvalidReplicaAssignment,
            TopicFault::InvalidConfig(_) => ErrorCode::InvalidConfig,
            TopicFault::InvalidRequest(_) => ErrorCode::InvalidRequest,
        };
        Self::new(code, fault)
    }
}

impl From<&ControllerError> for Told {
    fn from(error: &ControllerError) -> Self {
        match error {
            ControllerError::Fault(fault) => fault.into(),
            ControllerError::NoSpace(_) => Self::new(ErrorCode::KafkaStorageError, error),
            ControllerError::Unavailable(_) => Self::new(ErrorCode::UnknownServerError, error),
        }
    }
}

/// The code of a refusal.
#[must_use]
pub fn denied(denied: Denied) -> ErrorCode {
    ErrorCode::from_i16(denied.code()).unwrap_or(ErrorCode::UnknownServerError)
}

/// The code of a batch that was not appended.
#[must_use]
pub fn append_code(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::Producer(fault) => producer_code(fault),
        AppendError::Fenced { .. } => ErrorCode::FencedLeaderEpoch,
        AppendError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        AppendError::Removed => ErrorCode::UnknownTopicOrPartition,
        AppendError::Wal(error) => match error {
            WalError::TooLarge { .. } => ErrorCode::MessageTooLarge,
            WalError::Closed => ErrorCode::NotLeaderOrFollower,
            _ => ErrorCode::KafkaStorageError,
        },
    }
}

/// The code of an appended batch that did not become durable.
#[must_use]
pub fn ack_code(error: &AckError) -> ErrorCode {
    match error {
        AckError::Poisoned(_) => ErrorCode::KafkaStorageError,
        AckError::Removed => ErrorCode::UnknownTopicOrPartition,
    }
}

/// The code of a read that failed.
#[must_use]
pub fn read_code(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::Removed => ErrorCode::UnknownTopicOrPartition,
        _ => ErrorCode::KafkaStorageError,
    }
}

/// The code of a DeleteRecords that failed.
#[must_use]
pub fn delete_records_code(error: &DeleteError) -> ErrorCode {
    match error {
        DeleteError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        DeleteError::Removed => ErrorCode::UnknownTopicOrPartition,
        _ => ErrorCode::KafkaStorageError,
    }
}

fn producer_code(fault: &ProducerFault) -> ErrorCode {
    match fault {
        ProducerFault::OutOfOrder { .. } => ErrorCode::OutOfOrderSequenceNumber,
        ProducerFault::InvalidEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        ProducerFault::OutsideTransaction(_) => ErrorCode::InvalidTxnState,
        ProducerFault::CoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
    }
}
