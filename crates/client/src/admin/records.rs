//! Deleting records.

use waybill_protocol_gen::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};

use super::offsets::TopicPartition;
use super::{left_out, millis};
use crate::client::{Client, Route};
use crate::error::{ApiError, ClientError};

impl Client {
    /// Deletes a partition's records before `offset` (KIP-107), all of them when it is `None`, and gives the log's new
    /// start.
    ///
    /// # Errors
    /// [`ClientError::Refused`], as with OFFSET_OUT_OF_RANGE or POLICY_VIOLATION.
    pub async fn delete_records(&self, at: &TopicPartition, offset: Option<i64>) -> Result<i64, ClientError> {
        let timeout_ms = millis(self.config().request_timeout);
        let build = |_version| DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: at.topic.as_str().into(),
                partitions: vec![DeleteRecordsPartition {
                    partition_index: at.partition,
                    offset: offset.unwrap_or(-1),
                    ..DeleteRecordsPartition::default()
                }],
                ..DeleteRecordsTopic::default()
            }],
            timeout_ms,
            ..DeleteRecordsRequest::default()
        };
        let what = format!("deleting records of {at}");
        self.ask(&what, Route::Leader(&at.topic, at.partition), i16::MAX, build, |response| {
            let topic = response.topics.into_iter().next().ok_or_else(left_out)?;
            let result = topic.partitions.into_iter().next().ok_or_else(left_out)?;
            ApiError::check(result.error_code, None)?;
            Ok(result.low_watermark)
        })
        .await
    }
}
