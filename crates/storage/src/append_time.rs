//! When a record was appended, by the broker's clock: what makes a read a replay.

use waybill_types::{Offset, TimestampMs};

use crate::error::ReadError;
use crate::partition::Partition;

impl Partition {
    /// When the batch that holds `offset` was appended, or a little later: exactly while it is in memory, else when
    /// the last batch of its slice was. `None` when the log does not hold the offset.
    ///
    /// # Errors
    /// When the index can not be loaded.
    pub async fn append_time_at(&self, offset: Offset) -> Result<Option<TimestampMs>, ReadError> {
        {
            let durable = self.durable.lock();
            let entry = durable.tail.first_at(TimestampMs(i64::MIN), offset);
            if let Some(entry) = entry.filter(|entry| entry.header.base_offset <= offset) {
                return Ok(Some(entry.header.append_time));
            }
        }
        self.load_index().await?;
        let index = self.index.lock();
        let slice = index.as_ref().and_then(|index| index.find(offset));
        Ok(slice.map(|slice| slice.record.last_append))
    }
}
