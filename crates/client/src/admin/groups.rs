//! Groups: listing, describing, deleting them.

use std::collections::BTreeMap;

use waybill_protocol::error_code::ErrorCode;
use waybill_protocol_gen::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use waybill_protocol_gen::messages::delete_groups_request::DeleteGroupsRequest;
use waybill_protocol_gen::messages::describe_groups_request::DescribeGroupsRequest;
use waybill_protocol_gen::messages::list_groups_request::ListGroupsRequest;

use super::group_members::GroupMember;
use super::left_out;
use crate::client::{Client, Route};
use crate::error::{ApiError, ClientError};

/// A group as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// Its id.
    pub id: String,
    /// What its members speak: `consumer`, `connect`, or nothing when only offsets were committed.
    pub protocol_type: String,
    /// Its state, where the broker tells.
    pub state: String,
    /// Its kind (KIP-848): `classic`, `consumer`, `share`, where the broker tells.
    pub kind: String,
}

/// A group with its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its id.
    pub id: String,
    /// Its state, as `Stable`, `Empty`, `Dead`.
    pub state: String,
    /// What its members speak.
    pub protocol_type: String,
    /// How partitions are assigned.
    pub assignor: String,
    /// Its members.
    pub members: Vec<GroupMember>,
}

impl Client {
    /// Every group of every coordinator, by id.
    ///
    /// # Errors
    /// As [`crate::Connection::call`]; a broker that can not be asked fails the whole call, because a list with
    /// groups missing would say that they do not exist.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>, ClientError> {
        let metadata = self.cluster_brokers().await?;
        let mut groups = BTreeMap::new();
        for id in metadata {
            let what = format!("listing the groups of broker {id}");
            let listed = self
                .ask(
                    &what,
                    Route::Broker(id),
                    i16::MAX,
                    |_version| ListGroupsRequest::default(),
                    |response| {
                        ApiError::check(response.error_code, None)?;
                        Ok(response.groups)
                    },
                )
                .await?;
            for group in listed {
                let listing = GroupListing {
                    id: group.group_id.to_string(),
                    protocol_type: group.protocol_type.to_string(),
                    state: group.group_state.to_string(),
                    kind: group.group_type.to_string(),
                };
                groups.insert(listing.id.clone(), listing);
            }
        }
        Ok(groups.into_values().collect())
    }

    /// One group. A group that does not exist is described as `Dead`, as Kafka does, or refused with
    /// GROUP_ID_NOT_FOUND by newer brokers (KIP-1043).
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn describe_group(&self, id: &str) -> Result<GroupDescription, ClientError> {
        match self.describe_modern(id).await {
            Err(ClientError::Unsupported { .. }) => {}
            Err(error) if error.code() == Some(ErrorCode::GroupIdNotFound) => {}
            Err(error) if error.code() == Some(ErrorCode::UnsupportedVersion) => {}
            other => return other,
        }
        let build =
            |_version| DescribeGroupsRequest { groups: vec![id.into()], ..DescribeGroupsRequest::default() };
        self.ask(&format!("describing group '{id}'"), Route::Group(id), i16::MAX, build, |response| {
            let group = response.groups.into_iter().next().ok_or_else(left_out)?;
            ApiError::check(group.error_code, group.error_message.as_ref())?;
            let protocol_type = group.protocol_type.to_string();
            let members = group.members.into_iter();
            Ok(GroupDescription {
                id: group.group_id.to_string(),
                state: group.group_state.to_string(),
                assignor: group.protocol_data.to_string(),
                members: members.map(|member| GroupMember::classic(member, &protocol_type)).collect(),
                protocol_type,
            })
        })
        .await
    }

    /// A group of the protocol of KIP-848.
    async fn describe_modern(&self, id: &str) -> Result<GroupDescription, ClientError> {
        let build = |_version| ConsumerGroupDescribeRequest {
            group_ids: vec![id.into()],
            ..ConsumerGroupDescribeRequest::default()
        };
        self.ask(&format!("describing group '{id}'"), Route::Group(id), i16::MAX, build, |response| {
            let group = response.groups.into_iter().next().ok_or_else(left_out)?;
            ApiError::check(group.error_code, group.error_message.as_ref())?;
            Ok(GroupDescription {
                id: group.group_id.to_string(),
                state: group.group_state.to_string(),
                protocol_type: "consumer".to_owned(),
                assignor: group.assignor_name.to_string(),
                members: group.members.into_iter().map(GroupMember::modern).collect(),
            })
        })
        .await
    }

    /// Deletes a group that has no members, with its offsets.
    ///
    /// # Errors
    /// [`ClientError::Refused`], as with NON_EMPTY_GROUP or GROUP_ID_NOT_FOUND.
    pub async fn delete_group(&self, id: &str) -> Result<(), ClientError> {
        let build = |_version| DeleteGroupsRequest {
            groups_names: vec![id.into()],
            ..DeleteGroupsRequest::default()
        };
        self.ask(&format!("deleting group '{id}'"), Route::Group(id), i16::MAX, build, |response| {
            let result = response.results.into_iter().next().ok_or_else(left_out)?;
            ApiError::check(result.error_code, None)
        })
        .await
    }
}
