// Scenarios for @platformatic/kafka.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { inspect } from "node:util";
import { Admin, ConfigResourceTypes, Consumer, Producer } from "@platformatic/kafka";
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

const args = programArguments();
const common = { clientId: "waybill-test", bootstrapBrokers: [args.bootstrap], retries: 8, retryDelay: 200 };
const admin = new Admin(common);

// What the scenarios share.

async function topic(name, partitions = PARTITIONS) {
  const full = `${args.topic}-${name}`;
  await admin.createTopics({ topics: [full], partitions, replicas: args.replication });
  await until(10_000, async () => led(await describe(full), partitions), "leaders of the topic");
  // The producer sends a whole batch again when one partition has no leader yet, so all must answer first.
  const asked = Array.from({ length: partitions }, (_, partitionIndex) => ({ partitionIndex, timestamp: -1n }));
  const answer = () => admin.listOffsets({ topics: [{ name: full, partitions: asked }] }).catch(() => null);
  await until(10_000, answer, "an answer from every partition");
  return full;
}

async function describe(name) {
  return (await admin.metadata({ topics: [name], forceUpdate: true })).topics.get(name);
}

function led(found, partitions) {
  return found.partitions.length === partitions && found.partitions.every((one) => one.leader >= 0);
}

async function send(messages, options = {}) {
  const producer = new Producer({ ...common, acks: -1, ...options });
  await producer.send({ messages });
  await producer.close();
}

async function produce(name, count = RECORDS, first = 0, options = {}) {
  await send(
    Array.from({ length: count }, (_, index) => ({ topic: name, partition: undefined, value: value(first + index) })),
    options,
  );
}

/** A group member with its stream of messages. */
async function member(group, name, options = {}) {
  const { mode = "earliest", fallbackMode, offsets, ...rest } = options;
  const consumer = new Consumer({
    ...common,
    groupId: `${args.topic}-${group}`,
    autocommit: false,
    sessionTimeout: 10_000,
    rebalanceTimeout: 10_000,
    heartbeatInterval: 500,
    maxWaitTime: 200,
    ...rest,
  });
  const self = { consumer, seen: [], joins: 0, failed: null, owned: [] };
  consumer.on("consumer:group:join", ({ assignments }) => {
    self.joins += 1;
    self.owned = (assignments ?? []).filter((one) => one.topic === name).flatMap((one) => one.partitions);
  });
  const stream = await consumer.consume({ topics: [name], mode, fallbackMode, offsets });
  stream.on("data", (message) => self.seen.push(message));
  stream.on("error", (error) => {
    self.failed = error;
  });
  return self;
}

async function seen(self, count) {
  await until(
    20_000,
    () => {
      if (self.failed) throw self.failed;
      return self.seen.length >= count;
    },
    `${count} messages`,
  );
  return self.seen;
}

async function read(name, count = RECORDS) {
  const reader = await member(`read-${name}`, name);
  const messages = [...(await seen(reader, count))];
  await reader.consumer.close(true);
  return sorted(messages);
}

async function committed(groupId) {
  const [{ topics }] = await admin.listConsumerGroupOffsets({ groups: [groupId] });
  return topics.flatMap((one) => one.partitions).reduce((sum, one) => sum + Math.max(Number(one.committedOffset), 0), 0);
}

/** The position after the last message of each partition, as commit() takes it. */
function ends(name, messages) {
  const next = new Map();
  for (const { partition, offset } of sorted(messages)) next.set(partition, offset + 1n);
  return [...next].map(([partition, offset]) => ({ topic: name, partition, offset, leaderEpoch: 0 }));
}

async function offsetAt(name, timestamp) {
  const [{ partitions }] = await admin.listOffsets({ topics: [{ name, partitions: [{ partitionIndex: 0, timestamp }] }] });
  return Number(partitions[0].offset);
}

// The scenarios.

async function createTopic() {
  const name = await topic("create");
  check(led(await describe(name), PARTITIONS), "a partition without a leader");
}

async function codec(compression) {
  if (compression === "zstd" && !zstdAvailable()) throw new NotOffered("zstd needs a newer Node");
  const name = await topic(`codec-${compression}`);
  await produce(name, RECORDS, 0, { compression });
  whole(await read(name));
}

function zstdAvailable() {
  return "zstdCompressSync" in createRequire(import.meta.url)("node:zlib");
}

async function idempotent() {
  const name = await topic("idempotent");
  await produce(name, RECORDS, 0, { idempotent: true });
  whole(await read(name));
}

async function fidelity() {
  const name = await topic("fidelity", 1);
  const binary = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
  const headers = [
    ["a", "1"],
    ["c", ""],
  ].map((pair) => pair.map((one) => Buffer.from(one)));
  const sent = [
    { value: Buffer.from("no key"), headers: [] },
    { key: Buffer.from("key"), headers: [] },
    { key: Buffer.from([0, 255]), value: binary, headers },
  ].map((one, index) => ({ ...one, timestamp: BigInt(FIRST_TIME_MS + index) }));
  await send(sent.map((one) => ({ ...one, topic: name, partition: 0, headers: new Map(one.headers) })));
  const plain = (one) => [one.key?.toString("hex") ?? null, one.value?.toString("hex") ?? null, one.timestamp];
  const got = await read(name, sent.length);
  equal(got.map(plain), sent.map(plain), "records");
  equal(
    got.map((one) => [...one.headers]),
    sent.map((one) => one.headers),
    "headers",
  );
}

async function groupConsume() {
  const name = await topic("group");
  await produce(name);
  whole(await read(name));
}

async function commitResume() {
  const name = await topic("resume");
  await produce(name);
  const first = await member("resume", name);
  const kept = (await seen(first, 400)).slice(0, 400);
  await first.consumer.commit({ offsets: ends(name, kept) });
  await first.consumer.close(true);
  const second = await member("resume", name, { mode: "committed", fallbackMode: "earliest" });
  const rest = [...(await seen(second, RECORDS - 400))];
  await second.consumer.close(true);
  whole(sorted([...kept, ...rest]));
}

async function resetEarliest() {
  const name = await topic("earliest", 1);
  await produce(name, 10);
  const reader = await member("earliest", name, { mode: "committed", fallbackMode: "earliest" });
  equal((await seen(reader, 10))[0].offset, 0n, "first offset");
  await reader.consumer.close(true);
}

async function resetLatest() {
  const name = await topic("latest", 1);
  await produce(name, 10);
  const reader = await member("latest", name, { mode: "committed", fallbackMode: "latest" });
  await until(15_000, async () => (await produce(name, 1)) || reader.seen.length > 0, "a record made later");
  check(reader.seen[0].offset >= 10n, `offset ${reader.seen[0].offset}, which was there before`);
  await reader.consumer.close(true);
}

async function resetNone() {
  const name = await topic("none", 1);
  await produce(name, 10);
  let reader = null;
  try {
    reader = await member("none", name, { mode: "committed", fallbackMode: "fail" });
    await until(15_000, () => reader.failed, "an error");
  } catch (error) {
    reader = { failed: error, seen: [], consumer: null };
  }
  check(/No committed offset/i.test(reader.failed.message), `another error: ${reader.failed.message}`);
  equal(reader.seen.length, 0, "records");
  await reader.consumer?.close(true);
}

async function offsetsForTimes() {
  const name = await topic("times", 1);
  const messages = Array.from({ length: RECORDS }, (_, index) => {
    return { topic: name, partition: 0, value: value(index), timestamp: BigInt(FIRST_TIME_MS + 1000 * index) };
  });
  await send(messages);
  equal(await offsetAt(name, BigInt(FIRST_TIME_MS + 500_000)), 500, "offset at a record's time");
  equal(await offsetAt(name, BigInt(FIRST_TIME_MS + 500_001)), 501, "offset between two records");
  equal(await offsetAt(name, 0n), 0, "offset before all");
  equal(await offsetAt(name, BigInt(FIRST_TIME_MS + 10_000_000)), -1, "offset after all");
  equal([await offsetAt(name, -2n), await offsetAt(name, -1n)], [0, RECORDS], "first and end offset");
}

async function rebalance() {
  const name = await topic("rebalance", 4);
  const first = await member("rebalance", name);
  await until(20_000, () => first.owned.length === 4, "all partitions");
  const second = await member("rebalance", name);
  await until(20_000, () => first.owned.length === 2 && second.owned.length === 2, "two partitions each");
  equal([...first.owned, ...second.owned].sort(), [0, 1, 2, 3], "partitions owned");
  await second.consumer.close(true);
  await until(20_000, () => first.owned.length === 4, "all partitions again");
  await first.consumer.close(true);
}

async function adminTopics() {
  const name = await topic("listed");
  check((await admin.listTopics()).includes(name), "the topic is not listed");
  equal((await describe(name)).partitions.length, PARTITIONS, "partitions described");
}

async function adminPartitions() {
  const name = await topic("grow");
  await admin.createPartitions({ topics: [{ name, count: 6, assignments: null }] });
  await until(10_000, async () => led(await describe(name), 6), "6 partitions");
}

async function adminConfigs() {
  const name = await topic("configs");
  const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: name };
  const retention = async () => {
    const [{ configs }] = await admin.describeConfigs({ resources: [{ ...resource, configurationKeys: null }] });
    return configs.find((one) => one.name === "retention.ms").value;
  };
  check((await retention()) !== "3600000", "the value was there before");
  const configs = [{ name: "retention.ms", configOperation: 0, value: "3600000" }];
  await admin.incrementalAlterConfigs({ resources: [{ ...resource, configs }] });
  await until(10_000, async () => (await retention()) === "3600000", "the new retention.ms");
}

async function trim(name) {
  const [{ partitions }] = await admin.deleteRecords({ topics: [{ name, partitions: [{ partition: 0, offset: 500n }] }] });
  equal(Number(partitions[0].lowWatermark), 500, "low watermark told");
}

async function adminDeleteRecords() {
  const name = await topic("trim", 1);
  await produce(name);
  await trim(name);
  equal([await offsetAt(name, -2n), await offsetAt(name, -1n)], [500, RECORDS], "first and end offset");
}

async function outOfRange() {
  const name = await topic("range", 1);
  await produce(name);
  await trim(name);
  const offsets = [{ topic: name, partition: 0, offset: 3n }];
  const reader = await member("range", name, { mode: "manual", offsets });
  await until(15_000, () => reader.failed, "an error");
  check(/OFFSET_OUT_OF_RANGE/.test(inspect(reader.failed, { depth: 8 })), `another error: ${inspect(reader.failed)}`);
  equal(reader.seen.length, 0, "records");
  await reader.consumer.close(true);
}

async function adminGroups() {
  const name = await topic("groups");
  await produce(name, 10);
  const groupId = `${args.topic}-groups`;
  const reader = await member("groups", name);
  await seen(reader, 10);
  await reader.consumer.commit({ offsets: ends(name, reader.seen) });
  check((await admin.listGroups()).has(groupId), "the group is not listed");
  const group = (await admin.describeGroups({ groups: [groupId] })).get(groupId);
  equal([group.state.toUpperCase(), group.members.size], ["STABLE", 1], "state and members");
  equal(await committed(groupId), 10, "committed in all");
  await reader.consumer.close(true);
  await admin.deleteGroups({ groups: [groupId] });
  check(!(await admin.listGroups()).has(groupId), "the group is still listed");
}

async function recreate() {
  const name = await topic("again", 1);
  await produce(name, 10);
  await admin.deleteTopics({ topics: [name] });
  await until(15_000, () => topic("again", 1).catch(() => null), "the topic made again");
  equal(await offsetAt(name, -1n), 0, "end offset");
  await produce(name, 3);
  equal(
    (await read(name, 3)).map((one) => one.offset),
    [0n, 1n, 2n],
    "offsets in the new topic",
  );
}

async function staticMembership() {
  const name = await topic("static", 4);
  const stays = await member("static", name, { groupInstanceId: "stays" });
  const goes = await member("static", name, { groupInstanceId: "goes" });
  await until(20_000, () => stays.owned.length === 2 && goes.owned.length === 2, "two partitions each");
  const { joins } = stays;
  // close() would send LeaveGroup, so the old member is just left alone.
  const back = await member("static", name, { groupInstanceId: "goes" });
  await until(20_000, () => back.owned.length === 2, "partitions after the return");
  equal([...back.owned].sort(), [...goes.owned].sort(), "the same partitions");
  equal(stays.joins, joins, "rebalances seen by the other member");
  await back.consumer.close(true);
  await stays.consumer.close(true);
}

function absent(reason) {
  return async () => {
    throw new NotOffered(reason);
  };
}

/** The package has no entry for its package.json, so it is found beside its main file. */
function version() {
  const main = createRequire(import.meta.url).resolve("@platformatic/kafka");
  return JSON.parse(readFileSync(join(dirname(main), "..", "package.json"), "utf8")).version;
}

const scenarios = {
  "create-topic": createTopic,
  idempotent,
  fidelity,
  "group-consume": groupConsume,
  "commit-resume": commitResume,
  "reset-earliest": resetEarliest,
  "reset-latest": resetLatest,
  "reset-none": resetNone,
  "reset-duration": absent("no such reset"),
  "out-of-range": outOfRange,
  "offsets-for-times": offsetsForTimes,
  "static-membership": staticMembership,
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

await play("@platformatic/kafka", version(), args, scenarios);
