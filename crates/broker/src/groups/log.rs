//! Where a coordinator partition's records are kept.

use bytes::Bytes;
use futures::future::BoxFuture;
use waybill_coordinator::{Record, encoding};
use waybill_protocol::batch::{BatchBuilder, BuildError, NewRecord, split_batches};
use waybill_protocol::compression::Compression;
use waybill_protocol::wire::EncodeError;
use waybill_types::TimestampMs;

/// The most bytes in one batch of records, unless a single record is larger: half of Kafka's `max.message.bytes`.
pub const BATCH_BYTES: usize = 512 * 1024;

/// Largest body that a compressed batch in the log may have; ours are not compressed.
const MAX_BODY: usize = 64 << 20;

/// Why records can not be appended or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogFault {
    /// The partition is no more.
    #[error("the partition was removed")]
    Gone,
    /// It is there, and failed.
    #[error("{0}")]
    Failed(String),
}

impl From<EncodeError> for LogFault {
    fn from(error: EncodeError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<BuildError> for LogFault {
    fn from(error: BuildError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// When an appended batch is durable, or never will be.
pub type Durable = BoxFuture<'static, Result<(), LogFault>>;

/// The log of one coordinator partition, as its owner uses it.
pub trait GroupLog: Send + 'static {
    /// Feeds every durable batch to `each`, oldest first.
    fn load<'a>(
        &'a self,
        each: &'a mut (dyn FnMut(Bytes) -> Result<(), LogFault> + Send),
    ) -> BoxFuture<'a, Result<(), LogFault>>;

    /// Appends a batch. When this resolves, the batch has its place behind all earlier ones.
    fn append(&self, batch: Bytes) -> BoxFuture<'_, Result<Durable, LogFault>>;
}

/// Batches that hold `records`, in order.
///
/// # Errors
/// When a record can not be encoded.
pub fn batches(records: &[Record], now: TimestampMs) -> Result<Vec<Bytes>, LogFault> {
    let mut full = Vec::new();
    let mut builder = BatchBuilder::new(Compression::None);
    let mut count = 0usize;
    for record in records {
        let (key, value) = encoding::encode(record)?;
        let size = key.len() + value.as_ref().map_or(0, Bytes::len);
        if count > 0 && builder.plain_size().saturating_add(size) > BATCH_BYTES {
            let done = std::mem::replace(&mut builder, BatchBuilder::new(Compression::None));
            full.push(done.build_bytes()?);
            count = 0;
        }
        builder.push(NewRecord { timestamp: now, key: Some(&key), value: value.as_deref(), headers: &[] })?;
        count += 1;
    }
    if count > 0 {
        full.push(builder.build_bytes()?);
    }
    Ok(full)
}

/// Feeds the records in `batches` to `each`, in order. Control batches and records of other kinds are passed over.
///
/// # Errors
/// When the bytes are not batches, or a record is not what its type says.
pub fn replay(batches: Bytes, each: &mut dyn FnMut(Record)) -> Result<(), LogFault> {
    let failed = |error: &dyn std::fmt::Display| LogFault::Failed(error.to_string());
    for batch in split_batches(batches) {
        let batch = batch.map_err(|error| failed(&error))?;
        if batch.header().attributes.is_control() {
            continue;
        }
        for record in batch.records(MAX_BODY) {
            let record = record.map_err(|error| failed(&error))?;
            let Some(key) = &record.key else { continue };
            if let Some(known) =
                encoding::decode(key, record.value.as_ref()).map_err(|error| failed(&error))?
            {
                each(known);
            }
        }
    }
    Ok(())
}
