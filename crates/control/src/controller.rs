//! The owner of topics and configuration: one task decides, commits, then applies to the image.
//!
//! Life cycle: opened once the log engine has registered this incarnation; ends with the process. A commit that fails
//! or whose outcome is unknown ends it: nothing more is decided, and the supervisor stops the process.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};
use waybill_meta::records::{BrokerConfigsRecord, ProducerBlockRecord, TopicNameRecord, TopicRecord};
use waybill_meta::{Batch, MetaError, Record, RecordError, SharedMeta, keys};
use waybill_rt::entropy::fresh_topic_id;
use waybill_rt::{SharedClock, SharedEntropy, Supervisor};
use waybill_types::{ProducerId, TopicId};

use crate::alter::{Change, Scope, decide_alter, decide_replace};
use crate::configs::Level;
use crate::create::{NewTopic, TopicFault, decide_create, decide_grow};
use crate::image::{Image, Topic};
use crate::settings::TopicSettings;

/// Producer ids reserved by one durable commit.
const PRODUCER_ID_BLOCK: i64 = 1000;

/// Commands that may wait for the owner.
const QUEUE: usize = 256;

/// Why a command did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ControllerError {
    /// The request is at fault.
    #[error(transparent)]
    Fault(#[from] TopicFault),
    /// The disk is full: nothing was changed, and the same may be tried again.
    #[error("{0}")]
    NoSpace(Arc<str>),
    /// The commit failed, or this controller has ended.
    #[error("metadata can not be changed: {0}")]
    Unavailable(Arc<str>),
}

impl From<MetaError> for ControllerError {
    fn from(error: MetaError) -> Self {
        let why = error.to_string().into();
        if matches!(error, MetaError::NoSpace(_)) { Self::NoSpace(why) } else { Self::Unavailable(why) }
    }
}

impl From<RecordError> for ControllerError {
    fn from(error: RecordError) -> Self {
        Self::Unavailable(error.to_string().into())
    }
}

/// Who holds the partitions: adds its own records to the commit that makes or deletes them, and hears when that
/// commit is durable.
pub trait PartitionHost: Send + Sync + 'static {
    /// Adds the records of new partitions to the commit that makes them.
    fn contribute_new(&self, batch: &mut Batch, topic: TopicId, partitions: Range<i32>);

    /// New partitions, or a topic's new settings, are durable.
    fn applied(&self, topic: &Topic, new_partitions: Range<i32>);

    /// A topic's deletion is durable: its partitions end. Repeated at the next start if this does not finish.
    fn removed<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, Result<(), MetaError>>;
}

/// What the controller works with.
pub struct ControllerDeps {
    /// The metadata store.
    pub meta: SharedMeta,
    /// Who holds the partitions.
    pub host: Arc<dyn PartitionHost>,
    /// Time.
    pub clock: SharedClock,
    /// Chance, for topic ids.
    pub entropy: SharedEntropy,
    /// Where the owner task runs.
    pub tasks: Supervisor,
}

type Job = Box<dyn for<'a> FnOnce(&'a mut Owner) -> BoxFuture<'a, ()> + Send>;

/// The handle that handlers use. Cheap to clone.
#[derive(Clone)]
pub struct Controller {
    image: Arc<RwLock<Arc<Image>>>,
    jobs: mpsc::Sender<Job>,
}

impl std::fmt::Debug for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controller").finish_non_exhaustive()
    }
}

impl Controller {
    /// Loads the topics, tells the host of each, and starts the owner. `image` carries cluster, node and the
    /// broker's own configuration.
    ///
    /// # Errors
    /// When the metadata can not be read.
    pub async fn open(deps: ControllerDeps, mut image: Image) -> Result<Self, ControllerError> {
        for level in [Level::Node, Level::AllNodes] {
            if let Some(value) = deps.meta.get(&broker_key(&image, level)).await? {
                image.broker_configs.set(level, BrokerConfigsRecord::decode(&value)?.configs);
            }
        }
        for (_, value) in deps.meta.scan(keys::topics()).await? {
            let record = TopicRecord::decode(&value)?;
            let settings = TopicSettings::read(&record.configs, &image.broker_configs);
            let topic = Topic {
                name: record.name.as_str().into(),
                id: record.id,
                partitions: record.partitions,
                replication_factor: record.replication_factor,
                created_at: record.created_at,
                configs: record.configs,
                settings,
            };
            deps.host.applied(&topic, 0..0);
            image.put(topic);
        }
        let image = Arc::new(RwLock::new(Arc::new(image)));
        let (jobs, queue) = mpsc::channel(QUEUE);
        let tasks = deps.tasks.clone();
        let owner = Owner { deps, image: Arc::clone(&image), producer_ids: 0..0, ended: None };
        let stopping = tasks.stopping();
        tasks.spawn("controller", owner.run(queue, stopping));
        Ok(Self { image, jobs })
    }

    /// The cluster as of the last durable commit.
    #[must_use]
    pub fn image(&self) -> Arc<Image> {
        Arc::clone(&self.image.read())
    }

    async fn ask<T: Send + 'static>(
        &self,
        job: impl for<'a> FnOnce(&'a mut Owner) -> BoxFuture<'a, Result<T, ControllerError>> + Send + 'static,
    ) -> Result<T, ControllerError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |owner| {
            Box::pin(async move {
                let result = match &owner.ended {
                    Some(why) => Err(ControllerError::Unavailable(Arc::clone(why))),
                    None => job(owner).await,
                };
                let _ = answer.send(result);
            })
        });
        let gone = || ControllerError::Unavailable("the broker is stopping".into());
        self.jobs.send(job).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Makes topics in one commit; each has its own outcome. With `validate_only` nothing is made.
    ///
    /// # Errors
    /// When the commit fails: then none was made.
    pub async fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> Result<Vec<Result<Arc<Topic>, TopicFault>>, ControllerError> {
        self.ask(move |owner| Box::pin(async move { owner.create(topics, validate_only).await })).await
    }

    /// Deletes topics in one commit; each has its own outcome.
    ///
    /// # Errors
    /// When the commit fails.
    pub async fn delete_topics(
        &self,
        topics: Vec<TopicId>,
    ) -> Result<Vec<Result<(), TopicFault>>, ControllerError> {
        self.ask(move |owner| Box::pin(async move { owner.delete(topics).await })).await
    }

    /// Grows a topic to `count` partitions.
    ///
    /// # Errors
    /// When the request is at fault or the commit fails.
    pub async fn create_partitions(
        &self,
        name: String,
        count: i32,
        assignments: Option<Vec<Vec<i32>>>,
        validate_only: bool,
    ) -> Result<(), ControllerError> {
        self.ask(move |owner| {
            Box::pin(async move { owner.grow(&name, count, assignments.as_deref(), validate_only).await })
        })
        .await
    }

    /// Changes some of a topic's configuration (KIP-339).
    ///
    /// # Errors
    /// When the request is at fault or the commit fails.
    pub async fn alter_topic(
        &self,
        name: String,
        changes: Vec<(String, Change)>,
        validate_only: bool,
    ) -> Result<(), ControllerError> {
        self.ask(move |owner| {
            Box::pin(async move {
                let topic = owner.topic(&name)?;
                let configs = decide_alter(Scope::Topic, &topic.configs, &changes)?;
                owner.configure(&topic, configs, validate_only).await
            })
        })
        .await
    }

    /// Replaces all of a topic's configuration, as AlterConfigs does.
    ///
    /// # Errors
    /// When the request is at fault or the commit fails.
    pub async fn replace_topic_configs(
        &self,
        name: String,
        configs: Vec<(String, Option<String>)>,
        validate_only: bool,
    ) -> Result<(), ControllerError> {
        self.ask(move |owner| {
            Box::pin(async move {
                let topic = owner.topic(&name)?;
                let configs = decide_replace(Scope::Topic, &configs)?;
                owner.configure(&topic, configs, validate_only).await
            })
        })
        .await
    }

    /// Changes the broker's own configuration, of this node or of all (KIP-226): by some keys, or all of it.
    ///
    /// # Errors
    /// When the request is at fault or the commit fails.
    pub async fn alter_broker(
        &self,
        level: Level,
        changes: BrokerChange,
        validate_only: bool,
    ) -> Result<(), ControllerError> {
        self.ask(move |owner| {
            Box::pin(async move {
                let configs = match changes {
                    BrokerChange::Some(changes) => {
                        decide_alter(Scope::Broker, owner.now().broker_configs.at(level), &changes)?
                    }
                    BrokerChange::All(configs) => decide_replace(Scope::Broker, &configs)?,
                };
                owner.configure_broker(level, configs, validate_only).await
            })
        })
        .await
    }

    /// A producer id that was never given before (KIP-98).
    ///
    /// # Errors
    /// When the commit that reserves the next block fails.
    pub async fn next_producer_id(&self) -> Result<ProducerId, ControllerError> {
        self.ask(|owner| Box::pin(owner.next_producer_id())).await
    }
}

/// How a broker's configuration is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerChange {
    /// Some keys, as IncrementalAlterConfigs does.
    Some(Vec<(String, Change)>),
    /// All of them, as AlterConfigs does.
    All(Vec<(String, Option<String>)>),
}

/// Where what was altered at a level is kept.
fn broker_key(image: &Image, level: Level) -> Bytes {
    keys::broker_configs((level == Level::Node).then_some(image.node))
}

/// The one who changes metadata.
struct Owner {
    deps: ControllerDeps,
    image: Arc<RwLock<Arc<Image>>>,
    producer_ids: Range<i64>,
    ended: Option<Arc<str>>,
}

impl Owner {
    async fn run(
        mut self,
        mut queue: mpsc::Receiver<Job>,
        stopping: tokio_util::sync::CancellationToken,
    ) -> Result<(), String> {
        loop {
            let job = tokio::select! {
                biased;
                job = queue.recv() => job,
                () = stopping.cancelled() => None,
            };
            let Some(job) = job else { return Ok(()) };
            job(&mut self).await;
            if let Some(why) = &self.ended {
                return Err(why.to_string());
            }
        }
    }

    fn now(&self) -> Arc<Image> {
        Arc::clone(&self.image.read())
    }

    fn topic(&self, name: &str) -> Result<Arc<Topic>, ControllerError> {
        Ok(Arc::clone(self.now().topic(name).ok_or(TopicFault::Unknown)?))
    }

    async fn commit(&mut self, batch: Batch) -> Result<(), ControllerError> {
        match self.deps.meta.commit(batch).await {
            Ok(_) => Ok(()),
            Err(error @ MetaError::NoSpace(_)) => Err(error.into()),
            Err(error) => {
                // Conflict is as final as failure here: nobody else may write what this task owns.
                self.ended = Some(error.to_string().into());
                Err(error.into())
            }
        }
    }

    fn publish(&self, change: impl FnOnce(&mut Image)) {
        let mut next = Image::clone(&self.image.read());
        change(&mut next);
        *self.image.write() = Arc::new(next);
    }

    async fn create(
        &mut self,
        topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> Result<Vec<Result<Arc<Topic>, TopicFault>>, ControllerError> {
        let mut next = Image::clone(&self.now());
        let mut batch = Batch::default();
        let mut outcomes = Vec::with_capacity(topics.len());
        for new in &topics {
            let id = fresh_topic_id(&*self.deps.entropy);
            let outcome = decide_create(&next, new, id, self.deps.clock.now());
            if let Ok(topic) = &outcome {
                batch.require(keys::topic_name(&topic.name), None);
                batch.put(keys::topic_name(&topic.name), TopicNameRecord { id }.encode());
                batch.put(keys::topic(id), record(topic).encode());
                self.deps.host.contribute_new(&mut batch, id, 0..topic.partitions);
                next.put(topic.clone());
            }
            outcomes.push(outcome.map(Arc::new));
        }
        if validate_only || batch.is_empty() {
            return Ok(outcomes);
        }
        self.commit(batch).await?;
        for topic in outcomes.iter().flatten() {
            self.deps.host.applied(topic, 0..topic.partitions);
        }
        *self.image.write() = Arc::new(next);
        Ok(outcomes)
    }

    async fn delete(&mut self, ids: Vec<TopicId>) -> Result<Vec<Result<(), TopicFault>>, ControllerError> {
        let image = self.now();
        let mut batch = Batch::default();
        let mut doomed: BTreeMap<TopicId, Arc<Topic>> = BTreeMap::new();
        let mut outcomes = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(topic) = image.topic_by_id(id) else {
                outcomes.push(Err(TopicFault::UnknownId));
                continue;
            };
            if doomed.insert(id, Arc::clone(topic)).is_none() {
                batch.delete(keys::topic_name(&topic.name));
                batch.delete(keys::topic(id));
            }
            outcomes.push(Ok(()));
        }
        if doomed.is_empty() {
            return Ok(outcomes);
        }
        self.commit(batch).await?;
        self.publish(|next| doomed.keys().for_each(|id| next.remove(*id)));
        for topic in doomed.values() {
            if let Err(error) = self.deps.host.removed(topic).await {
                self.ended = Some(error.to_string().into());
                return Err(error.into());
            }
        }
        Ok(outcomes)
    }

    async fn grow(
        &mut self,
        name: &str,
        count: i32,
        assignments: Option<&[Vec<i32>]>,
        validate_only: bool,
    ) -> Result<(), ControllerError> {
        let topic = self.topic(name)?;
        let grown = decide_grow(&self.now(), &topic, count, assignments)?;
        if validate_only {
            return Ok(());
        }
        let new = topic.partitions..grown.partitions;
        let mut batch = Batch::default();
        batch.put(keys::topic(grown.id), record(&grown).encode());
        self.deps.host.contribute_new(&mut batch, grown.id, new.clone());
        self.commit(batch).await?;
        self.deps.host.applied(&grown, new);
        self.publish(|next| next.put(grown));
        Ok(())
    }

    async fn configure(
        &mut self,
        topic: &Topic,
        configs: BTreeMap<String, String>,
        validate_only: bool,
    ) -> Result<(), ControllerError> {
        if validate_only || configs == topic.configs {
            return Ok(());
        }
        let settings = TopicSettings::read(&configs, &self.now().broker_configs);
        let changed = Topic { configs, settings, ..topic.clone() };
        let mut batch = Batch::default();
        batch.put(keys::topic(changed.id), record(&changed).encode());
        self.commit(batch).await?;
        self.deps.host.applied(&changed, 0..0);
        self.publish(|next| next.put(changed));
        Ok(())
    }

    async fn configure_broker(
        &mut self,
        level: Level,
        configs: BTreeMap<String, String>,
        validate_only: bool,
    ) -> Result<(), ControllerError> {
        let image = self.now();
        if validate_only || configs == *image.broker_configs.at(level) {
            return Ok(());
        }
        let mut batch = Batch::default();
        batch.put(broker_key(&image, level), BrokerConfigsRecord { configs: configs.clone() }.encode());
        self.commit(batch).await?;
        let mut next = Image::clone(&image);
        next.broker_configs.set(level, configs);
        for topic in image.topics() {
            let settings = TopicSettings::read(&topic.configs, &next.broker_configs);
            if settings != topic.settings {
                let changed = Topic { settings, ..Topic::clone(topic) };
                self.deps.host.applied(&changed, 0..0);
                next.put(changed);
            }
        }
        *self.image.write() = Arc::new(next);
        Ok(())
    }

    async fn next_producer_id(&mut self) -> Result<ProducerId, ControllerError> {
        if self.producer_ids.is_empty() {
            let known = self.deps.meta.get(&keys::producer_block()).await?;
            let next = match known {
                Some(value) => ProducerBlockRecord::decode(&value)?.next.get(),
                None => 0,
            };
            let end = next.saturating_add(PRODUCER_ID_BLOCK);
            let mut batch = Batch::default();
            batch.put(keys::producer_block(), ProducerBlockRecord { next: ProducerId(end) }.encode());
            self.commit(batch).await?;
            self.producer_ids = next..end;
        }
        let next = self.producer_ids.start;
        self.producer_ids.start += 1;
        Ok(ProducerId(next))
    }
}

fn record(topic: &Topic) -> TopicRecord {
    TopicRecord {
        id: topic.id,
        name: topic.name.to_string(),
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        configs: topic.configs.clone(),
        created_at: topic.created_at,
    }
}
