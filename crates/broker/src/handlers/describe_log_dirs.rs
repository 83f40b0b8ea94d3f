//! DescribeLogDirs (KIP-113): what each partition takes, in the one place there is.

use std::collections::BTreeMap;
use std::sync::Arc;

use waybill_control::Topic;
use waybill_protocol_gen::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use waybill_protocol_gen::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use waybill_security::{Authorized, Operation};

use super::errors::denied;
use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// The handler.
pub struct DescribeLogDirs;

impl Handler for DescribeLogDirs {
    type Request = DescribeLogDirsRequest;

    fn authorise(
        broker: &Broker,
        call: &Call,
        request: DescribeLogDirsRequest,
    ) -> Result<Authorized<DescribeLogDirsRequest>, Box<DescribeLogDirsResponse>> {
        broker.gate.require_cluster(&call.context, Operation::Describe, request).map_err(|refused| {
            // v3 has the error at the top; older versions say it with an empty list (KAFKA-14045).
            let error_code = denied(refused).code();
            Box::new(DescribeLogDirsResponse { error_code, ..DescribeLogDirsResponse::default() })
        })
    }

    async fn handle(
        broker: Arc<Broker>,
        _: Call,
        request: Authorized<DescribeLogDirsRequest>,
    ) -> DescribeLogDirsResponse {
        let request = request.into_inner();
        let image = broker.controller.image();
        let mut rows: BTreeMap<Arc<str>, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
        let mut add = |topic: &Topic, wanted: Option<&[i32]>| {
            for id in topic.partition_ids() {
                let index = id.partition.get();
                if wanted.is_some_and(|wanted| !wanted.contains(&index)) {
                    continue;
                }
                if let Some(log) = broker.engine.partition(&id) {
                    rows.entry(Arc::clone(&topic.name)).or_default().push(DescribeLogDirsPartition {
                        partition_index: index,
                        partition_size: i64::try_from(log.size_bytes()).unwrap_or(i64::MAX),
                        ..DescribeLogDirsPartition::default()
                    });
                }
            }
        };
        match &request.topics {
            None => image.topics().for_each(|topic| add(topic, None)),
            Some(topics) => {
                for asked in topics {
                    if let Some(topic) = image.topic(&asked.topic) {
                        add(topic, Some(&asked.partitions));
                    }
                }
            }
        }
        let topics = rows.into_iter().map(|(name, partitions)| DescribeLogDirsTopic {
            name: name.into(),
            partitions,
            ..DescribeLogDirsTopic::default()
        });
        DescribeLogDirsResponse {
            results: vec![DescribeLogDirsResult {
                log_dir: broker.config.log_dir.as_str().into(),
                topics: topics.collect(),
                ..DescribeLogDirsResult::default()
            }],
            ..DescribeLogDirsResponse::default()
        }
    }

    fn throttle(response: &mut DescribeLogDirsResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}
