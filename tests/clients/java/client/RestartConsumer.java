import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * One producer and one consumer that live through restarts of the broker.
 *
 * <p>The producer sends numbered records until standard input ends; the consumer reads them with
 * {@code auto.offset.reset=none}, so that any reset of its position is an exception. The line printed at the end tells
 * whether each acked record came exactly once and in order.
 */
public final class RestartConsumer {
    private static final String SCENARIO = "ten-restarts";

    private RestartConsumer() {}

    /** Runs until standard input ends, then until every acked record is read, for at most half a minute. */
    public static void main(String[] args) {
        Contract contract = new Contract(args);
        contract.add(SCENARIO, () -> live(contract));
        contract.play("kafka-clients (Java)", JavaClient.version());
        Runtime.getRuntime().halt(0);
    }

    private static void live(Contract contract) throws Exception {
        String topic = contract.topic("restarts");
        String group = contract.topic("restarts");
        prepare(contract, topic, group);
        AtomicBoolean stop = new AtomicBoolean();
        AtomicInteger acked = new AtomicInteger();
        AtomicReference<Throwable> refused = new AtomicReference<>();
        Thread producer = new Thread(() -> produce(contract, topic, stop, acked, refused));
        producer.start();
        Map<Integer, Integer> seen = new HashMap<>();
        Map<Integer, Integer> last = new HashMap<>();
        try (KafkaConsumer<String, String> consumer = consumer(contract, group)) {
            consumer.subscribe(List.of(topic));
            long deadline = Long.MAX_VALUE;
            while (producer.isAlive() || seen.size() < acked.get()) {
                for (ConsumerRecord<String, String> one : consumer.poll(Duration.ofMillis(200))) {
                    int number = Integer.parseInt(one.value());
                    seen.merge(number, 1, Integer::sum);
                    int before = last.getOrDefault(one.partition(), -1);
                    Contract.check(number > before, "record " + number + " after " + before + ", at " + one.offset());
                    last.put(one.partition(), number);
                }
                consumer.commitSync(Duration.ofSeconds(30));
                if (stop.compareAndSet(false, System.in.available() > 0)) {
                    deadline = stop.get() ? System.nanoTime() + 30_000_000_000L : deadline;
                }
                Contract.check(System.nanoTime() < deadline, seen.size() + " of " + acked.get() + " records seen");
            }
        }
        Contract.equal(refused.get(), null, "what the producer was refused");
        Contract.check(acked.get() > 100, "only " + acked.get() + " records acked");
        Contract.equal(seen.size(), acked.get(), "different records seen, of those acked");
        Contract.equal(seen.values().stream().filter(times -> times != 1).count(), 0L, "records seen twice");
    }

    /** Makes the topic and gives the group a position, for a consumer without resets needs one. */
    private static void prepare(Contract contract, String topic, String group) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", contract.bootstrap()))) {
            admin.createTopics(List.of(new NewTopic(topic, Contract.PARTITIONS, contract.replication()))).all().get();
            Map<TopicPartition, OffsetAndMetadata> start = IntStream.range(0, Contract.PARTITIONS)
                    .mapToObj(one -> new TopicPartition(topic, one))
                    .collect(Collectors.toMap(one -> one, one -> new OffsetAndMetadata(0)));
            admin.alterConsumerGroupOffsets(group, start).all().get();
        }
        System.err.println("ready");
    }

    private static KafkaConsumer<String, String> consumer(Contract contract, String group) {
        Map<String, Object> config = Map.of(
                "bootstrap.servers", contract.bootstrap(),
                "group.id", group,
                "auto.offset.reset", "none",
                "enable.auto.commit", false,
                "reconnect.backoff.max.ms", 200);
        return new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    }

    private static void produce(
            Contract contract,
            String topic,
            AtomicBoolean stop,
            AtomicInteger acked,
            AtomicReference<Throwable> refused) {
        Map<String, Object> config = Map.of(
                "bootstrap.servers", contract.bootstrap(),
                "acks", "all",
                "enable.idempotence", true,
                "delivery.timeout.ms", 120_000,
                "reconnect.backoff.max.ms", 200);
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int number = 0; !stop.get(); number++) {
                byte[] value = Integer.toString(number).getBytes(StandardCharsets.UTF_8);
                producer.send(new ProducerRecord<>(topic, number % Contract.PARTITIONS, null, value), (done, error) -> {
                    if (error == null) {
                        acked.incrementAndGet();
                    } else {
                        refused.compareAndSet(null, error);
                    }
                });
                Thread.sleep(2);
            }
        } catch (InterruptedException error) {
            refused.compareAndSet(null, error);
        }
    }
}
