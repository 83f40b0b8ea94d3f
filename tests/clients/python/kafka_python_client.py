"""Scenarios for kafka-python."""

import time

import kafka
from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError, TopicAlreadyExistsError
from kafka.structs import OffsetAndMetadata

from contract import CODECS, FIRST_TIME_MS, PARTITIONS, RECORDS, NotOffered, arguments, check, equal, plain, play
from contract import until, value, whole

CLIENT = "kafka-python"


class Listener(ConsumerRebalanceListener):
    """Collects the partitions that were revoked."""

    def __init__(self):
        self.lost = []

    def on_partitions_revoked(self, revoked):
        self.lost.extend(one.partition for one in revoked)

    def on_partitions_assigned(self, assigned):
        pass


class Scenarios:
    """One method per scenario; each makes topics and groups of its own."""

    def __init__(self, args):
        self.bootstrap = args.bootstrap
        self.prefix = args.topic
        self.replication = args.replication
        self.admin = KafkaAdminClient(bootstrap_servers=args.bootstrap)

    # What the scenarios share.

    def topic(self, name, partitions=PARTITIONS):
        topic = f"{self.prefix}-{name}"
        options = {"num_partitions": partitions, "replication_factor": self.replication}
        self.admin.create_topics({topic: options}, wait_for_metadata=True)
        return topic

    def producer(self, **config):
        settings = {"bootstrap_servers": self.bootstrap, "acks": "all", "linger_ms": 5}
        return KafkaProducer(**(settings | config))

    def produce(self, topic, count=RECORDS, first=0, **config):
        producer = self.producer(**config)
        sent = [producer.send(topic, value(index)) for index in range(first, first + count)]
        producer.flush(20)
        for one in sent:
            one.get(1)
        producer.close()

    def consumer(self, group, **config):
        settings = {
            "bootstrap_servers": self.bootstrap,
            "group_id": f"{self.prefix}-{group}",
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "session_timeout_ms": 10000,
            "heartbeat_interval_ms": 500,
        }
        consumer = KafkaConsumer(**(settings | config))
        # A leader that assigns before it knows the topic gives out nothing and sometimes never looks again.
        consumer.topics()
        return consumer

    def read(self, topic, partitions=PARTITIONS, count=RECORDS):
        consumer = self.consumer("read-" + topic)
        consumer.assign([TopicPartition(topic, partition) for partition in range(partitions)])
        consumer.seek_to_beginning()
        messages = take(consumer, count)
        consumer.close()
        return messages

    # The scenarios.

    def create_topic(self):
        topic = self.topic("create")
        partitions = self.admin.describe_topics([topic])[0]["partitions"]
        equal(len(partitions), PARTITIONS, "partitions")
        check(all(one["leader_id"] >= 0 for one in partitions), "a partition without a leader")

    def codec(self, codec):
        topic = self.topic(f"codec-{codec}")
        self.produce(topic, compression_type=None if codec == "none" else codec)
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
            (b"\x00\xff", bytes(range(256)), [("a", b"1"), ("a", b"2"), ("c", b"")]),
        ]
        producer = self.producer()
        for index, (key, data, headers) in enumerate(sent):
            producer.send(topic, data, key, headers=headers, timestamp_ms=FIRST_TIME_MS + index)
        producer.flush(20)
        producer.close()
        read = self.read(topic, 1, len(sent))
        equal([(one.key, one.value, list(one.headers)) for one in read], sent, "records")
        equal([one.timestamp for one in read], [FIRST_TIME_MS + index for index in range(len(sent))], "timestamps")

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
        first = self.consumer("resume", max_poll_records=400)
        first.subscribe([topic])
        seen = take(first, 400)
        ends = {}
        for message in seen:
            ends[TopicPartition(topic, message.partition)] = OffsetAndMetadata(message.offset + 1, "", -1)
        first.commit(ends)
        first.close()
        second = self.consumer("resume")
        second.subscribe([topic])
        seen += take(second, RECORDS - len(seen))
        second.close()
        whole(sorted(triple(message) for message in seen))

    def reset_earliest(self):
        topic = self.topic("earliest", 1)
        self.produce(topic, 10)
        consumer = self.consumer("earliest", auto_offset_reset="earliest")
        consumer.subscribe([topic])
        equal(take(consumer, 10)[0].offset, 0, "first offset")
        consumer.close()

    def reset_latest(self):
        topic = self.topic("latest", 1)
        self.produce(topic, 10)
        consumer = self.consumer("latest", auto_offset_reset="latest")
        consumer.subscribe([topic])
        spin([consumer], lambda: len(consumer.assignment()) == 1)
        equal(consumer.position(TopicPartition(topic, 0)), 10, "position")
        self.produce(topic, 5, first=10)
        equal(take(consumer, 5)[0].offset, 10, "first offset")
        consumer.close()

    def reset_none(self):
        topic = self.topic("none", 1)
        self.produce(topic, 10)
        consumer = self.consumer("none", auto_offset_reset="none")
        consumer.subscribe([topic])
        first_error(consumer, NoOffsetForPartitionError)
        consumer.close()

    def reset_duration(self):
        raise NotOffered("no such reset")

    def out_of_range(self):
        topic = self.topic("range", 1)
        self.produce(topic)
        partition = TopicPartition(topic, 0)
        self.admin.delete_records({partition: 500})
        resetting = self.consumer("range", auto_offset_reset="earliest")
        resetting.assign([partition])
        resetting.seek(partition, 3)
        equal(take(resetting, RECORDS - 500)[0].offset, 500, "first offset after the reset")
        resetting.close()
        strict = self.consumer("range", auto_offset_reset="none")
        strict.assign([partition])
        strict.seek(partition, 3)
        first_error(strict, OffsetOutOfRangeError)
        strict.close()

    def offsets_for_times(self):
        topic = self.topic("times", 1)
        producer = self.producer()
        for index in range(RECORDS):
            producer.send(topic, value(index), timestamp_ms=FIRST_TIME_MS + 1000 * index)
        producer.flush(20)
        producer.close()
        consumer = self.consumer("times")
        partition = TopicPartition(topic, 0)

        def at(time_ms):
            found = consumer.offsets_for_times({partition: time_ms})[partition]
            return found and found.offset

        equal(at(FIRST_TIME_MS + 500_000), 500, "offset at a record's time")
        equal(at(FIRST_TIME_MS + 500_001), 501, "offset between two records")
        equal(at(0), 0, "offset before all")
        equal(at(FIRST_TIME_MS + 10_000_000), None, "offset after all")
        equal(consumer.beginning_offsets([partition])[partition], 0, "first offset")
        equal(consumer.end_offsets([partition])[partition], RECORDS, "end offset")
        consumer.close()

    def rebalance(self, assignor, name):
        topic = self.topic(name, 4)
        members = [self.consumer(name, partition_assignment_strategy=[assignor]) for _ in range(2)]
        listener = Listener()
        members[0].subscribe([topic], listener=listener)
        spin(members[:1], lambda: len(members[0].assignment()) == 4)
        members[1].subscribe([topic])
        spin(members, lambda: [len(one.assignment()) for one in members] == [2, 2])
        owned = [{one.partition for one in member.assignment()} for member in members]
        equal(owned[0] | owned[1], {0, 1, 2, 3}, "partitions owned")
        if assignor is CooperativeStickyAssignor:
            equal(set(listener.lost), owned[1], "only what moved was revoked")
        else:
            equal(set(listener.lost), {0, 1, 2, 3}, "everything was revoked")
        members[1].close()
        spin(members[:1], lambda: len(members[0].assignment()) == 4)
        members[0].close()

    def static_membership(self):
        topic = self.topic("static", 4)
        listener = Listener()
        stays = self.consumer("static", group_instance_id="stays")
        stays.subscribe([topic], listener=listener)
        goes = self.consumer("static", group_instance_id="goes")
        goes.subscribe([topic])
        spin([stays, goes], lambda: len(stays.assignment()) == 2 and len(goes.assignment()) == 2)
        owned = goes.assignment()
        listener.lost.clear()
        goes.close()
        back = self.consumer("static", group_instance_id="goes")
        back.subscribe([topic])
        spin([stays, back], lambda: len(back.assignment()) == 2)
        equal(back.assignment(), owned, "partitions after the return")
        equal(listener.lost, [], "rebalances seen by the other member")
        back.close()
        stays.close()

    def admin_topics(self):
        topic = self.topic("listed")
        check(topic in [str(one) if isinstance(one, str) else one["name"] for one in self.admin.list_topics()], "not listed")
        described = self.admin.describe_topics([topic])[0]
        equal(len(described["partitions"]), PARTITIONS, "partitions described")

    def admin_partitions(self):
        topic = self.topic("grow")
        self.admin.create_partitions({topic: 6})
        until(10, lambda: len(self.admin.describe_topics([topic])[0]["partitions"]) == 6, "6 partitions")

    def admin_configs(self):
        topic = self.topic("configs")

        def retention():
            asked = [ConfigResource("topic", topic)]
            return self.admin.describe_configs(asked, config_filter="all")["topic"][topic]["retention.ms"]

        before = retention()
        self.admin.alter_configs([ConfigResource("topic", topic, {"retention.ms": "3600000"})])
        until(10, lambda: str(retention()["value"]) == "3600000", "the new retention.ms")
        check(str(before["value"]) != "3600000", "the value was there before")

    def admin_delete_records(self):
        topic = self.topic("trim", 1)
        self.produce(topic)
        partition = TopicPartition(topic, 0)
        self.admin.delete_records({partition: 500})
        consumer = self.consumer("trim")
        equal(consumer.beginning_offsets([partition])[partition], 500, "first offset")
        consumer.close()

    def admin_groups(self):
        topic = self.topic("groups")
        self.produce(topic, 10)
        group = f"{self.prefix}-groups"
        consumer = self.consumer("groups")
        consumer.subscribe([topic])
        take(consumer, 10)
        consumer.commit()
        check(group in [one["group_id"] for one in self.admin.list_groups()], "the group is not listed")
        described = self.admin.describe_groups([group])[group]
        equal(described["group_state"], "Stable", "state")
        equal(len(described["members"]), 1, "members")
        consumer.close()
        offsets = self.admin.list_group_offsets(group)[group]
        equal(sum(one.offset for one in offsets.values()), 10, "committed in all")
        equal(self.admin.delete_groups([group]), {group: "OK"}, "the deletion")
        check(group not in [one["group_id"] for one in self.admin.list_groups()], "the group is still listed")

    def recreate(self):
        topic = self.topic("again", 1)
        self.produce(topic, 10)
        self.admin.delete_topics([topic])
        until(15, self.created_again, "the topic made again")
        consumer = self.consumer("again")
        equal(consumer.end_offsets([TopicPartition(topic, 0)])[TopicPartition(topic, 0)], 0, "end offset")
        consumer.close()
        self.produce(topic, 3)
        equal([one.offset for one in self.read(topic, 1, 3)], [0, 1, 2], "offsets in the new topic")

    def created_again(self):
        try:
            return self.topic("again", 1)
        except TopicAlreadyExistsError:
            return None


def triple(message):
    """A message as the contract's checks take it."""
    return message.partition, message.offset, message.value


def take(consumer, count, seconds=20):
    """`count` messages, as many as are polled with the last of them."""
    messages = []
    deadline = time.monotonic() + seconds
    while len(messages) < count and time.monotonic() < deadline:
        for batch in consumer.poll(timeout_ms=500).values():
            messages.extend(batch)
    check(len(messages) >= count, f"{len(messages)} messages within the time, expected {count}")
    return messages


def first_error(consumer, kind, seconds=15):
    """Polls until the consumer raises `kind`; a record is a failure."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            equal(consumer.poll(timeout_ms=500), {}, "records instead of an error")
        except kind:
            return
    raise AssertionError("neither a record nor an error")


def spin(members, condition):
    """Polls all members until `condition` holds."""

    def once():
        for member in members:
            member.poll(timeout_ms=50)
        return condition()

    until(30, once, "the assignment")


def main():
    """Runs what was asked for."""
    args = arguments()
    run = Scenarios(args)
    scenarios = {name: getattr(run, name.replace("-", "_")) for name in plain()}
    for codec in CODECS:
        scenarios[f"codec-{codec}"] = lambda codec=codec: run.codec(codec)
    scenarios["rebalance-range"] = lambda: run.rebalance(RangePartitionAssignor, "rebalance")
    scenarios["rebalance-cooperative"] = lambda: run.rebalance(CooperativeStickyAssignor, "cooperative")
    play(CLIENT, kafka.__version__, args, scenarios)


main()
