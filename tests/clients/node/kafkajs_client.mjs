// Scenarios for kafkajs.

import { createRequire } from "node:module";
import kafkajs from "kafkajs";
import {
  CODECS,
  FIRST_TIME_MS,
  NotOffered,
  PARTITIONS,
  RECORDS,
  check,
  equal,
  play,
  programArguments,
  sorted,
  until,
  value,
  whole,
} from "./contract.mjs";

const { version } = createRequire(import.meta.url)("kafkajs/package.json");
const { CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = kafkajs;

const args = programArguments();
const kafka = new Kafka({ brokers: [args.bootstrap], logLevel: logLevel.NOTHING, retry: { retries: 8 } });
const admin = kafka.admin();
await admin.connect();

// What the scenarios share.

async function topic(name, numPartitions = PARTITIONS) {
  const full = `${args.topic}-${name}`;
  const made = await admin.createTopics({
    topics: [{ topic: full, numPartitions, replicationFactor: args.replication }],
    waitForLeaders: true,
  });
  return made ? full : null;
}

async function send(name, messages, options = {}, compression = CompressionTypes.None) {
  const producer = kafka.producer({ allowAutoTopicCreation: false, ...options });
  await producer.connect();
  await producer.send({ topic: name, acks: -1, compression, messages });
  await producer.disconnect();
}

async function produce(name, count = RECORDS, first = 0, options = {}, compression = CompressionTypes.None) {
  const messages = Array.from({ length: count }, (_, index) => ({ value: value(first + index) }));
  await send(name, messages, options, compression);
}

/** A running group member that keeps what it is given. */
async function member(group, name, options = {}) {
  const consumer = kafka.consumer({
    groupId: `${args.topic}-${group}`,
    sessionTimeout: 10_000,
    heartbeatInterval: 500,
    maxWaitTimeInMs: 100,
  });
  const self = { consumer, seen: [], owned: [], joins: 0 };
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    self.joins += 1;
    self.owned = payload.memberAssignment[name] ?? [];
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [name], fromBeginning: options.fromBeginning ?? true });
  const commits = options.commitAt !== undefined;
  await consumer.run({
    autoCommit: commits,
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset, commitOffsetsIfNecessary }) => {
      for (const { offset, value: data, key, headers, timestamp } of batch.messages) {
        if (commits && self.seen.length >= options.commitAt) return;
        self.seen.push({ partition: batch.partition, offset, value: data, key, headers, timestamp });
        resolveOffset(offset);
      }
      if (commits) await commitOffsetsIfNecessary();
    },
  });
  return self;
}

async function read(name, count = RECORDS) {
  const reader = await member(`read-${name}`, name);
  await until(20_000, () => reader.seen.length >= count, `${count} messages`);
  await reader.consumer.disconnect();
  return sorted(reader.seen);
}

async function deleteRecords(name, offset) {
  // The admin client must have met the topic, else it knows no leader.
  await admin.fetchTopicOffsets(name);
  await admin.deleteTopicRecords({ topic: name, partitions: [{ partition: 0, offset }] });
}

// The scenarios.

async function createTopic() {
  const name = await topic("create");
  const [found] = (await admin.fetchTopicMetadata({ topics: [name] })).topics;
  equal(found.partitions.length, PARTITIONS, "partitions");
  check(
    found.partitions.every((one) => one.leader >= 0),
    "a partition without a leader",
  );
}

async function codec(which) {
  if (!["none", "gzip"].includes(which)) throw new NotOffered("none and gzip without a plug-in");
  const name = await topic(`codec-${which}`);
  await produce(name, RECORDS, 0, {}, which === "gzip" ? CompressionTypes.GZIP : CompressionTypes.None);
  whole(await read(name));
}

async function idempotent() {
  const name = await topic("idempotent");
  await produce(name, RECORDS, 0, { idempotent: true, maxInFlightRequests: 1 });
  whole(await read(name));
}

async function fidelity() {
  const name = await topic("fidelity", 1);
  const binary = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
  const sent = [
    { key: null, value: Buffer.from("no key"), headers: {} },
    { key: Buffer.from("key"), value: null, headers: {} },
    { key: Buffer.alloc(0), value: Buffer.alloc(0), headers: {} },
    { key: Buffer.from([0, 255]), value: binary, headers: { a: [Buffer.from("1"), Buffer.from("2")], c: Buffer.from("x") } },
  ].map((one, index) => ({ ...one, timestamp: String(FIRST_TIME_MS + index) }));
  await send(name, sent);
  const got = (await read(name, sent.length)).map(({ key, value: data, headers, timestamp }) => {
    return { key, value: data, headers, timestamp };
  });
  equal(got, sent, "records");
}

async function groupConsume() {
  const name = await topic("group");
  await produce(name);
  whole(await read(name));
}

async function commitResume() {
  const name = await topic("resume");
  await produce(name);
  const first = await member("resume", name, { commitAt: 400 });
  await until(20_000, () => first.seen.length >= 400, "400 messages");
  const ends = new Map();
  for (const { partition, offset } of first.seen) ends.set(partition, String(Number(offset) + 1));
  const offsets = [...ends].map(([partition, offset]) => ({ topic: name, partition, offset }));
  await first.consumer.commitOffsets(offsets);
  await first.consumer.disconnect();
  const second = await member("resume", name);
  await until(20_000, () => second.seen.length >= RECORDS - 400, "the rest");
  await second.consumer.disconnect();
  whole(sorted([...first.seen, ...second.seen]));
}

async function resetEarliest() {
  const name = await topic("earliest", 1);
  await produce(name, 10);
  equal((await read(name, 10))[0].offset, "0", "first offset");
}

async function resetLatest() {
  const name = await topic("latest", 1);
  await produce(name, 10);
  const reader = await member("latest", name, { fromBeginning: false });
  await until(15_000, async () => (await produce(name, 1)) || reader.seen.length > 0, "a record made later");
  check(Number(reader.seen[0].offset) >= 10, `offset ${reader.seen[0].offset}, which was there before`);
  await reader.consumer.disconnect();
}

async function outOfRange() {
  const name = await topic("range", 1);
  await produce(name);
  await deleteRecords(name, "500");
  await admin.setOffsets({ groupId: `${args.topic}-range`, topic: name, partitions: [{ partition: 0, offset: "3" }] });
  const reader = await member("range", name);
  await until(20_000, () => reader.seen.length >= 500, "the rest");
  equal(reader.seen[0].offset, "500", "first offset after the reset");
  await reader.consumer.disconnect();
}

async function offsetsForTimes() {
  const name = await topic("times", 1);
  const messages = Array.from({ length: RECORDS }, (_, index) => {
    return { value: value(index), timestamp: String(FIRST_TIME_MS + 1000 * index) };
  });
  await send(name, messages);
  const at = async (time) => (await admin.fetchTopicOffsetsByTimestamp(name, time))[0].offset;
  equal(await at(FIRST_TIME_MS + 500_000), "500", "offset at a record's time");
  equal(await at(FIRST_TIME_MS + 500_001), "501", "offset between two records");
  equal(await at(1), "0", "offset before all");
  equal(await at(FIRST_TIME_MS + 10_000_000), String(RECORDS), "offset after all (kafkajs gives the end)");
}

async function rebalance() {
  const name = await topic("rebalance", 4);
  const first = await member("rebalance", name);
  await until(20_000, () => first.owned.length === 4, "all partitions");
  const second = await member("rebalance", name);
  await until(20_000, () => first.owned.length === 2 && second.owned.length === 2, "two partitions each");
  equal([...first.owned, ...second.owned].sort(), [0, 1, 2, 3], "partitions owned");
  await second.consumer.disconnect();
  await until(20_000, () => first.owned.length === 4, "all partitions again");
  await first.consumer.disconnect();
}

async function adminTopics() {
  const name = await topic("listed");
  check((await admin.listTopics()).includes(name), "the topic is not listed");
  const { topics } = await admin.fetchTopicMetadata({ topics: [name] });
  equal(topics[0].partitions.length, PARTITIONS, "partitions described");
}

async function adminPartitions() {
  const name = await topic("grow");
  await admin.createPartitions({ topicPartitions: [{ topic: name, count: 6 }] });
  const count = async () => (await admin.fetchTopicMetadata({ topics: [name] })).topics[0].partitions.length;
  await until(10_000, async () => (await count()) === 6, "6 partitions");
}

async function adminConfigs() {
  const name = await topic("configs");
  const resource = { type: ConfigResourceTypes.TOPIC, name };
  const retention = async () => {
    const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: [resource] });
    return resources[0].configEntries.find((one) => one.configName === "retention.ms");
  };
  check((await retention()).configValue !== "3600000", "the value was there before");
  const configEntries = [{ name: "retention.ms", value: "3600000" }];
  await admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries }] });
  await until(10_000, async () => (await retention()).configValue === "3600000", "the new retention.ms");
}

async function adminDeleteRecords() {
  const name = await topic("trim", 1);
  await produce(name);
  await deleteRecords(name, "500");
  const [offsets] = await admin.fetchTopicOffsets(name);
  equal([offsets.low, offsets.high], ["500", String(RECORDS)], "watermarks");
}

async function adminGroups() {
  const name = await topic("groups");
  await produce(name, 10);
  const groupId = `${args.topic}-groups`;
  const reader = await member("groups", name, { commitAt: 10 });
  await until(20_000, () => reader.seen.length >= 10, "10 messages");
  const listed = async () => (await admin.listGroups()).groups.some((one) => one.groupId === groupId);
  check(await listed(), "the group is not listed");
  const { groups } = await admin.describeGroups([groupId]);
  equal([groups[0].state, groups[0].members.length], ["Stable", 1], "state and members");
  const committed = async () => {
    const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [name] });
    return partitions.reduce((sum, one) => sum + Math.max(Number(one.offset), 0), 0);
  };
  const ends = new Map();
  for (const { partition, offset } of reader.seen) {
    ends.set(partition, Math.max(ends.get(partition) ?? 0, Number(offset) + 1));
  }
  await reader.consumer.commitOffsets(
    [...ends].map(([partition, offset]) => ({ topic: name, partition, offset: String(offset) })),
  );
  equal(await committed(), 10, "committed in all");
  await reader.consumer.disconnect();
  await admin.deleteGroups([groupId]);
  check(!(await listed()), "the group is still listed");
}

async function recreate() {
  const name = await topic("again", 1);
  await produce(name, 10);
  await admin.deleteTopics({ topics: [name] });
  await until(15_000, () => topic("again", 1), "the topic made again");
  equal((await admin.fetchTopicOffsets(name))[0].high, "0", "end offset");
  await produce(name, 3);
  equal(
    (await read(name, 3)).map((one) => one.offset),
    ["0", "1", "2"],
    "offsets in the new topic",
  );
}

function absent(reason) {
  return async () => {
    throw new NotOffered(reason);
  };
}

const scenarios = {
  "create-topic": createTopic,
  idempotent,
  fidelity,
  "group-consume": groupConsume,
  "commit-resume": commitResume,
  "reset-earliest": resetEarliest,
  "reset-latest": resetLatest,
  "reset-none": absent("always resets"),
  "reset-duration": absent("no such reset"),
  "out-of-range": outOfRange,
  "offsets-for-times": offsetsForTimes,
  "static-membership": absent("no static members"),
  "admin-topics": adminTopics,
  "admin-partitions": adminPartitions,
  "admin-configs": adminConfigs,
  "admin-delete-records": adminDeleteRecords,
  "admin-groups": adminGroups,
  recreate,
  "rebalance-range": rebalance,
  "rebalance-cooperative": absent("no cooperative assignor"),
};
for (const which of CODECS) scenarios[`codec-${which}`] = () => codec(which);

await play("kafkajs", version, args, scenarios);
