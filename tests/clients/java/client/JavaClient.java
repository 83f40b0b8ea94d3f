import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The scenarios for Apache Kafka's Java client. */
public final class JavaClient {
    private final Contract contract;
    private final Admin admin;

    private JavaClient(Contract contract) {
        this.contract = contract;
        this.admin = Admin.create(Map.of("bootstrap.servers", contract.bootstrap()));
    }

    /** Runs what was asked for. */
    public static void main(String[] args) {
        Contract contract = new Contract(args);
        JavaClient client = new JavaClient(contract);
        contract.add("create-topic", client::createTopic);
        for (String codec : Contract.CODECS) {
            contract.add("codec-" + codec, () -> client.codec(codec));
        }
        contract.add("idempotent", client::idempotent);
        contract.add("fidelity", client::fidelity);
        contract.add("group-consume", client::groupConsume);
        contract.add("commit-resume", client::commitResume);
        contract.add("reset-earliest", client::resetEarliest);
        contract.add("reset-latest", client::resetLatest);
        contract.add("reset-none", client::resetNone);
        contract.add("reset-duration", client::resetDuration);
        contract.add("out-of-range", client::outOfRange);
        contract.add("offsets-for-times", client::offsetsForTimes);
        contract.add("rebalance-range", () -> client.rebalance("rebalance", RangeAssignor.class));
        contract.add("rebalance-cooperative", () -> client.rebalance("cooperative", CooperativeStickyAssignor.class));
        contract.add("static-membership", client::staticMembership);
        contract.add("admin-topics", client::adminTopics);
        contract.add("admin-partitions", client::adminPartitions);
        contract.add("admin-configs", client::adminConfigs);
        contract.add("admin-delete-records", client::adminDeleteRecords);
        contract.add("admin-groups", client::adminGroups);
        contract.add("recreate", client::recreate);
        contract.addNamed("out-of-range-retention", client::outOfRangeRetention);
        contract.play("kafka-clients (Java)", version());
        client.admin.close(Duration.ofSeconds(5));
        System.exit(0);
    }

    /** The version that the client's jar names. */
    static String version() {
        Properties properties = new Properties();
        try (InputStream stream = Admin.class.getResourceAsStream("/kafka/kafka-version.properties")) {
            properties.load(stream);
        } catch (IOException error) {
            return "unknown";
        }
        return properties.getProperty("version", "unknown");
    }

    // What the scenarios share.

    private String topic(String name, int partitions) throws Exception {
        String topic = contract.topic(name);
        admin.createTopics(List.of(new NewTopic(topic, partitions, contract.replication()))).all().get();
        return topic;
    }

    private KafkaProducer<byte[], byte[]> producer(Map<String, Object> changes) {
        Map<String, Object> config = new HashMap<>(Map.of(
                "bootstrap.servers", contract.bootstrap(), "acks", "all", "linger.ms", 5));
        config.putAll(changes);
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private void send(List<ProducerRecord<byte[], byte[]>> records, Map<String, Object> changes) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(changes)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (ProducerRecord<byte[], byte[]> one : records) {
                sent.add(producer.send(one));
            }
            producer.flush();
            for (Future<RecordMetadata> one : sent) {
                one.get();
            }
        }
    }

    private void produce(String topic, int count, Map<String, Object> changes) throws Exception {
        send(IntStream.range(0, count)
                .mapToObj(index -> new ProducerRecord<byte[], byte[]>(topic, Contract.value(index)))
                .toList(), changes);
    }

    private Consumer<byte[], byte[]> consumer(String group, Map<String, Object> changes) {
        Map<String, Object> config = new HashMap<>(Map.of(
                "bootstrap.servers", contract.bootstrap(),
                "group.id", contract.topic(group),
                "auto.offset.reset", "earliest",
                "enable.auto.commit", false,
                "session.timeout.ms", 10_000,
                "heartbeat.interval.ms", 500));
        config.putAll(changes);
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static List<ConsumerRecord<byte[], byte[]>> take(Consumer<byte[], byte[]> consumer, int count) {
        List<ConsumerRecord<byte[], byte[]>> taken = new ArrayList<>();
        long deadline = System.nanoTime() + 20_000_000_000L;
        while (taken.size() < count && System.nanoTime() < deadline) {
            consumer.poll(Duration.ofMillis(200)).forEach(taken::add);
        }
        Contract.check(taken.size() >= count, taken.size() + " records within the time, expected " + count);
        return taken;
    }

    private List<ConsumerRecord<byte[], byte[]>> read(String topic, int partitions, int count) {
        try (Consumer<byte[], byte[]> consumer = consumer("read", Map.of())) {
            List<TopicPartition> all =
                    IntStream.range(0, partitions).mapToObj(one -> new TopicPartition(topic, one)).toList();
            consumer.assign(all);
            consumer.seekToBeginning(all);
            return take(consumer, count);
        }
    }

    private static List<Contract.Seen> seen(List<ConsumerRecord<byte[], byte[]>> records) {
        return records.stream()
                .map(one -> new Contract.Seen(
                        one.partition(), one.offset(), new String(one.value(), StandardCharsets.UTF_8)))
                .toList();
    }

    private void deleteRecords(String topic, long before) throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        long low = admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(before)))
                .lowWatermarks().get(partition).get().lowWatermark();
        Contract.equal(low, before, "low watermark told");
    }

    private long offset(String topic, OffsetSpec spec) throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        return admin.listOffsets(Map.of(partition, spec)).partitionResult(partition).get().offset();
    }

    /** Whether an offset is what it is to be; a topic that was made a moment ago may not be known everywhere yet. */
    private boolean offsetIs(String topic, OffsetSpec spec, long wanted) {
        try {
            return offset(topic, spec) == wanted;
        } catch (ExecutionException error) {
            if (error.getCause() instanceof RetriableException) {
                return false;
            }
            throw new AssertionError(error);
        } catch (Exception error) {
            throw new AssertionError(error);
        }
    }

    private TopicDescription described(String topic) {
        try {
            return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
        } catch (InterruptedException | ExecutionException error) {
            throw new AssertionError(error);
        }
    }

    // The scenarios.

    private void createTopic() throws Exception {
        TopicDescription found = described(topic("create", Contract.PARTITIONS));
        Contract.equal(found.partitions().size(), Contract.PARTITIONS, "partitions");
        Contract.check(found.partitions().stream().allMatch(one -> one.leader() != null), "a partition without a leader");
    }

    private void codec(String codec) throws Exception {
        String topic = topic("codec-" + codec, Contract.PARTITIONS);
        produce(topic, Contract.RECORDS, Map.of("compression.type", codec, "enable.idempotence", false));
        Contract.whole(seen(read(topic, Contract.PARTITIONS, Contract.RECORDS)));
    }

    private void idempotent() throws Exception {
        String topic = topic("idempotent", Contract.PARTITIONS);
        produce(topic, Contract.RECORDS, Map.of("enable.idempotence", true, "batch.size", 2048));
        Contract.whole(seen(read(topic, Contract.PARTITIONS, Contract.RECORDS)));
    }

    private void fidelity() throws Exception {
        String topic = topic("fidelity", 1);
        byte[] binary = new byte[256];
        for (int index = 0; index < binary.length; index++) {
            binary[index] = (byte) index;
        }
        List<Header> headers = List.of(
                new RecordHeader("a", new byte[] {1}),
                new RecordHeader("a", new byte[] {2}),
                new RecordHeader("b", (byte[]) null),
                new RecordHeader("c", new byte[0]));
        long time = Contract.FIRST_TIME_MS;
        List<ProducerRecord<byte[], byte[]>> sent = List.of(
                new ProducerRecord<>(topic, 0, time, null, "no key".getBytes(StandardCharsets.UTF_8)),
                new ProducerRecord<>(topic, 0, time + 1, "key".getBytes(StandardCharsets.UTF_8), (byte[]) null),
                new ProducerRecord<>(topic, 0, time + 2, new byte[0], new byte[0]),
                new ProducerRecord<>(topic, 0, time + 3, new byte[] {0, -1}, binary, headers));
        send(sent, Map.of());
        List<ConsumerRecord<byte[], byte[]>> read = read(topic, 1, sent.size());
        for (int index = 0; index < sent.size(); index++) {
            ConsumerRecord<byte[], byte[]> got = read.get(index);
            ProducerRecord<byte[], byte[]> want = sent.get(index);
            Contract.check(Arrays.equals(got.key(), want.key()), "key of record " + index);
            Contract.check(Arrays.equals(got.value(), want.value()), "value of record " + index);
            Contract.equal(got.timestamp(), want.timestamp(), "timestamp");
            Contract.equal(List.of(got.headers().toArray()), List.of(want.headers().toArray()), "headers");
        }
    }

    private void groupConsume() throws Exception {
        String topic = topic("group", Contract.PARTITIONS);
        produce(topic, Contract.RECORDS, Map.of());
        try (Consumer<byte[], byte[]> consumer = consumer("group", Map.of())) {
            consumer.subscribe(List.of(topic));
            Contract.whole(seen(take(consumer, Contract.RECORDS)));
        }
    }

    private void commitResume() throws Exception {
        String topic = topic("resume", Contract.PARTITIONS);
        produce(topic, Contract.RECORDS, Map.of());
        List<ConsumerRecord<byte[], byte[]>> taken;
        try (Consumer<byte[], byte[]> first = consumer("resume", Map.of("max.poll.records", 100))) {
            first.subscribe(List.of(topic));
            taken = new ArrayList<>(take(first, 400));
            first.commitSync();
        }
        try (Consumer<byte[], byte[]> second = consumer("resume", Map.of())) {
            second.subscribe(List.of(topic));
            taken.addAll(take(second, Contract.RECORDS - taken.size()));
        }
        Contract.whole(seen(taken));
    }

    private void resetEarliest() throws Exception {
        String topic = topic("earliest", 1);
        produce(topic, 10, Map.of());
        try (Consumer<byte[], byte[]> consumer = consumer("earliest", Map.of())) {
            consumer.subscribe(List.of(topic));
            Contract.equal(take(consumer, 10).get(0).offset(), 0L, "first offset");
        }
    }

    private void resetLatest() throws Exception {
        String topic = topic("latest", 1);
        produce(topic, 10, Map.of());
        try (Consumer<byte[], byte[]> consumer = consumer("latest", Map.of("auto.offset.reset", "latest"))) {
            consumer.subscribe(List.of(topic));
            spin(List.of(consumer), () -> consumer.assignment().size() == 1);
            Contract.equal(consumer.position(new TopicPartition(topic, 0)), 10L, "position");
            produce(topic, 5, Map.of());
            Contract.equal(take(consumer, 5).get(0).offset(), 10L, "first offset");
        }
    }

    private void resetNone() throws Exception {
        String topic = topic("none", 1);
        produce(topic, 10, Map.of());
        try (Consumer<byte[], byte[]> consumer = consumer("none", Map.of("auto.offset.reset", "none"))) {
            consumer.subscribe(List.of(topic));
            refused(consumer, NoOffsetForPartitionException.class);
        }
    }

    private void resetDuration() throws Exception {
        String topic = topic("duration", 1);
        long now = System.currentTimeMillis();
        send(List.of(
                new ProducerRecord<>(topic, 0, now - 7_200_000, null, Contract.value(0)),
                new ProducerRecord<>(topic, 0, now - 1_800_000, null, Contract.value(1))), Map.of());
        Map<String, Object> hour = Map.of("auto.offset.reset", "by_duration:PT1H");
        try (Consumer<byte[], byte[]> consumer = consumer("duration", hour)) {
            consumer.subscribe(List.of(topic));
            Contract.equal(take(consumer, 1).get(0).offset(), 1L, "first offset within the last hour");
        }
    }

    private void outOfRange() throws Exception {
        String topic = topic("range", 1);
        produce(topic, Contract.RECORDS, Map.of());
        deleteRecords(topic, 500);
        readFromBefore(topic, 500);
    }

    /** Records of long ago, which retention lets go at its next look, and a fresh one. */
    private void outOfRangeRetention() throws Exception {
        String topic = topic("retention", 1);
        send(IntStream.range(0, Contract.RECORDS)
                .mapToObj(one -> new ProducerRecord<byte[], byte[]>(
                        topic, 0, Contract.FIRST_TIME_MS + one, null, Contract.value(one)))
                .toList(), Map.of());
        Contract.until(40, "retention", () -> offsetIs(topic, OffsetSpec.earliest(), Contract.RECORDS));
        produce(topic, 1, Map.of());
        readFromBefore(topic, Contract.RECORDS);
    }

    /** A consumer whose position lies before the first record goes there, or is refused where it may not. */
    private void readFromBefore(String topic, long first) {
        TopicPartition partition = new TopicPartition(topic, 0);
        try (Consumer<byte[], byte[]> consumer = consumer("range", Map.of())) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 3);
            Contract.equal(take(consumer, 1).get(0).offset(), first, "first offset after the reset");
        }
        try (Consumer<byte[], byte[]> consumer = consumer("range", Map.of("auto.offset.reset", "none"))) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 3);
            refused(consumer, OffsetOutOfRangeException.class);
        }
    }

    private static void refused(Consumer<byte[], byte[]> consumer, Class<? extends RuntimeException> kind) {
        long deadline = System.nanoTime() + 15_000_000_000L;
        while (System.nanoTime() < deadline) {
            try {
                Contract.check(consumer.poll(Duration.ofMillis(200)).isEmpty(), "records instead of an error");
            } catch (RuntimeException error) {
                Contract.equal(error.getClass(), kind, "error");
                return;
            }
        }
        throw new AssertionError("neither a record nor an error");
    }

    private void offsetsForTimes() throws Exception {
        String topic = topic("times", 1);
        long first = Contract.FIRST_TIME_MS;
        send(IntStream.range(0, Contract.RECORDS)
                .mapToObj(one -> new ProducerRecord<byte[], byte[]>(topic, 0, first + 1000L * one, null, Contract.value(one)))
                .toList(), Map.of());
        TopicPartition partition = new TopicPartition(topic, 0);
        try (Consumer<byte[], byte[]> consumer = consumer("times", Map.of())) {
            OffsetAndTimestamp exact = consumer.offsetsForTimes(Map.of(partition, first + 500_000)).get(partition);
            Contract.equal(List.of(exact.offset(), exact.timestamp()), List.of(500L, first + 500_000), "at a record's time");
            OffsetAndTimestamp next = consumer.offsetsForTimes(Map.of(partition, first + 500_001)).get(partition);
            Contract.equal(next.offset(), 501L, "offset between two records");
            Contract.equal(
                    consumer.offsetsForTimes(Map.of(partition, first + 10_000_000)).get(partition), null, "after all");
            Contract.equal(consumer.beginningOffsets(List.of(partition)).get(partition), 0L, "first offset");
            Contract.equal(consumer.endOffsets(List.of(partition)).get(partition), (long) Contract.RECORDS, "end offset");
        }
        Contract.equal(offset(topic, OffsetSpec.maxTimestamp()), (long) Contract.RECORDS - 1, "offset of the latest time");
    }

    /** Collects the partitions that were revoked. */
    private static final class Losses implements ConsumerRebalanceListener {
        private final Set<Integer> lost = new HashSet<>();

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            partitions.forEach(one -> lost.add(one.partition()));
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {}
    }

    /** Polls all members until {@code condition} holds; what they read does not matter. */
    private static void spin(List<Consumer<byte[], byte[]>> members, BooleanSupplier condition) throws Exception {
        Contract.until(30, "the assignment", () -> {
            members.forEach(one -> one.poll(Duration.ofMillis(50)));
            return condition.getAsBoolean();
        });
    }

    private static Set<Integer> owned(Consumer<byte[], byte[]> member) {
        Set<Integer> owned = new HashSet<>();
        member.assignment().forEach(one -> owned.add(one.partition()));
        return owned;
    }

    private void rebalance(String name, Class<?> assignor) throws Exception {
        String topic = topic(name, 4);
        Map<String, Object> config = Map.of("partition.assignment.strategy", assignor.getName());
        Losses losses = new Losses();
        Consumer<byte[], byte[]> first = consumer(name, config);
        first.subscribe(List.of(topic), losses);
        spin(List.of(first), () -> owned(first).size() == 4);
        Consumer<byte[], byte[]> second = consumer(name, config);
        second.subscribe(List.of(topic));
        spin(List.of(first, second), () -> owned(first).size() == 2 && owned(second).size() == 2);
        Set<Integer> all = owned(first);
        all.addAll(owned(second));
        Contract.equal(all, Set.of(0, 1, 2, 3), "partitions owned");
        boolean cooperative = assignor == CooperativeStickyAssignor.class;
        Contract.equal(losses.lost, cooperative ? owned(second) : Set.of(0, 1, 2, 3), "partitions revoked");
        second.close();
        spin(List.of(first), () -> owned(first).size() == 4);
        first.close();
    }

    private void staticMembership() throws Exception {
        String topic = topic("static", 4);
        Losses losses = new Losses();
        Consumer<byte[], byte[]> stays = consumer("static", Map.of("group.instance.id", "stays"));
        stays.subscribe(List.of(topic), losses);
        Consumer<byte[], byte[]> goes = consumer("static", Map.of("group.instance.id", "goes"));
        goes.subscribe(List.of(topic));
        spin(List.of(stays, goes), () -> owned(stays).size() == 2 && owned(goes).size() == 2);
        Set<Integer> owned = owned(goes);
        losses.lost.clear();
        goes.close();
        Consumer<byte[], byte[]> back = consumer("static", Map.of("group.instance.id", "goes"));
        back.subscribe(List.of(topic));
        spin(List.of(stays, back), () -> owned(back).size() == 2);
        Contract.equal(owned(back), owned, "the same partitions");
        Contract.equal(losses.lost, Set.of(), "revocations seen by the other member");
        back.close();
        stays.close();
    }

    private void adminTopics() throws Exception {
        String topic = topic("listed", Contract.PARTITIONS);
        Contract.check(admin.listTopics().names().get().contains(topic), "the topic is not listed");
        TopicDescription found = described(topic);
        Contract.equal(found.partitions().size(), Contract.PARTITIONS, "partitions described");
        Contract.check(!found.topicId().toString().equals("AAAAAAAAAAAAAAAAAAAAAA"), "no topic id");
        Contract.check(admin.describeCluster().nodes().get().size() >= 1, "no node described");
        Contract.check(admin.describeCluster().clusterId().get() != null, "no cluster id");
    }

    private void adminPartitions() throws Exception {
        String topic = topic("grow", Contract.PARTITIONS);
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(6))).all().get();
        Contract.until(10, "6 partitions", () -> described(topic).partitions().size() == 6);
    }

    private void adminConfigs() throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic("configs", 1));
        Config before = admin.describeConfigs(List.of(resource)).all().get().get(resource);
        Contract.check(before.get("retention.ms").isDefault(), "retention.ms is not a default");
        AlterConfigOp set = new AlterConfigOp(new ConfigEntry("retention.ms", "3600000"), AlterConfigOp.OpType.SET);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(set))).all().get();
        Config after = admin.describeConfigs(List.of(resource)).all().get().get(resource);
        Contract.equal(after.get("retention.ms").value(), "3600000", "retention.ms");
        Contract.check(!after.get("retention.ms").isDefault(), "a changed value called a default");
        AlterConfigOp unset = new AlterConfigOp(new ConfigEntry("retention.ms", null), AlterConfigOp.OpType.DELETE);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(unset))).all().get();
        Config reset = admin.describeConfigs(List.of(resource)).all().get().get(resource);
        Contract.equal(reset.get("retention.ms").value(), before.get("retention.ms").value(), "retention.ms unset");
    }

    private void adminDeleteRecords() throws Exception {
        String topic = topic("trim", 1);
        produce(topic, Contract.RECORDS, Map.of());
        deleteRecords(topic, 500);
        Contract.equal(offset(topic, OffsetSpec.earliest()), 500L, "first offset");
        Contract.equal(offset(topic, OffsetSpec.latest()), (long) Contract.RECORDS, "end offset");
    }

    private void adminGroups() throws Exception {
        String topic = topic("groups", Contract.PARTITIONS);
        produce(topic, 10, Map.of());
        String group = contract.topic("groups");
        try (Consumer<byte[], byte[]> consumer = consumer("groups", Map.of())) {
            consumer.subscribe(List.of(topic));
            take(consumer, 10);
            consumer.commitSync();
            ConsumerGroupDescription found = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
            Contract.equal(found.groupState(), GroupState.STABLE, "state");
            Contract.equal(found.members().size(), 1, "members");
        }
        Contract.check(listed(group), "the group is not listed");
        Map<TopicPartition, OffsetAndMetadata> offsets =
                admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        Contract.equal(offsets.values().stream().mapToLong(OffsetAndMetadata::offset).sum(), 10L, "committed in all");
        admin.deleteConsumerGroups(List.of(group)).all().get();
        Contract.check(!listed(group), "the group is still listed");
    }

    private boolean listed(String group) throws Exception {
        return admin.listGroups().all().get().stream().anyMatch(one -> one.groupId().equals(group));
    }

    private void recreate() throws Exception {
        String topic = topic("again", 1);
        produce(topic, 10, Map.of());
        admin.deleteTopics(List.of(topic)).all().get();
        Contract.until(15, "the topic made again", () -> madeAgain(topic));
        Contract.until(15, "an empty topic", () -> offsetIs(topic, OffsetSpec.latest(), 0));
        produce(topic, 3, Map.of());
        Contract.equal(
                read(topic, 1, 3).stream().map(ConsumerRecord::offset).toList(), List.of(0L, 1L, 2L), "offsets");
    }

    private boolean madeAgain(String topic) {
        try {
            admin.createTopics(List.of(new NewTopic(topic, 1, contract.replication()))).all().get();
            return true;
        } catch (ExecutionException error) {
            if (error.getCause() instanceof TopicExistsException) {
                return false;
            }
            throw new AssertionError(error);
        } catch (InterruptedException error) {
            throw new AssertionError(error);
        }
    }
}
