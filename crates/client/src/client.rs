//! A cluster's client: connections by broker, metadata, routing.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use waybill_protocol::error_code::ErrorCode;
use waybill_protocol_gen::messages::find_coordinator_request::FindCoordinatorRequest;
use waybill_protocol_gen::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use waybill_protocol_gen::{ApiKey, Request};

use crate::config::{ClientConfig, Endpoint, Env};
use crate::connection::Connection;
use crate::error::{ApiError, ClientError};
use crate::metadata::Metadata;
use crate::retry::Attempts;

/// Who is to answer a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// Whoever is there.
    Any,
    /// This broker.
    Broker(i32),
    /// The controller; whoever is there when none is known, which forwards it.
    Controller,
    /// The leader of a partition.
    Leader(&'a str, i32),
    /// The coordinator of a group.
    Group(&'a str),
}

/// A client of one cluster. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    env: Env,
    config: Arc<ClientConfig>,
    bootstrap: Vec<Endpoint>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connections: HashMap<Endpoint, Arc<Connection>>,
    /// What was learnt last; topics accumulate until something turns out to be wrong.
    metadata: Option<Metadata>,
    coordinators: HashMap<String, Endpoint>,
    /// Every broker of the last answer, kept when routes are forgotten: the way back in when bootstrap is gone.
    seen: Vec<Endpoint>,
}

impl Client {
    /// A client that will reach the cluster through any of `bootstrap`. Nothing is connected yet.
    pub fn new(env: Env, config: ClientConfig, bootstrap: Vec<Endpoint>) -> Self {
        let state = Mutex::default();
        Self { inner: Arc::new(Inner { env, config: Arc::new(config), bootstrap, state }) }
    }

    /// The client's settings.
    pub fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    /// What the client has from its machine.
    pub fn env(&self) -> &Env {
        &self.inner.env
    }

    /// Starts the time of an operation.
    pub fn attempts(&self) -> Attempts {
        Attempts::start(&self.inner.env.clock, &self.inner.env.entropy, &self.inner.config)
    }

    /// Forgets leaders, coordinators and the controller: something said that one of them has moved.
    pub fn forget_routes(&self) {
        let mut state = self.inner.state.lock();
        state.metadata = None;
        state.coordinators.clear();
    }

    /// Sends one request where it belongs and reads its answer; again while that may help. `build` makes the request
    /// for the version that was agreed on, the newest up to `cap`; `read` finds the broker's error in the answer.
    /// `what` says in words what is asked for.
    ///
    /// # Errors
    /// As [`Connection::call`]; [`ClientError::Refused`] with what `read` found.
    pub async fn ask<R: Request, T>(
        &self,
        what: &str,
        route: Route<'_>,
        cap: i16,
        build: impl Fn(i16) -> R + Send + Sync,
        read: impl Fn(R::Response) -> Result<T, ApiError> + Send + Sync,
    ) -> Result<T, ClientError> {
        let mut attempts = self.attempts();
        loop {
            let result = match self.request_once(route, cap, &build).await {
                Ok(response) => read(response).map_err(|error| ClientError::refused(what, error)),
                Err(error) => Err(error),
            };
            match result {
                Ok(value) => return Ok(value),
                Err(error) => {
                    self.forget_routes();
                    attempts.again(error).await?;
                }
            }
        }
    }

    /// Sends one request where it belongs, once. Errors inside the answer are the caller's to find.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn request_once<R: Request>(
        &self,
        route: Route<'_>,
        cap: i16,
        build: impl Fn(i16) -> R + Send + Sync,
    ) -> Result<R::Response, ClientError> {
        let connection = self.route(route).await?;
        let version = connection.negotiate::<R>(cap)?;
        connection.call(build(version), version).await
    }

    /// A connection to who answers for `route`.
    ///
    /// # Errors
    /// [`ClientError::Connect`]; [`ClientError::Refused`] for a topic or group that has nobody to answer for it.
    pub async fn route(&self, route: Route<'_>) -> Result<Arc<Connection>, ClientError> {
        match route {
            Route::Any => self.any().await,
            Route::Broker(id) => self.broker(id).await,
            Route::Controller => {
                let metadata = self.brokers().await?;
                match metadata.brokers.get(&metadata.controller_id) {
                    Some(controller) => self.connect(&controller.endpoint).await,
                    None => self.any().await,
                }
            }
            Route::Leader(topic, partition) => self.leader(topic, partition).await,
            Route::Group(group) => {
                let endpoint = self.coordinator(group).await?;
                self.connect(&endpoint).await
            }
        }
    }

    /// Asks the cluster about `topics` (`None` for all of them) and remembers the answer. Topics are not created by
    /// asking.
    ///
    /// # Errors
    /// As [`Connection::call`]; a topic's own error stands at the topic.
    pub async fn metadata(&self, topics: Option<&[&str]>) -> Result<Metadata, ClientError> {
        let build = |_version| MetadataRequest {
            topics: topics.map(|names| {
                let topic = |name: &&str| MetadataRequestTopic {
                    name: Some((*name).into()),
                    ..MetadataRequestTopic::default()
                };
                names.iter().map(topic).collect()
            }),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let response = self.on_any(build).await?;
        ApiError::check(response.error_code, None)
            .map_err(|error| ClientError::refused("asking for metadata", error))?;
        let metadata = Metadata::from_response(response);
        self.remember(&metadata);
        Ok(metadata)
    }

    fn remember(&self, fresh: &Metadata) {
        let mut state = self.inner.state.lock();
        state.seen = fresh.brokers.values().map(|broker| broker.endpoint.clone()).collect();
        let mut merged = fresh.clone();
        if let Some(known) = state.metadata.take() {
            for (name, topic) in known.topics {
                merged.topics.entry(name).or_insert(topic);
            }
        }
        state.metadata = Some(merged);
    }

    fn known(&self) -> Option<Metadata> {
        self.inner.state.lock().metadata.clone()
    }

    /// The cluster's brokers, asked for when they are not known yet.
    async fn brokers(&self) -> Result<Metadata, ClientError> {
        match self.known() {
            Some(metadata) => Ok(metadata),
            None => self.metadata(Some(&[])).await,
        }
    }

    /// A connection to the broker of this id.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with BROKER_NOT_AVAILABLE when the cluster has no such broker.
    pub async fn broker(&self, id: i32) -> Result<Arc<Connection>, ClientError> {
        let metadata = self.brokers().await?;
        match metadata.brokers.get(&id) {
            Some(broker) => self.connect(&broker.endpoint).await,
            None => Err(ClientError::refused(format!("broker {id}"), ErrorCode::BrokerNotAvailable.into())),
        }
    }

    async fn leader(&self, topic: &str, partition: i32) -> Result<Arc<Connection>, ClientError> {
        if let Some(leader) = self.known().as_ref().and_then(|known| known.leader(topic, partition)) {
            return self.connect(&leader.endpoint).await;
        }
        let metadata = self.metadata(Some(&[topic])).await?;
        if let Some(leader) = metadata.leader(topic, partition) {
            return self.connect(&leader.endpoint).await;
        }
        let error = match metadata.topics.get(topic) {
            Some(Ok(info)) if info.partitions.contains_key(&partition) => {
                ErrorCode::LeaderNotAvailable.into()
            }
            Some(Err(error)) => error.clone(),
            _ => ErrorCode::UnknownTopicOrPartition.into(),
        };
        Err(ClientError::refused(format!("partition {topic}-{partition}"), error))
    }

    /// Where the coordinator of `group` listens.
    async fn coordinator(&self, group: &str) -> Result<Endpoint, ClientError> {
        if let Some(endpoint) = self.inner.state.lock().coordinators.get(group) {
            return Ok(endpoint.clone());
        }
        let build = |version| {
            let mut request = FindCoordinatorRequest { key_type: 0, ..FindCoordinatorRequest::default() };
            if version >= 4 {
                request.coordinator_keys = vec![group.into()];
            } else {
                request.key = group.into();
            }
            request
        };
        let response = self.on_any(build).await?;
        let what = || format!("looking for the coordinator of group '{group}'");
        let (code, message, host, port) = match response.coordinators.first() {
            Some(found) => (found.error_code, found.error_message.as_ref(), &found.host, found.port),
            None => (response.error_code, response.error_message.as_ref(), &response.host, response.port),
        };
        ApiError::check(code, message).map_err(|error| ClientError::refused(what(), error))?;
        let port = u16::try_from(port)
            .map_err(|_| ClientError::Missing { api: ApiKey::FindCoordinator, what: "a port".to_owned() })?;
        let endpoint = Endpoint { host: host.to_string(), port };
        self.inner.state.lock().coordinators.insert(group.to_owned(), endpoint.clone());
        Ok(endpoint)
    }

    /// Sends a request to any broker, to the next one where one can not be reached.
    async fn on_any<R: Request>(&self, build: impl Fn(i16) -> R) -> Result<R::Response, ClientError> {
        let connection = self.any().await?;
        let version = connection.negotiate::<R>(i16::MAX)?;
        connection.call(build(version), version).await
    }

    /// A connection to any broker: one that is open, else the first that can be reached. A cluster that was never
    /// reached is given up at once, because waiting rarely mends a wrong address; one that was is worth waiting for.
    async fn any(&self) -> Result<Arc<Connection>, ClientError> {
        let (candidates, known) = {
            let state = self.inner.state.lock();
            if let Some(open) = state.connections.values().find(|connection| !connection.is_closed()) {
                return Ok(Arc::clone(open));
            }
            let candidates: Vec<Endpoint> = self.inner.bootstrap.iter().chain(&state.seen).cloned().collect();
            (candidates, !state.seen.is_empty())
        };
        let mut failures = Vec::new();
        for endpoint in &candidates {
            match self.connect(endpoint).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failures.push(error),
            }
        }
        match failures.pop() {
            Some(error) if known => Err(error),
            last => {
                let all: Vec<_> = failures.iter().chain(&last).map(ToString::to_string).collect();
                Err(ClientError::Unreachable { tried: all.join("; ") })
            }
        }
    }

    /// The connection to an endpoint, made when there is none. Two callers at once may make two; one is kept.
    async fn connect(&self, endpoint: &Endpoint) -> Result<Arc<Connection>, ClientError> {
        if let Some(open) = self.open_connection(endpoint) {
            return Ok(open);
        }
        let fresh = Connection::open(&self.inner.env, &self.inner.config, endpoint.clone()).await?;
        if let Some(open) = self.open_connection(endpoint) {
            return Ok(open);
        }
        let fresh = Arc::new(fresh);
        self.inner.state.lock().connections.insert(endpoint.clone(), Arc::clone(&fresh));
        Ok(fresh)
    }

    fn open_connection(&self, endpoint: &Endpoint) -> Option<Arc<Connection>> {
        let mut state = self.inner.state.lock();
        state.connections.retain(|_, connection| !connection.is_closed());
        state.connections.get(endpoint).map(Arc::clone)
    }
}
