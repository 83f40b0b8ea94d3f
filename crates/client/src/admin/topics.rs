//! Topics: making, growing, deleting, describing them.

use waybill_protocol::error_code::ErrorCode;
use waybill_protocol::wire::Uuid;
use waybill_protocol_gen::messages::create_partitions_request::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use waybill_protocol_gen::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use waybill_protocol_gen::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};

use super::{left_out, millis};
use crate::client::{Client, Route};
use crate::error::{ApiError, ClientError};
use crate::metadata::TopicInfo;

/// A topic to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; `None` for the broker's default.
    pub partitions: Option<i32>,
    /// How many replicas; `None` for the broker's default.
    pub replication_factor: Option<i16>,
    /// The brokers of each partition in order, instead of the two numbers; empty for the broker's choice.
    pub assignment: Vec<Vec<i32>>,
    /// Its configuration.
    pub configs: Vec<(String, String)>,
}

/// A topic that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id, zero where the broker does not tell.
    pub id: Uuid,
    /// How many partitions it has, where the broker tells.
    pub partitions: Option<i32>,
    /// How many replicas each has, where the broker tells.
    pub replication_factor: Option<i16>,
}

impl NewTopic {
    fn to_request(&self) -> CreatableTopic {
        let assigned = !self.assignment.is_empty();
        let assignment = |(index, brokers): (usize, &Vec<i32>)| CreatableReplicaAssignment {
            partition_index: i32::try_from(index).unwrap_or(i32::MAX),
            broker_ids: brokers.clone(),
            ..CreatableReplicaAssignment::default()
        };
        CreatableTopic {
            name: self.name.as_str().into(),
            num_partitions: self.partitions.filter(|_| !assigned).unwrap_or(-1),
            replication_factor: self.replication_factor.filter(|_| !assigned).unwrap_or(-1),
            assignments: self.assignment.iter().enumerate().map(assignment).collect(),
            configs: self
                .configs
                .iter()
                .map(|(name, value)| CreatableTopicConfig {
                    name: name.as_str().into(),
                    value: Some(value.as_str().into()),
                    ..CreatableTopicConfig::default()
                })
                .collect(),
            ..CreatableTopic::default()
        }
    }
}

impl Client {
    /// Makes a topic, or only says whether it could be made.
    ///
    /// # Errors
    /// [`ClientError::Refused`], as with TOPIC_ALREADY_EXISTS or INVALID_CONFIG. After a time-out or a broken
    /// connection the call is repeated, so that TOPIC_ALREADY_EXISTS may speak of the topic that the first try made.
    pub async fn create_topic(
        &self,
        topic: &NewTopic,
        validate_only: bool,
    ) -> Result<CreatedTopic, ClientError> {
        let timeout_ms = millis(self.config().request_timeout);
        let build = |_version| CreateTopicsRequest {
            topics: vec![topic.to_request()],
            timeout_ms,
            validate_only,
            ..CreateTopicsRequest::default()
        };
        let what = format!("creating topic '{}'", topic.name);
        let created = self
            .ask(&what, Route::Controller, i16::MAX, build, |response| {
                let result = response.topics.into_iter().next().ok_or_else(left_out)?;
                ApiError::check(result.error_code, result.error_message.as_ref())?;
                Ok(CreatedTopic {
                    id: result.topic_id,
                    partitions: Some(result.num_partitions).filter(|count| *count >= 0),
                    replication_factor: Some(result.replication_factor).filter(|factor| *factor >= 0),
                })
            })
            .await?;
        self.forget_routes();
        Ok(created)
    }

    /// Deletes a topic by name.
    ///
    /// # Errors
    /// [`ClientError::Refused`], as with UNKNOWN_TOPIC_OR_PARTITION.
    pub async fn delete_topic(&self, name: &str) -> Result<(), ClientError> {
        let timeout_ms = millis(self.config().request_timeout);
        let build = |version| {
            let mut request = DeleteTopicsRequest { timeout_ms, ..DeleteTopicsRequest::default() };
            if version >= 6 {
                let topic = DeleteTopicState { name: Some(name.into()), ..DeleteTopicState::default() };
                request.topics = vec![topic];
            } else {
                request.topic_names = vec![name.into()];
            }
            request
        };
        let what = format!("deleting topic '{name}'");
        self.ask_about_topic(
            &what,
            build,
            |response: waybill_protocol_gen::messages::DeleteTopicsResponse| {
                let result = response.responses.into_iter().next().ok_or_else(left_out)?;
                ApiError::check(result.error_code, result.error_message.as_ref())
            },
        )
        .await?;
        self.forget_routes();
        Ok(())
    }

    /// Gives a topic more partitions, so that it has `count`, or only says whether it could.
    ///
    /// # Errors
    /// [`ClientError::Refused`], as with INVALID_PARTITIONS when it has as many or more.
    pub async fn create_partitions(
        &self,
        name: &str,
        count: i32,
        validate_only: bool,
    ) -> Result<(), ClientError> {
        let timeout_ms = millis(self.config().request_timeout);
        let build = |_version| {
            let topic = CreatePartitionsTopic {
                name: name.into(),
                count,
                assignments: None,
                ..CreatePartitionsTopic::default()
            };
            CreatePartitionsRequest {
                topics: vec![topic],
                timeout_ms,
                validate_only,
                ..CreatePartitionsRequest::default()
            }
        };
        let what = format!("growing topic '{name}' to {count} partitions");
        self.ask_about_topic(
            &what,
            build,
            |response: waybill_protocol_gen::messages::CreatePartitionsResponse| {
                let result = response.results.into_iter().next().ok_or_else(left_out)?;
                ApiError::check(result.error_code, result.error_message.as_ref())
            },
        )
        .await?;
        self.forget_routes();
        Ok(())
    }

    /// Asks the controller about a topic that should exist: that it is unknown is final, although the code says that
    /// another broker may soon know it.
    async fn ask_about_topic<R: waybill_protocol_gen::Request>(
        &self,
        what: &str,
        build: impl Fn(i16) -> R + Send + Sync,
        read: impl Fn(R::Response) -> Result<(), ApiError> + Send + Sync,
    ) -> Result<(), ClientError> {
        let outcome = self
            .ask(what, Route::Controller, i16::MAX, build, |response| match read(response) {
                Err(error) if error.code == ErrorCode::UnknownTopicOrPartition => Ok(Err(error)),
                other => other.map(Ok),
            })
            .await?;
        outcome.map_err(|error| ClientError::refused(what, error))
    }

    /// Every topic that may be seen, by name. Topics that can not be told are left out.
    ///
    /// # Errors
    /// As [`Client::metadata`].
    pub async fn list_topics(&self) -> Result<Vec<TopicInfo>, ClientError> {
        let metadata = self.metadata_again(None).await?;
        Ok(metadata.topics.into_values().filter_map(Result::ok).collect())
    }

    /// One topic.
    ///
    /// # Errors
    /// [`ClientError::Refused`], as with UNKNOWN_TOPIC_OR_PARTITION.
    pub async fn describe_topic(&self, name: &str) -> Result<TopicInfo, ClientError> {
        let mut metadata = self.metadata_again(Some(&[name])).await?;
        let topic = metadata.topics.remove(name).unwrap_or_else(|| Err(left_out()));
        topic.map_err(|error| ClientError::refused(format!("topic '{name}'"), error))
    }

    /// [`Client::metadata`], again while that may help.
    async fn metadata_again(&self, topics: Option<&[&str]>) -> Result<crate::Metadata, ClientError> {
        let mut attempts = self.attempts();
        loop {
            match self.metadata(topics).await {
                Ok(metadata) => return Ok(metadata),
                Err(error) => attempts.again(error).await?,
            }
        }
    }
}
