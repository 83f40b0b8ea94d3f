"""Scenarios for aiokafka."""

import asyncio

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError, TopicAlreadyExistsError, for_code

from contract import CODECS, FIRST_TIME_MS, PARTITIONS, RECORDS, NotOffered, arguments, check, equal, plain, play, value
from contract import whole

CLIENT = "aiokafka"


class Listener(ConsumerRebalanceListener):
    """Collects the partitions that were revoked."""

    def __init__(self):
        self.lost = []

    async def on_partitions_revoked(self, revoked):
        self.lost.extend(one.partition for one in revoked)

    async def on_partitions_assigned(self, assigned):
        pass


class Scenarios:
    """One method per scenario; each makes topics and groups of its own."""

    def __init__(self, args):
        self.bootstrap = args.bootstrap
        self.prefix = args.topic
        self.replication = args.replication
        self.admin = None

    async def open(self):
        self.admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await self.admin.start()
        return self

    async def close(self):
        await self.admin.close()

    # What the scenarios share.

    async def topic(self, name, partitions=PARTITIONS):
        topic = f"{self.prefix}-{name}"
        answer = await self.admin.create_topics([NewTopic(topic, partitions, self.replication)])
        refuse(answer.topic_errors)
        await self.until(10, lambda: self.led(topic, partitions), "leaders of the topic")
        return topic

    async def led(self, topic, partitions):
        known = (await self.admin.describe_topics([topic]))[0]["partitions"]
        return len(known) == partitions and all(one["leader"] >= 0 for one in known)

    async def until(self, seconds, condition, what):
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            result = await condition()
            if result:
                return result
            await asyncio.sleep(0.02)
        raise AssertionError(f"{what}: not within {seconds} s")

    async def send(self, topic, records, **config):
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=5, **({"acks": "all"} | config))
        await producer.start()
        try:
            for future in [await producer.send(topic, **record) for record in records]:
                await asyncio.wait_for(future, 20)
        finally:
            await producer.stop()

    async def produce(self, topic, count=RECORDS, first=0, **config):
        await self.send(topic, [{"value": value(index)} for index in range(first, first + count)], **config)

    async def consumer(self, group, topic=None, listener=None, **config):
        settings = {
            "bootstrap_servers": self.bootstrap,
            "group_id": f"{self.prefix}-{group}",
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "session_timeout_ms": 10000,
            "heartbeat_interval_ms": 500,
        }
        consumer = AIOKafkaConsumer(**(settings | config))
        if topic:
            consumer.subscribe([topic], listener=listener)
        await consumer.start()
        return consumer

    async def read(self, topic, partitions=PARTITIONS, count=RECORDS):
        consumer = await self.consumer("read", group_id=None)
        consumer.assign([TopicPartition(topic, partition) for partition in range(partitions)])
        messages = await take(consumer, count)
        await consumer.stop()
        return messages

    async def assigned(self, members, counts):
        async def once():
            return [len(one.assignment()) for one in members] == counts

        await self.until(30, once, f"an assignment of {counts}")

    # The scenarios.

    async def create_topic(self):
        topic = await self.topic("create")
        check(await self.led(topic, PARTITIONS), "a partition without a leader")

    async def codec(self, codec):
        topic = await self.topic(f"codec-{codec}")
        await self.produce(topic, compression_type=None if codec == "none" else codec)
        whole([triple(message) for message in await self.read(topic)])

    async def idempotent(self):
        topic = await self.topic("idempotent")
        await self.produce(topic, enable_idempotence=True)
        whole([triple(message) for message in await self.read(topic)])

    async def fidelity(self):
        topic = await self.topic("fidelity", 1)
        sent = [
            (None, b"no key", ()),
            (b"key", None, ()),
            (b"", b"", ()),
            (b"\x00\xff", bytes(range(256)), (("a", b"1"), ("a", b"2"), ("b", None), ("c", b""))),
        ]
        await self.send(
            topic,
            [
                {"key": key, "value": data, "headers": list(headers), "timestamp_ms": FIRST_TIME_MS + index}
                for index, (key, data, headers) in enumerate(sent)
            ],
        )
        read = await self.read(topic, 1, len(sent))
        equal([(one.key, one.value, tuple(one.headers)) for one in read], sent, "records")
        equal([one.timestamp for one in read], [FIRST_TIME_MS + index for index in range(len(sent))], "timestamps")

    async def group_consume(self):
        topic = await self.topic("group")
        await self.produce(topic)
        consumer = await self.consumer("group", topic)
        whole([triple(message) for message in await take(consumer, RECORDS)])
        await consumer.stop()

    async def commit_resume(self):
        topic = await self.topic("resume")
        await self.produce(topic)
        first = await self.consumer("resume", topic)
        seen = await take(first, 400, at_most=400)
        await first.commit({TopicPartition(topic, one.partition): one.offset + 1 for one in seen})
        await first.stop()
        second = await self.consumer("resume", topic)
        seen += await take(second, RECORDS - len(seen))
        await second.stop()
        whole(sorted(triple(message) for message in seen))

    async def reset_earliest(self):
        topic = await self.topic("earliest", 1)
        await self.produce(topic, 10)
        consumer = await self.consumer("earliest", topic, auto_offset_reset="earliest")
        equal((await take(consumer, 10))[0].offset, 0, "first offset")
        await consumer.stop()

    async def reset_latest(self):
        topic = await self.topic("latest", 1)
        await self.produce(topic, 10)
        consumer = await self.consumer("latest", topic, auto_offset_reset="latest")
        await self.assigned([consumer], [1])
        equal(await consumer.position(TopicPartition(topic, 0)), 10, "position")
        await self.produce(topic, 5, first=10)
        equal((await take(consumer, 5))[0].offset, 10, "first offset")
        await consumer.stop()

    async def reset_none(self):
        topic = await self.topic("none", 1)
        await self.produce(topic, 10)
        consumer = await self.consumer("none", topic, auto_offset_reset="none")
        await first_error(consumer, NoOffsetForPartitionError)
        await consumer.stop()

    async def reset_duration(self):
        raise NotOffered("no such reset")

    async def out_of_range(self):
        topic = await self.topic("range", 1)
        await self.produce(topic)
        partition = TopicPartition(topic, 0)
        await self.admin.delete_records({partition: RecordsToDelete(500)})
        resetting = await self.consumer("range", group_id=None, auto_offset_reset="earliest")
        resetting.assign([partition])
        resetting.seek(partition, 3)
        equal((await take(resetting, RECORDS - 500))[0].offset, 500, "first offset after the reset")
        await resetting.stop()
        strict = await self.consumer("range", group_id=None, auto_offset_reset="none")
        strict.assign([partition])
        strict.seek(partition, 3)
        await first_error(strict, OffsetOutOfRangeError)
        await strict.stop()

    async def offsets_for_times(self):
        topic = await self.topic("times", 1)
        times = [FIRST_TIME_MS + 1000 * index for index in range(RECORDS)]
        await self.send(topic, [{"value": b"x", "timestamp_ms": time} for time in times])
        consumer = await self.consumer("times", topic)
        partition = TopicPartition(topic, 0)

        async def at(time_ms):
            found = (await consumer.offsets_for_times({partition: time_ms}))[partition]
            return found and found.offset

        equal(await at(FIRST_TIME_MS + 500_000), 500, "offset at a record's time")
        equal(await at(FIRST_TIME_MS + 500_001), 501, "offset between two records")
        equal(await at(0), 0, "offset before all")
        equal(await at(FIRST_TIME_MS + 10_000_000), None, "offset after all")
        equal((await consumer.beginning_offsets([partition]))[partition], 0, "first offset")
        equal((await consumer.end_offsets([partition]))[partition], RECORDS, "end offset")
        await consumer.stop()

    async def rebalance_range(self):
        topic = await self.topic("rebalance", 4)
        listener = Listener()
        ranged = {"partition_assignment_strategy": [RangePartitionAssignor]}
        first = await self.consumer("rebalance", topic, listener, **ranged)
        await self.assigned([first], [4])
        second = await self.consumer("rebalance", topic, **ranged)
        await self.assigned([first, second], [2, 2])
        equal({one.partition for one in first.assignment() | second.assignment()}, {0, 1, 2, 3}, "partitions owned")
        equal(set(listener.lost), {0, 1, 2, 3}, "everything was revoked")
        await second.stop()
        await self.assigned([first], [4])
        await first.stop()

    async def rebalance_cooperative(self):
        raise NotOffered("no cooperative assignor")

    async def static_membership(self):
        topic = await self.topic("static", 4)
        listener = Listener()
        stays = await self.consumer("static", topic, listener, group_instance_id="stays")
        goes = await self.consumer("static", topic, group_instance_id="goes")
        await self.assigned([stays, goes], [2, 2])
        owned = set(goes.assignment())
        listener.lost.clear()
        await goes.stop()
        back = await self.consumer("static", topic, group_instance_id="goes")
        await self.assigned([stays, back], [2, 2])
        equal(set(back.assignment()), owned, "partitions after the return")
        equal(listener.lost, [], "rebalances seen by the other member")
        await back.stop()
        await stays.stop()

    async def admin_topics(self):
        topic = await self.topic("listed")
        check(topic in await self.admin.list_topics(), "the topic is not listed")
        described = (await self.admin.describe_topics([topic]))[0]
        equal(len(described["partitions"]), PARTITIONS, "partitions described")

    async def admin_partitions(self):
        topic = await self.topic("grow")
        await self.admin.create_partitions({topic: NewPartitions(6)})
        await self.until(10, lambda: self.led(topic, 6), "6 partitions")

    async def admin_configs(self):
        topic = await self.topic("configs")

        async def retention():
            answers = await self.admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
            entries = answers[0].resources[0][4]
            return next(entry[1] for entry in entries if entry[0] == "retention.ms")

        async def changed():
            return await retention() == "3600000"

        check(not await changed(), "the value was there before")
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "3600000"})
        await self.admin.alter_configs([resource])
        await self.until(10, changed, "the new retention.ms")

    async def admin_delete_records(self):
        topic = await self.topic("trim", 1)
        await self.produce(topic)
        partition = TopicPartition(topic, 0)
        told = await self.admin.delete_records({partition: RecordsToDelete(500)})
        equal(told[partition], 500, "low watermark told")
        consumer = await self.consumer("trim", topic)
        equal((await consumer.beginning_offsets([partition]))[partition], 500, "first offset")
        await consumer.stop()

    async def admin_groups(self):
        topic = await self.topic("groups")
        await self.produce(topic, 10)
        group = f"{self.prefix}-groups"
        consumer = await self.consumer("groups", topic)
        await take(consumer, 10)
        await consumer.commit()
        listed = await self.admin.list_consumer_groups()
        check(group in [one[0] for one in listed], "the group is not listed")
        described = (await self.admin.describe_consumer_groups([group]))[0].groups[0]
        equal(described[2], "Stable", "state")
        equal(len(described[5]), 1, "members")
        await consumer.stop()
        offsets = await self.admin.list_consumer_group_offsets(group)
        equal(sum(max(one.offset, 0) for one in offsets.values()), 10, "committed in all")

    async def recreate(self):
        topic = await self.topic("again", 1)
        await self.produce(topic, 10)
        await self.admin.delete_topics([topic])
        await self.until(15, self.created_again, "the topic made again")
        await self.produce(topic, 3)
        equal([one.offset for one in await self.read(topic, 1, 3)], [0, 1, 2], "offsets in the new topic")

    async def created_again(self):
        try:
            return await self.topic("again", 1)
        except TopicAlreadyExistsError:
            return None


def refuse(errors):
    """Raises the first error of an admin answer."""
    for name, code, *_ in errors:
        if code:
            raise for_code(code)(name)


def triple(message):
    """A message as the contract's checks take it."""
    return message.partition, message.offset, message.value


async def take(consumer, count, at_most=None, seconds=20):
    """At least `count` messages."""
    messages = []
    deadline = asyncio.get_running_loop().time() + seconds
    while len(messages) < count and asyncio.get_running_loop().time() < deadline:
        room = None if at_most is None else at_most - len(messages)
        for batch in (await consumer.getmany(timeout_ms=500, max_records=room)).values():
            messages.extend(batch)
    check(len(messages) >= count, f"{len(messages)} messages within the time, expected {count}")
    return messages


async def first_error(consumer, kind):
    """Polls until the consumer raises `kind`; a record is a failure."""
    try:
        message = await asyncio.wait_for(consumer.getone(), 15)
    except kind:
        return
    raise AssertionError(f"a record at {message.offset} instead of an error")


def main():
    """Runs what was asked for."""
    args = arguments()

    def one(method, *parameters):
        async def run():
            scenarios = await Scenarios(args).open()
            try:
                await asyncio.wait_for(getattr(scenarios, method)(*parameters), 60)
            finally:
                await scenarios.close()

        return lambda: asyncio.run(run())

    names = plain() + ["rebalance-range", "rebalance-cooperative"]
    scenarios = {name: one(name.replace("-", "_")) for name in names}
    for codec in CODECS:
        scenarios[f"codec-{codec}"] = one("codec", codec)
    play(CLIENT, aiokafka.__version__, args, scenarios)


main()
