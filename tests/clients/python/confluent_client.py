"""Scenarios for confluent-kafka (librdkafka)."""

import time

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from contract import CODECS, FIRST_TIME_MS, PARTITIONS, RECORDS, NotOffered, arguments, check, equal, plain, play
from contract import until, value, whole

CLIENT = "confluent-kafka (Python)"
VERSION = f"{confluent_kafka.__version__}, librdkafka {confluent_kafka.libversion()[0]}"


class Scenarios:
    """One method per scenario; each makes topics and groups of its own."""

    def __init__(self, args):
        self.bootstrap = args.bootstrap
        self.prefix = args.topic
        self.replication = args.replication
        self.admin = AdminClient({"bootstrap.servers": args.bootstrap})

    # What the scenarios share.

    def topic(self, name, partitions=PARTITIONS):
        topic = f"{self.prefix}-{name}"
        new = NewTopic(topic, num_partitions=partitions, replication_factor=self.replication)
        done(self.admin.create_topics([new]))
        return topic

    def produce(self, topic, count=RECORDS, first=0, **config):
        settings = {"bootstrap.servers": self.bootstrap, "acks": "all", "linger.ms": 5}
        producer = Producer(settings | {key.replace("_", "."): value for key, value in config.items()})
        errors = []
        for index in range(first, first + count):
            producer.produce(topic, value(index), on_delivery=lambda error, _: error and errors.append(error))
            producer.poll(0)
        equal(producer.flush(20), 0, "records not acked")
        equal(errors, [], "delivery errors")

    def consumer(self, group, **config):
        settings = {
            "bootstrap.servers": self.bootstrap,
            "group.id": f"{self.prefix}-{group}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 10000,
            "heartbeat.interval.ms": 500,
        }
        return Consumer(settings | {key.replace("_", "."): value for key, value in config.items()})

    def read(self, topic, partitions=PARTITIONS, count=RECORDS):
        consumer = self.consumer("read-" + topic)
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
        messages = take(consumer, count)
        consumer.close()
        return messages

    # The scenarios.

    def create_topic(self):
        topic = self.topic("create")
        partitions = self.admin.list_topics(topic, timeout=10).topics[topic].partitions
        equal(len(partitions), PARTITIONS, "partitions")
        check(all(one.leader >= 0 for one in partitions.values()), "a partition without a leader")

    def codec(self, codec):
        topic = self.topic(f"codec-{codec}")
        self.produce(topic, compression_type=codec)
        whole([triple(message) for message in self.read(topic)])

    def idempotent(self):
        topic = self.topic("idempotent")
        self.produce(topic, enable_idempotence=True)
        whole([triple(message) for message in self.read(topic)])

    def fidelity(self):
        topic = self.topic("fidelity", 1)
        sent = [
            (None, b"no key", []),
            (b"key", None, []),
            (b"", b"", []),
            (b"\x00\xff", bytes(range(256)), [("a", b"1"), ("a", b"2"), ("b", None), ("c", b"")]),
        ]
        producer = Producer({"bootstrap.servers": self.bootstrap, "acks": "all"})
        for index, (key, data, headers) in enumerate(sent):
            producer.produce(topic, data, key, headers=headers, timestamp=FIRST_TIME_MS + index)
        equal(producer.flush(20), 0, "records not acked")
        read = self.read(topic, 1, len(sent))
        equal([(one.key(), one.value(), one.headers() or []) for one in read], sent, "records")
        times = [(confluent_kafka.TIMESTAMP_CREATE_TIME, FIRST_TIME_MS + index) for index in range(len(sent))]
        equal([one.timestamp() for one in read], times, "timestamps")

    def group_consume(self):
        topic = self.topic("group")
        self.produce(topic)
        consumer = self.consumer("group")
        consumer.subscribe([topic])
        whole([triple(message) for message in take(consumer, RECORDS)])
        consumer.close()

    def commit_resume(self):
        topic = self.topic("resume")
        self.produce(topic)
        first = self.consumer("resume")
        first.subscribe([topic])
        seen = take(first, 400)
        ends = {}
        for message in seen:
            ends[message.partition()] = message.offset() + 1
        first.commit(offsets=[TopicPartition(topic, *end) for end in ends.items()], asynchronous=False)
        first.close()
        second = self.consumer("resume")
        second.subscribe([topic])
        seen += take(second, RECORDS - 400)
        second.close()
        whole(sorted(triple(message) for message in seen))

    def reset_earliest(self):
        topic = self.topic("earliest", 1)
        self.produce(topic, 10)
        consumer = self.consumer("earliest", auto_offset_reset="earliest")
        consumer.subscribe([topic])
        equal(take(consumer, 1)[0].offset(), 0, "first offset")
        consumer.close()

    def reset_latest(self):
        topic = self.topic("latest", 1)
        self.produce(topic, 10)
        consumer = self.consumer("latest", auto_offset_reset="latest")
        consumer.subscribe([topic])
        spin([consumer], lambda: len(consumer.assignment()) == 1)
        first = until(15, lambda: self.produce(topic, 1) or consumer.poll(0.3), "a record made later")
        check(first.offset() >= 10, f"offset {first.offset()}, which was there before")
        consumer.close()

    def reset_none(self):
        topic = self.topic("none", 1)
        self.produce(topic, 10)
        consumer = self.consumer("none", auto_offset_reset="error")
        consumer.subscribe([topic])
        equal(first_error(consumer), KafkaError._AUTO_OFFSET_RESET, "error")
        consumer.close()

    def reset_duration(self):
        raise NotOffered("no such reset")

    def out_of_range(self):
        topic = self.topic("range", 1)
        self.produce(topic)
        done(self.admin.delete_records([TopicPartition(topic, 0, 500)]))
        self.read_from_before(topic, 500)

    def out_of_range_retention(self):
        """Records of long ago, which retention lets go at its next look, and a fresh one."""
        topic = self.topic("retention", 1)
        producer = Producer({"bootstrap.servers": self.bootstrap, "acks": "all"})
        for index in range(RECORDS):
            producer.produce(topic, value(index), timestamp=FIRST_TIME_MS + index)
        equal(producer.flush(20), 0, "records not acked")
        consumer = self.consumer("retention")
        until(40, lambda: watermarks(consumer, topic) == (RECORDS, RECORDS), "retention")
        consumer.close()
        self.produce(topic, 1)
        self.read_from_before(topic, RECORDS)

    def read_from_before(self, topic, first):
        """A consumer whose position lies before the first record goes there, or is refused where it may not."""
        resetting = self.consumer("range", auto_offset_reset="earliest")
        resetting.assign([TopicPartition(topic, 0, 3)])
        equal(take(resetting, 1)[0].offset(), first, "first offset after the reset")
        resetting.close()
        strict = self.consumer("range", auto_offset_reset="error")
        strict.assign([TopicPartition(topic, 0, 3)])
        equal(first_error(strict), KafkaError._AUTO_OFFSET_RESET, "error")
        strict.close()

    def offsets_for_times(self):
        topic = self.topic("times", 1)
        producer = Producer({"bootstrap.servers": self.bootstrap, "acks": "all"})
        for index in range(RECORDS):
            producer.produce(topic, value(index), timestamp=FIRST_TIME_MS + 1000 * index)
        equal(producer.flush(20), 0, "records not acked")
        consumer = self.consumer("times")

        def at(time_ms):
            return consumer.offsets_for_times([TopicPartition(topic, 0, time_ms)], timeout=10)[0].offset

        equal(at(FIRST_TIME_MS + 500_000), 500, "offset at a record's time")
        equal(at(FIRST_TIME_MS + 500_001), 501, "offset between two records")
        equal(at(0), 0, "offset before all")
        equal(at(FIRST_TIME_MS + 10_000_000), confluent_kafka.OFFSET_END, "offset after all")
        consumer.close()

    def rebalance(self, strategy, name):
        topic = self.topic(name, 4)
        members = [self.consumer(name, partition_assignment_strategy=strategy) for _ in range(2)]
        lost = []
        members[0].subscribe([topic], on_revoke=lambda _, partitions: lost.extend(one.partition for one in partitions))
        spin(members[:1], lambda: len(members[0].assignment()) == 4)
        members[1].subscribe([topic])
        spin(members, lambda: [len(one.assignment()) for one in members] == [2, 2])
        owned = [{one.partition for one in member.assignment()} for member in members]
        equal(owned[0] | owned[1], {0, 1, 2, 3}, "partitions owned")
        if strategy == "cooperative-sticky":
            equal(set(lost), owned[1], "only what moved was revoked")
        else:
            equal(set(lost), {0, 1, 2, 3}, "everything was revoked")
        members[1].close()
        spin(members[:1], lambda: len(members[0].assignment()) == 4)
        members[0].close()

    def static_membership(self):
        topic = self.topic("static", 4)
        stays = self.consumer("static", group_instance_id="stays")
        lost = []
        stays.subscribe([topic], on_revoke=lambda _, partitions: lost.append(partitions))
        goes = self.consumer("static", group_instance_id="goes")
        goes.subscribe([topic])
        spin([stays, goes], lambda: len(stays.assignment()) == 2 and len(goes.assignment()) == 2)
        owned = {one.partition for one in goes.assignment()}
        lost.clear()
        goes.close()
        back = self.consumer("static", group_instance_id="goes")
        back.subscribe([topic])
        spin([stays, back], lambda: len(back.assignment()) == 2)
        equal({one.partition for one in back.assignment()}, owned, "partitions after the return")
        equal(lost, [], "rebalances seen by the other member")
        back.close()
        stays.close()

    def admin_topics(self):
        topic = self.topic("listed")
        check(topic in self.admin.list_topics(timeout=10).topics, "the topic is not listed")
        future = self.admin.describe_topics(confluent_kafka.TopicCollection([topic]))[topic]
        description = future.result(10)
        equal(len(description.partitions), PARTITIONS, "partitions described")
        check(description.topic_id is not None, "no topic id")

    def admin_partitions(self):
        topic = self.topic("grow")
        done(self.admin.create_partitions([NewPartitions(topic, 6)]))
        until(10, lambda: len(self.admin.list_topics(topic, timeout=10).topics[topic].partitions) == 6, "6 partitions")

    def admin_configs(self):
        topic = self.topic("configs")
        resource = ConfigResource(ResourceType.TOPIC, topic)

        def retention():
            return list(self.admin.describe_configs([resource]).values())[0].result(10)["retention.ms"]

        check(retention().is_default, "retention.ms is not a default")
        change = ConfigEntry("retention.ms", "3600000", incremental_operation=AlterConfigOpType.SET)
        done(self.admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])]))
        until(10, lambda: retention().value == "3600000", "the new retention.ms")
        check(not retention().is_default, "a changed value called a default")

    def admin_delete_records(self):
        topic = self.topic("trim", 1)
        self.produce(topic)
        result = done(self.admin.delete_records([TopicPartition(topic, 0, 500)]))
        equal([one.low_watermark for one in result], [500], "low watermark told")
        consumer = self.consumer("trim")
        equal(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10), (500, RECORDS), "watermarks")
        consumer.close()

    def admin_groups(self):
        topic = self.topic("groups")
        self.produce(topic, 10)
        group = f"{self.prefix}-groups"
        consumer = self.consumer("groups")
        consumer.subscribe([topic])
        take(consumer, 10)
        consumer.commit(asynchronous=False)
        listed = self.admin.list_consumer_groups().result(10).valid
        check(group in [one.group_id for one in listed], "the group is not listed")
        described = self.admin.describe_consumer_groups([group])[group].result(10)
        equal(described.state, confluent_kafka.ConsumerGroupState.STABLE, "state")
        equal(len(described.members), 1, "members")
        consumer.close()
        query = confluent_kafka.ConsumerGroupTopicPartitions(group)
        offsets = self.admin.list_consumer_group_offsets([query])[group].result(10)
        equal(sum(max(one.offset, 0) for one in offsets.topic_partitions), 10, "committed in all")
        done(self.admin.delete_consumer_groups([group]))
        listed = self.admin.list_consumer_groups().result(10).valid
        check(group not in [one.group_id for one in listed], "the group is still listed")

    def recreate(self):
        topic = self.topic("again", 1)
        self.produce(topic, 10)
        done(self.admin.delete_topics([topic], operation_timeout=10))
        until(15, lambda: self.created_again(topic), "the topic made again")
        consumer = self.consumer("again")
        until(15, lambda: watermarks(consumer, topic) == (0, 0), "an empty topic")
        self.produce(topic, 3)
        equal([one.offset() for one in self.read(topic, 1, 3)], [0, 1, 2], "offsets in the new topic")
        consumer.close()

    def created_again(self, topic):
        try:
            self.topic("again", 1)
            return True
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return False
            raise


def watermarks(consumer, topic):
    """First and next offset of partition 0; none while the client does not know the topic again."""
    try:
        return consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
    except KafkaException as error:
        if error.args[0].code() in (KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART):
            return None
        raise


def done(futures):
    """Waits for admin futures."""
    return [future.result(20) for future in futures.values()]


def triple(message):
    """A message as the contract's checks take it."""
    return message.partition(), message.offset(), message.value()


def take(consumer, count, seconds=20):
    """Exactly `count` messages."""
    messages = []
    deadline = time.monotonic() + seconds
    while len(messages) < count and time.monotonic() < deadline:
        for message in consumer.consume(count - len(messages), 0.5):
            if message.error():
                raise KafkaException(message.error())
            messages.append(message)
    equal(len(messages), count, "messages within the time")
    return messages


def first_error(consumer, seconds=15):
    """The code of the first error that a consumer is told."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is not None:
            check(message.error(), f"a record at {message.offset()} instead of an error")
            return message.error().code()
    raise AssertionError("neither a record nor an error")


def spin(members, condition):
    """Polls all members until `condition` holds."""

    def once():
        for member in members:
            member.poll(0.05)
        return condition()

    until(30, once, "the assignment")


def main():
    """Runs what was asked for."""
    args = arguments()
    run = Scenarios(args)
    scenarios = {name: getattr(run, name.replace("-", "_")) for name in plain()}
    for codec in CODECS:
        scenarios[f"codec-{codec}"] = lambda codec=codec: run.codec(codec)
    scenarios["rebalance-range"] = lambda: run.rebalance("range", "rebalance")
    scenarios["rebalance-cooperative"] = lambda: run.rebalance("cooperative-sticky", "cooperative")
    play(CLIENT, VERSION, args, scenarios, {"out-of-range-retention": run.out_of_range_retention})


main()
