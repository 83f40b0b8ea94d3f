//! How long a topic takes until each of its partitions answers.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use waybill_rt::RealClock;

use crate::Settings;

const REQUEST: Duration = Duration::from_secs(30);

/// Makes `topic` with `partitions` and waits until each partition tells its end.
pub(crate) fn create(settings: &Settings) -> Result<Value> {
    let topic: String = settings.need("topic")?;
    let partitions: i32 = settings.need("partitions")?;
    let admin: AdminClient<DefaultClientContext> = settings.client(&[])?.create()?;
    let connect = || -> Result<BaseConsumer> {
        let consumer: BaseConsumer = settings.client(&[])?.set("group.id", "bench").create()?;
        consumer.fetch_metadata(None, REQUEST)?;
        Ok(consumer)
    };
    let mut consumer = connect()?;
    let clock = RealClock::shared();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(REQUEST)).request_timeout(Some(REQUEST));
    let began = clock.monotonic();
    let made = runtime.block_on(admin.create_topics([&new], &options))?;
    made.into_iter().next().context("no answer")?.map_err(|(name, code)| anyhow!("create {name}: {code}"))?;
    let answered = clock.monotonic() - began;
    while !usable(&consumer, &topic, partitions) {
        ensure!(clock.monotonic() - began < REQUEST, "not every partition answers");
        // One that was told that the topic is unknown remembers it for longer than brokers need.
        consumer = connect()?;
    }
    let usable = clock.monotonic() - began;
    Ok(json!({ "answered_seconds": answered.as_secs_f64(), "usable_seconds": usable.as_secs_f64() }))
}

fn usable(consumer: &BaseConsumer, topic: &str, partitions: i32) -> bool {
    let mut asked = TopicPartitionList::new();
    for partition in 0..partitions {
        if asked.add_partition_offset(topic, partition, Offset::Offset(0)).is_err() {
            return false;
        }
    }
    let found = consumer.offsets_for_times(asked, REQUEST);
    found.is_ok_and(|list| list.elements().iter().all(|one| one.error().is_ok()))
}
