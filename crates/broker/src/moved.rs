//! KIP-951: who leads a partition and where that one is, told beside an error that means "not this one, or not any more".

use waybill_protocol_gen::messages::{fetch_response, produce_response};
use waybill_types::TopicPartition;

use crate::broker::Broker;
use crate::handler::Call;

/// The leader of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leader {
    node: i32,
    epoch: i32,
}

/// Where a leader is, as a client of the call's listener reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaderAddress {
    node: i32,
    host: String,
    port: u16,
    rack: Option<String>,
}

impl Broker {
    /// Who leads a partition.
    pub(crate) fn leader(&self, id: &TopicPartition) -> Leader {
        Leader { node: self.controller.image().node.get(), epoch: self.leader_epoch(id) }
    }

    /// Where the leaders of this broker's partitions are.
    pub(crate) fn leader_address(&self, call: &Call) -> LeaderAddress {
        let endpoint = self.endpoint(&call.context.listener);
        LeaderAddress {
            node: self.controller.image().node.get(),
            host: endpoint.host.clone(),
            port: endpoint.port,
            rack: self.config.rack.clone(),
        }
    }
}

/// The two responses have the same facts in types of their own.
macro_rules! told_in {
    ($response:ident) => {
        impl From<Leader> for $response::LeaderIdAndEpoch {
            fn from(leader: Leader) -> Self {
                Self { leader_id: leader.node, leader_epoch: leader.epoch, ..Self::default() }
            }
        }

        impl From<LeaderAddress> for $response::NodeEndpoint {
            fn from(leader: LeaderAddress) -> Self {
                Self {
                    node_id: leader.node,
                    host: leader.host.into(),
                    port: i32::from(leader.port),
                    rack: leader.rack.map(Into::into),
                    ..Self::default()
                }
            }
        }
    };
}

told_in!(produce_response);
told_in!(fetch_response);
