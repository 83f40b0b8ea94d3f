//! The scenarios, each with topics and groups of its own.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rdkafka::admin::{AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::FutureRecord;
use rdkafka::topic_partition_list::Offset;

use crate::kit::{
    FIRST_TIME_MS, Kit, NotOffered, PARTITIONS, RECORDS, REQUEST, at, first_error, options, owned, send,
    single, spin, take, value, whole,
};

type Body = fn(&Kit) -> Pin<Box<dyn Future<Output = Result<()>> + '_>>;

type KeyAndValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// Every scenario by name.
pub(crate) const ALL: [(&str, Body); 25] = [
    ("create-topic", |kit| Box::pin(create_topic(kit))),
    ("codec-none", |kit| Box::pin(codec(kit, "none"))),
    ("codec-gzip", |kit| Box::pin(codec(kit, "gzip"))),
    ("codec-snappy", |kit| Box::pin(codec(kit, "snappy"))),
    ("codec-lz4", |kit| Box::pin(codec(kit, "lz4"))),
    ("codec-zstd", |kit| Box::pin(codec(kit, "zstd"))),
    ("idempotent", |kit| Box::pin(idempotent(kit))),
    ("fidelity", |kit| Box::pin(fidelity(kit))),
    ("group-consume", |kit| Box::pin(group_consume(kit))),
    ("commit-resume", |kit| Box::pin(commit_resume(kit))),
    ("reset-earliest", |kit| Box::pin(reset_earliest(kit))),
    ("reset-latest", |kit| Box::pin(reset_latest(kit))),
    ("reset-none", |kit| Box::pin(reset_none(kit))),
    ("reset-duration", |_| Box::pin(async { Err(NotOffered("no such reset").into()) })),
    ("out-of-range", |kit| Box::pin(out_of_range(kit))),
    ("offsets-for-times", |kit| Box::pin(offsets_for_times(kit))),
    ("rebalance-range", |kit| Box::pin(rebalance(kit, "rebalance", "range"))),
    ("rebalance-cooperative", |kit| Box::pin(rebalance(kit, "cooperative", "cooperative-sticky"))),
    ("static-membership", |kit| Box::pin(static_membership(kit))),
    ("admin-topics", |kit| Box::pin(admin_topics(kit))),
    ("admin-partitions", |kit| Box::pin(admin_partitions(kit))),
    ("admin-configs", |kit| Box::pin(admin_configs(kit))),
    ("admin-delete-records", |kit| Box::pin(admin_delete_records(kit))),
    ("admin-groups", |kit| Box::pin(admin_groups(kit))),
    ("recreate", |kit| Box::pin(recreate(kit))),
];

/// Partitions of a topic that have a leader.
fn led(kit: &Kit, topic: &str) -> Result<usize> {
    let metadata = kit.admin.inner().fetch_metadata(Some(topic), REQUEST)?;
    let found = metadata.topics().first().context("no such topic")?;
    Ok(found.partitions().iter().filter(|one| one.leader() >= 0).count())
}

async fn create_topic(kit: &Kit) -> Result<()> {
    let topic = kit.topic("create", PARTITIONS).await?;
    ensure!(led(kit, &topic)? == 3, "a partition without a leader");
    Ok(())
}

async fn codec(kit: &Kit, codec: &str) -> Result<()> {
    let config = [("compression.type", codec)];
    if codec == "zstd" && kit.producer(&config).is_err() {
        return Err(NotOffered("built without zstd").into());
    }
    let topic = kit.topic(&format!("codec-{codec}"), PARTITIONS).await?;
    kit.produce(&topic, RECORDS, &config).await?;
    whole(&kit.read(&topic, PARTITIONS, RECORDS)?)
}

async fn idempotent(kit: &Kit) -> Result<()> {
    let topic = kit.topic("idempotent", PARTITIONS).await?;
    kit.produce(&topic, RECORDS, &[("enable.idempotence", "true"), ("batch.num.messages", "10")]).await?;
    whole(&kit.read(&topic, PARTITIONS, RECORDS)?)
}

async fn fidelity(kit: &Kit) -> Result<()> {
    let topic = kit.topic("fidelity", 1).await?;
    let binary: Vec<u8> = (0..=255).collect();
    let pairs: [(&str, Option<&[u8]>); 4] =
        [("a", Some(b"1")), ("a", Some(b"2")), ("b", None), ("c", Some(b""))];
    let mut headers = OwnedHeaders::new();
    for (key, value) in pairs {
        headers = headers.insert(Header { key, value });
    }
    let sent: [KeyAndValue<'_>; 4] = [
        (None, Some(b"no key")),
        (Some(b"key"), None),
        (Some(b""), Some(b"")),
        (Some(&[0, 255]), Some(&binary)),
    ];
    let producer = kit.producer(&[])?;
    for (number, (key, payload)) in (0..).zip(sent) {
        let mut record = FutureRecord::<[u8], [u8]>::to(&topic).timestamp(FIRST_TIME_MS + number);
        record.key = key;
        record.payload = payload;
        record.headers = (number == 3).then(|| headers.clone());
        send(&producer, record).await?;
    }
    let read = kit.read(&topic, 1, sent.len())?;
    for ((number, want), got) in (0..).zip(sent).zip(&read) {
        ensure!((got.key(), got.payload()) == want, "record {number}: {:?} {:?}", got.key(), got.payload());
        ensure!(got.timestamp().to_millis() == Some(FIRST_TIME_MS + number), "time of record {number}");
        let count = got.headers().map_or(0, Headers::count);
        ensure!(count == if number == 3 { pairs.len() } else { 0 }, "{count} headers of record {number}");
    }
    let kept = read.last().and_then(OwnedMessage::headers).context("no headers")?;
    let kept: Vec<_> = kept.iter().map(|header| (header.key, header.value)).collect();
    ensure!(kept == pairs, "headers {kept:?}");
    Ok(())
}

async fn group_consume(kit: &Kit) -> Result<()> {
    let topic = kit.topic("group", PARTITIONS).await?;
    kit.produce(&topic, RECORDS, &[]).await?;
    let (consumer, _) = kit.member("group", &[])?;
    consumer.subscribe(&[&topic])?;
    whole(&take(&consumer, RECORDS)?)
}

async fn commit_resume(kit: &Kit) -> Result<()> {
    let topic = kit.topic("resume", PARTITIONS).await?;
    kit.produce(&topic, RECORDS, &[]).await?;
    let (first, _) = kit.member("resume", &[])?;
    first.subscribe(&[&topic])?;
    let mut seen = take(&first, 400)?;
    let mut ends = at(&topic, 0, Offset::Beginning)?;
    for partition in 0..PARTITIONS {
        if let Some(last) = seen.iter().rfind(|message| message.partition() == partition) {
            ends.add_partition_offset(&topic, partition, Offset::Offset(last.offset() + 1))?;
        }
    }
    first.commit(&ends, CommitMode::Sync)?;
    drop(first);
    let (second, _) = kit.member("resume", &[])?;
    second.subscribe(&[&topic])?;
    seen.extend(take(&second, RECORDS - 400)?);
    whole(&seen)
}

async fn reset_earliest(kit: &Kit) -> Result<()> {
    let topic = kit.topic("earliest", 1).await?;
    kit.produce(&topic, 10, &[]).await?;
    let (consumer, _) = kit.member("earliest", &[])?;
    consumer.subscribe(&[&topic])?;
    ensure!(take(&consumer, 1)?.iter().all(|first| first.offset() == 0), "not the first record");
    Ok(())
}

async fn reset_latest(kit: &Kit) -> Result<()> {
    let topic = kit.topic("latest", 1).await?;
    kit.produce(&topic, 10, &[]).await?;
    let (consumer, _) = kit.member("latest", &[("auto.offset.reset", "latest")])?;
    consumer.subscribe(&[&topic])?;
    spin(&[&consumer], || Ok(owned(&consumer)?.len() == 1))?;
    for _ in 0..50 {
        kit.produce(&topic, 1, &[]).await?;
        if let Some(message) = consumer.poll(Duration::from_millis(300)) {
            ensure!(message?.offset() >= 10, "a record that was there before");
            return Ok(());
        }
    }
    Err(anyhow!("no record made later"))
}

async fn reset_none(kit: &Kit) -> Result<()> {
    let topic = kit.topic("none", 1).await?;
    kit.produce(&topic, 10, &[]).await?;
    let (consumer, _) = kit.member("none", &[("auto.offset.reset", "error")])?;
    consumer.subscribe(&[&topic])?;
    refused(first_error(&consumer)?)
}

fn refused(code: RDKafkaErrorCode) -> Result<()> {
    ensure!(code == RDKafkaErrorCode::AutoOffsetReset, "another error: {code}");
    Ok(())
}

async fn trim(kit: &Kit, topic: &str) -> Result<()> {
    let deleted = kit.admin.delete_records(&at(topic, 1, Offset::Offset(500))?, &options()).await?;
    let low = deleted.elements().first().map(|one| (one.error(), one.offset()));
    ensure!(low == Some((Ok(()), Offset::Offset(500))), "low watermark told: {low:?}");
    Ok(())
}

async fn out_of_range(kit: &Kit) -> Result<()> {
    let topic = kit.topic("range", 1).await?;
    kit.produce(&topic, RECORDS, &[]).await?;
    trim(kit, &topic).await?;
    let (resetting, _) = kit.member("range", &[])?;
    resetting.assign(&at(&topic, 1, Offset::Offset(3))?)?;
    ensure!(
        take(&resetting, 1)?.iter().all(|first| first.offset() == 500),
        "not the first record that is left"
    );
    let (strict, _) = kit.member("range", &[("auto.offset.reset", "error")])?;
    strict.assign(&at(&topic, 1, Offset::Offset(3))?)?;
    refused(first_error(&strict)?)
}

async fn offsets_for_times(kit: &Kit) -> Result<()> {
    let topic = kit.topic("times", 1).await?;
    let producer = kit.producer(&[])?;
    let values: Vec<String> = (0..RECORDS).map(value).collect();
    let sent = (0..).zip(&values).map(|(number, payload)| {
        let time = FIRST_TIME_MS + 1000 * number;
        send(&producer, FutureRecord::<(), _>::to(&topic).payload(payload).timestamp(time))
    });
    futures::future::try_join_all(sent).await?;
    let (consumer, _) = kit.member("times", &[])?;
    let expected = [
        (FIRST_TIME_MS + 500_000, Offset::Offset(500)),
        (FIRST_TIME_MS + 500_001, Offset::Offset(501)),
        (0, Offset::Offset(0)),
        (FIRST_TIME_MS + 10_000_000, Offset::End),
    ];
    for (time, offset) in expected {
        let found = consumer.offsets_for_times(at(&topic, 1, Offset::Offset(time))?, REQUEST)?;
        let found =
            found.elements().first().map(rdkafka::topic_partition_list::TopicPartitionListElem::offset);
        ensure!(found == Some(offset), "at {time}: {found:?}, expected {offset:?}");
    }
    Ok(())
}

async fn rebalance(kit: &Kit, name: &str, strategy: &str) -> Result<()> {
    let topic = kit.topic(name, 4).await?;
    let config = [("partition.assignment.strategy", strategy)];
    let (first, losses) = kit.member(name, &config)?;
    first.subscribe(&[&topic])?;
    spin(&[&first], || Ok(owned(&first)?.len() == 4))?;
    let (second, _) = kit.member(name, &config)?;
    second.subscribe(&[&topic])?;
    spin(&[&first, &second], || Ok(owned(&first)?.len() == 2 && owned(&second)?.len() == 2))?;
    let all: BTreeSet<i32> = owned(&first)?.union(&owned(&second)?).copied().collect();
    ensure!(all == (0..4).collect(), "partitions owned: {all:?}");
    let expected = if strategy == "range" { all } else { owned(&second)? };
    let lost = losses.take();
    ensure!(lost == expected, "partitions revoked: {lost:?}, expected {expected:?}");
    drop(second);
    spin(&[&first], || Ok(owned(&first)?.len() == 4))
}

async fn static_membership(kit: &Kit) -> Result<()> {
    let topic = kit.topic("static", 4).await?;
    let (stays, losses) = kit.member("static", &[("group.instance.id", "stays")])?;
    let (goes, _) = kit.member("static", &[("group.instance.id", "goes")])?;
    stays.subscribe(&[&topic])?;
    goes.subscribe(&[&topic])?;
    spin(&[&stays, &goes], || Ok(owned(&stays)?.len() == 2 && owned(&goes)?.len() == 2))?;
    let before = owned(&goes)?;
    losses.take();
    drop(goes);
    let (back, _) = kit.member("static", &[("group.instance.id", "goes")])?;
    back.subscribe(&[&topic])?;
    spin(&[&stays, &back], || Ok(owned(&back)?.len() == 2))?;
    ensure!(owned(&back)? == before, "other partitions after the return");
    ensure!(losses.take().is_empty(), "the other member saw a rebalance");
    Ok(())
}

async fn admin_topics(kit: &Kit) -> Result<()> {
    let topic = kit.topic("listed", PARTITIONS).await?;
    let metadata = kit.admin.inner().fetch_metadata(None, REQUEST)?;
    let found =
        metadata.topics().iter().find(|one| one.name() == topic).context("the topic is not listed")?;
    ensure!(found.partitions().len() == 3, "{} partitions described", found.partitions().len());
    Ok(())
}

async fn admin_partitions(kit: &Kit) -> Result<()> {
    let topic = kit.topic("grow", PARTITIONS).await?;
    let grown = kit.admin.create_partitions([&NewPartitions::new(&topic, 6)], &options()).await?;
    single(grown)?.map_err(|(name, code)| anyhow!("grow {name}: {code}"))?;
    for _ in 0..100 {
        if led(kit, &topic)? == 6 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(anyhow!("not 6 partitions"))
}

async fn retention(kit: &Kit, topic: &str) -> Result<(Option<String>, bool)> {
    let described = kit.admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options()).await?;
    let config = single(described)?.map_err(|code| anyhow!("describe: {code}"))?;
    let entry = config.get("retention.ms").context("no retention.ms")?;
    Ok((entry.value.clone(), entry.is_default))
}

async fn admin_configs(kit: &Kit) -> Result<()> {
    let topic = kit.topic("configs", 1).await?;
    ensure!(retention(kit, &topic).await?.1, "retention.ms is not a default");
    let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("retention.ms", "3600000");
    single(kit.admin.alter_configs([&change], &options()).await?)?
        .map_err(|(_, code)| anyhow!("alter: {code}"))?;
    let after = retention(kit, &topic).await?;
    ensure!(after == (Some("3600000".to_owned()), false), "after the change: {after:?}");
    Ok(())
}

async fn admin_delete_records(kit: &Kit) -> Result<()> {
    let topic = kit.topic("trim", 1).await?;
    kit.produce(&topic, RECORDS, &[]).await?;
    trim(kit, &topic).await?;
    let watermarks = kit.admin.inner().fetch_watermarks(&topic, 0, REQUEST)?;
    ensure!(watermarks == (500, 1000), "watermarks {watermarks:?}");
    Ok(())
}

async fn admin_groups(kit: &Kit) -> Result<()> {
    let topic = kit.topic("groups", PARTITIONS).await?;
    kit.produce(&topic, 10, &[]).await?;
    let group = kit.name("groups");
    let (consumer, _) = kit.member("groups", &[])?;
    consumer.subscribe(&[&topic])?;
    take(&consumer, 10)?;
    consumer.commit_consumer_state(CommitMode::Sync)?;
    // A list of the client's own keeps its consumer from closing, so it lives for this block only.
    let sum: i64 = {
        let committed = consumer.committed(REQUEST)?;
        committed.elements().iter().filter_map(|one| one.offset().to_raw()).filter(|one| *one > 0).sum()
    };
    ensure!(sum == 10, "committed in all: {sum}");
    let listed = |name: &str| -> Result<Option<(String, usize)>> {
        let groups = kit.admin.inner().fetch_group_list(None, REQUEST)?;
        let found = groups.groups().iter().find(|one| one.name() == name);
        Ok(found.map(|one| (one.state().to_owned(), one.members().len())))
    };
    let found = listed(&group)?;
    ensure!(found == Some(("Stable".to_owned(), 1)), "the group is listed as {found:?}");
    drop(consumer);
    single(kit.admin.delete_groups(&[&group], &options()).await?)?
        .map_err(|(name, code)| anyhow!("delete {name}: {code}"))?;
    ensure!(listed(&group)?.is_none(), "the group is still listed");
    Ok(())
}

async fn recreate(kit: &Kit) -> Result<()> {
    let topic = kit.topic("again", 1).await?;
    kit.produce(&topic, 10, &[]).await?;
    single(kit.admin.delete_topics(&[&topic], &options()).await?)?
        .map_err(|(name, code)| anyhow!("delete {name}: {code}"))?;
    let mut tries = 0;
    while !kit.create(&topic, 1).await? {
        tries += 1;
        ensure!(tries < 100, "the topic can not be made again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A client that has just met the new topic may not know its leader yet.
    for _ in 0..100 {
        if let Ok(watermarks) = kit.admin.inner().fetch_watermarks(&topic, 0, REQUEST) {
            ensure!(watermarks == (0, 0), "watermarks {watermarks:?}");
            kit.produce(&topic, 3, &[]).await?;
            let offsets: Vec<i64> = kit.read(&topic, 1, 3)?.iter().map(Message::offset).collect();
            ensure!(offsets == [0, 1, 2], "offsets in the new topic: {offsets:?}");
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(anyhow!("no watermarks of the new topic"))
}
