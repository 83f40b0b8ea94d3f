//! The cluster and its brokers.

use waybill_protocol_gen::messages::describe_cluster_request::DescribeClusterRequest;
use waybill_protocol_gen::messages::describe_log_dirs_request::DescribeLogDirsRequest;

use crate::client::{Client, Route};
use crate::config::Endpoint;
use crate::error::{ApiError, ClientError};
use crate::metadata::Broker;

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterDescription {
    /// Its id.
    pub cluster_id: String,
    /// The node id to send controller requests to; -1 when there is none.
    pub controller_id: i32,
    /// Its live brokers by id.
    pub brokers: Vec<Broker>,
}

/// Where a broker keeps records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDir {
    /// Its path, or whatever the broker calls it.
    pub path: String,
    /// Why it can not be used.
    pub error: Option<ApiError>,
    /// Bytes it has in all, where the broker tells (KIP-827).
    pub total_bytes: Option<i64>,
    /// Bytes that are free, where the broker tells.
    pub usable_bytes: Option<i64>,
    /// What lies in it.
    pub replicas: Vec<LogDirReplica>,
}

/// A partition in a log directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDirReplica {
    /// Its topic.
    pub topic: String,
    /// Its index.
    pub partition: i32,
    /// Its bytes.
    pub size: i64,
    /// How many offsets it lags behind.
    pub offset_lag: i64,
}

impl Client {
    /// The cluster.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`] before Kafka 2.8; [`ClientError::Refused`].
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, ClientError> {
        let build = |_version| DescribeClusterRequest::default();
        self.ask("describing the cluster", Route::Any, i16::MAX, build, |response| {
            ApiError::check(response.error_code, response.error_message.as_ref())?;
            let mut brokers: Vec<Broker> = response
                .brokers
                .into_iter()
                .filter_map(|broker| {
                    let port = u16::try_from(broker.port).ok()?;
                    let endpoint = Endpoint { host: broker.host.to_string(), port };
                    let rack = broker.rack.map(|rack| rack.to_string());
                    Some(Broker { id: broker.broker_id, endpoint, rack })
                })
                .collect();
            brokers.sort_by_key(|broker| broker.id);
            Ok(ClusterDescription {
                cluster_id: response.cluster_id.to_string(),
                controller_id: response.controller_id,
                brokers,
            })
        })
        .await
    }

    /// What a broker's log directories hold.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn describe_log_dirs(&self, broker: i32) -> Result<Vec<LogDir>, ClientError> {
        let build = |_version| DescribeLogDirsRequest { topics: None, ..DescribeLogDirsRequest::default() };
        let what = format!("describing the log directories of broker {broker}");
        self.ask(&what, Route::Broker(broker), i16::MAX, build, |response| {
            ApiError::check(response.error_code, None)?;
            let dirs = response.results.into_iter().map(|dir| LogDir {
                path: dir.log_dir.to_string(),
                error: ApiError::check(dir.error_code, None).err(),
                total_bytes: Some(dir.total_bytes).filter(|bytes| *bytes >= 0),
                usable_bytes: Some(dir.usable_bytes).filter(|bytes| *bytes >= 0),
                replicas: dir
                    .topics
                    .into_iter()
                    .flat_map(|topic| {
                        let name = topic.name.to_string();
                        topic.partitions.into_iter().map(move |partition| LogDirReplica {
                            topic: name.clone(),
                            partition: partition.partition_index,
                            size: partition.partition_size,
                            offset_lag: partition.offset_lag,
                        })
                    })
                    .collect(),
            });
            Ok(dirs.collect())
        })
        .await
    }

    /// The ids of the live brokers, asked for afresh.
    pub(super) async fn cluster_brokers(&self) -> Result<Vec<i32>, ClientError> {
        let mut attempts = self.attempts();
        loop {
            match self.metadata(Some(&[])).await {
                Ok(metadata) => return Ok(metadata.brokers.into_keys().collect()),
                Err(error) => attempts.again(error).await?,
            }
        }
    }
}
