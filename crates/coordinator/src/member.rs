//! A member of a classic group.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::record::MemberValue;
use crate::request::Protocol;
use crate::step::RequestId;

/// What is known of a member.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: Arc<str>,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) assignment: Bytes,
    /// The JoinGroup that waits for the join phase to end.
    pub(crate) join: Option<RequestId>,
    /// The SyncGroup that waits for the leader.
    pub(crate) sync: Option<RequestId>,
    /// Not yet through its first join: its session is that of its parked request.
    pub(crate) is_new: bool,
}

impl Member {
    /// Whether the member needs not send heartbeats, because a request of its own is parked.
    pub(crate) fn waits(&self) -> bool {
        !self.is_new && (self.join.is_some() || self.sync.is_some())
    }

    /// The subscription under `protocol`, empty when the member does not know it.
    pub(crate) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let known = self.protocols.iter().find(|offered| Some(offered.name.as_str()) == protocol);
        known.map(|offered| offered.metadata.clone()).unwrap_or_default()
    }

    /// The first of the member's protocols that is among `candidates`.
    pub(crate) fn vote<'a>(&'a self, candidates: &BTreeSet<&str>) -> Option<&'a str> {
        self.protocols.iter().map(|offered| offered.name.as_str()).find(|name| candidates.contains(name))
    }

    pub(crate) fn value(&self, protocol: Option<&str>) -> MemberValue {
        MemberValue {
            member_id: self.id.to_string(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: to_ms(self.rebalance_timeout),
            session_timeout_ms: to_ms(self.session_timeout),
            subscription: self.metadata(protocol),
            assignment: self.assignment.clone(),
        }
    }

    pub(crate) fn from_value(value: MemberValue, protocol_type: &str, protocol: Option<&str>) -> Self {
        let session_timeout = from_ms(value.session_timeout_ms);
        let rebalance_timeout = if value.rebalance_timeout_ms == -1 {
            session_timeout
        } else {
            from_ms(value.rebalance_timeout_ms)
        };
        let name = protocol.unwrap_or_default().to_owned();
        Self {
            id: Arc::from(value.member_id),
            instance_id: value.instance_id,
            client_id: value.client_id,
            client_host: value.client_host,
            session_timeout,
            rebalance_timeout,
            protocol_type: protocol_type.to_owned(),
            protocols: vec![Protocol { name, metadata: value.subscription }],
            assignment: value.assignment,
            join: None,
            sync: None,
            is_new: false,
        }
    }
}

/// Bytes of a list of protocols.
pub(crate) fn protocol_bytes(protocols: &[Protocol]) -> usize {
    protocols.iter().map(|protocol| protocol.name.len() + protocol.metadata.len()).sum()
}

fn to_ms(span: Duration) -> i32 {
    i32::try_from(span.as_millis()).unwrap_or(i32::MAX)
}

fn from_ms(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
