//! A coordinator partition's log in the log engine, through the ordinary produce path.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use waybill_protocol::batch::{Origin, Policy, prepare, split_batches};
use waybill_rt::SharedClock;
use waybill_storage::{
    AckError, AppendError, AppendInfo, AppendOrigin, LogEngine, Partition, ReadBound, ReadRequest,
};
use waybill_types::LeaderEpoch;

use super::log::{Durable, GroupLog, LogFault};

/// Bytes that a load reads at once.
const LOAD_BYTES: usize = 1 << 20;

/// The log of one partition.
pub struct EngineLog {
    engine: Arc<LogEngine>,
    partition: Arc<Partition>,
    /// The epoch in which this coordinator was opened: another one fences it.
    leader_epoch: LeaderEpoch,
    clock: SharedClock,
}

impl EngineLog {
    /// The log of `partition` in `engine`.
    #[must_use]
    pub fn new(engine: Arc<LogEngine>, partition: Arc<Partition>, clock: SharedClock) -> Self {
        let leader_epoch = partition.leader_epoch();
        Self { engine, partition, leader_epoch, clock }
    }
}

fn failed(error: &impl std::fmt::Display) -> LogFault {
    LogFault::Failed(error.to_string())
}

impl GroupLog for EngineLog {
    fn load<'a>(
        &'a self,
        each: &'a mut (dyn FnMut(Bytes) -> Result<(), LogFault> + Send),
    ) -> BoxFuture<'a, Result<(), LogFault>> {
        Box::pin(async move {
            let mut next = self.partition.log_start();
            while next < self.partition.high_watermark() {
                let read = self.partition.read(ReadRequest {
                    from: next,
                    max_bytes: LOAD_BYTES,
                    at_least_one: true,
                    bound: ReadBound::HighWatermark,
                });
                let read = read.await.map_err(|error| failed(&error))?;
                let before = next;
                for piece in read.batches {
                    for batch in split_batches(piece.clone()) {
                        next = batch.map_err(|error| failed(&error))?.header().last_offset().next();
                    }
                    each(piece)?;
                }
                if next <= before {
                    return Err(LogFault::Failed(format!("nothing to read at offset {before}")));
                }
            }
            Ok(())
        })
    }

    fn append(&self, batch: Bytes) -> BoxFuture<'_, Result<Durable, LogFault>> {
        Box::pin(async move {
            let policy = Policy {
                now: self.clock.now(),
                keys_required: true,
                origin: Origin::Broker,
                ..Policy::default()
            };
            let batch = batch.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
            let prepared = prepare(batch, &policy).map_err(|error| failed(&error))?;
            let permit = self.engine.reserve(prepared.size()).await.map_err(|error| failed(&error))?;
            let info = AppendInfo {
                origin: AppendOrigin::Coordinator,
                leader_epoch: Some(self.leader_epoch),
                marker: None,
            };
            let (_, ack) = self.partition.append(prepared, info, permit).map_err(|error| match error {
                AppendError::Removed => LogFault::Gone,
                other => failed(&other),
            })?;
            let durable: Durable = Box::pin(async move {
                ack.await.map_err(|error| match error {
                    AckError::Removed => LogFault::Gone,
                    other => failed(&other),
                })
            });
            Ok(durable)
        })
    }
}
