import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.common.utils.Exit;

/**
 * The scenarios for Kafka's own command-line tools, each started through its {@code main} in this one virtual machine.
 *
 * <p>A tool's call of exit is turned into an exception, and what it prints is caught.
 */
public final class KafkaTools {
    private static final String TOOLS = "org.apache.kafka.tools.";
    private static final String GROUPS = TOOLS + "consumer.group.ConsumerGroupCommand";
    private static final String TOPICS = TOOLS + "TopicCommand";
    private static final String CONSUMER = TOOLS + "consumer.ConsoleConsumer";
    private static final int LINES = 100;

    /** What the tool under way wants done when its program ends; the console producer flushes here. */
    private static final List<Runnable> HOOKS = new ArrayList<>();

    /** What the tool under way first called exit with. */
    private static Integer exitCode;

    private final Contract contract;

    private KafkaTools(Contract contract) {
        this.contract = contract;
    }

    /** Runs what was asked for. */
    public static void main(String[] args) throws Exception {
        Exit.setExitProcedure((code, message) -> leave(code));
        Exit.setHaltProcedure((code, message) -> leave(code));
        Exit.setShutdownHookAdder((name, runnable) -> HOOKS.add(runnable));
        Contract contract = new Contract(args);
        KafkaTools tools = new KafkaTools(contract);
        contract.add("kafka-topics", tools::topics);
        contract.add("kafka-console-producer", tools::consoleProducer);
        contract.add("kafka-console-consumer", tools::consoleConsumer);
        contract.add("kafka-consumer-groups", tools::consumerGroups);
        contract.add("kafka-consumer-groups-reset", tools::resetOffsets);
        contract.add("kafka-configs", tools::configs);
        contract.add("kafka-get-offsets", tools::getOffsets);
        contract.add("kafka-delete-records", tools::deleteRecords);
        contract.add("kafka-log-dirs", tools::logDirs);
        contract.add("kafka-broker-api-versions", tools::apiVersions);
        contract.add("kafka-verifiable-producer", tools::verifiableProducer);
        contract.add("kafka-verifiable-consumer", tools::verifiableConsumer);
        contract.add("offsets-message-formatter", tools::offsetsFormatter);
        contract.add("group-metadata-formatter", tools::groupMetadataFormatter);
        contract.play("Kafka command-line tools", version());
        Runtime.getRuntime().halt(0);
    }

    /** Thrown in place of ending the program; a tool may catch it and call exit again, so the first code counts. */
    private static final class Exited extends RuntimeException {
        private static final long serialVersionUID = 1L;

        Exited() {
            super("exit", null, false, false);
        }
    }

    private static synchronized void leave(int code) {
        exitCode = exitCode == null ? Integer.valueOf(code) : exitCode;
        throw new Exited();
    }

    private static String version() throws IOException {
        Properties properties = new Properties();
        try (InputStream stream = Exit.class.getResourceAsStream("/kafka/kafka-version.properties")) {
            properties.load(stream);
        }
        return properties.getProperty("version", "unknown");
    }

    /** Runs a tool and gives what it printed; an exit other than zero ends the scenario. */
    private String tool(String name, String... args) throws Exception {
        return toolWithInput("", name, args);
    }

    private String toolWithInput(String input, String name, String... args) throws Exception {
        List<String> all = new ArrayList<>(List.of("--bootstrap-server", contract.bootstrap()));
        all.addAll(List.of(args));
        PrintStream out = System.out;
        PrintStream errors = System.err;
        InputStream in = System.in;
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        PrintStream caught = new PrintStream(printed, true, StandardCharsets.UTF_8);
        System.setOut(caught);
        System.setErr(caught);
        System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
        int code = 0;
        try {
            code = call(name, all);
        } finally {
            System.setOut(out);
            System.setErr(errors);
            System.setIn(in);
        }
        String text = printed.toString(StandardCharsets.UTF_8);
        Contract.equal(code, 0, "exit of " + name + " " + all + ", which printed " + text);
        return text;
    }

    private static int call(String name, List<String> args) throws Exception {
        if (name.equals(CONSUMER)) {
            // A fresh process would start from nought.
            Field count = Class.forName(name).getDeclaredField("messageCount");
            count.setAccessible(true);
            count.setInt(null, 0);
        }
        Method main = Class.forName(name).getMethod("main", String[].class);
        exitCode = null;
        try {
            main.invoke(null, (Object) args.toArray(String[]::new));
        } catch (InvocationTargetException error) {
            if (!(error.getCause() instanceof Exited)) {
                throw error;
            }
        } finally {
            List<Runnable> hooks = List.copyOf(HOOKS);
            HOOKS.clear();
            hooks.forEach(Runnable::run);
        }
        return exitCode == null ? 0 : exitCode;
    }

    /** Runs a tool that does its last work in a shutdown hook of its own in a program of its own. */
    private String process(String name, String... args) throws Exception {
        List<String> command = new ArrayList<>(List.of(
                ProcessHandle.current().info().command().orElse("java"), "-XX:TieredStopAtLevel=1",
                "-Dlog4j2.configurationFile=" + System.getProperty("log4j2.configurationFile", ""),
                "-cp", System.getProperty("java.class.path"), name, "--bootstrap-server", contract.bootstrap()));
        command.addAll(List.of(args));
        Process process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
        String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        Contract.equal(process.waitFor(), 0, "exit of " + name + ", which printed " + text);
        return text;
    }

    private String topic(String name, int partitions) throws Exception {
        String topic = contract.topic(name);
        tool(TOPICS, "--create", "--topic", topic, "--partitions", Integer.toString(partitions),
                "--replication-factor", Short.toString(contract.replication()));
        return topic;
    }

    /** Produces LINES records with keys and headers through the console producer. */
    private void produce(String topic) throws Exception {
        String input = IntStream.range(0, LINES)
                .mapToObj(index -> "h:" + index + "\tkey-" + index + "\tvalue-" + index)
                .collect(Collectors.joining("\n", "", "\n"));
        toolWithInput(input, TOOLS + "ConsoleProducer", "--topic", topic, "--request-required-acks", "all",
                "--reader-property", "parse.key=true", "--reader-property", "parse.headers=true");
    }

    private String consume(String topic, String group, int count) throws Exception {
        return tool(CONSUMER, "--topic", topic, "--group", group, "--from-beginning",
                "--max-messages", Integer.toString(count), "--timeout-ms", "20000",
                "--formatter-property", "print.key=true", "--formatter-property", "print.headers=true",
                "--command-property", "heartbeat.interval.ms=500");
    }

    private static List<String> lines(String text, String having) {
        return Arrays.stream(text.split("\n")).filter(line -> line.contains(having)).toList();
    }

    private static String last(String text, String having) {
        List<String> found = lines(text, having);
        Contract.check(!found.isEmpty(), "no \"" + having + "\" in: " + text);
        return found.get(found.size() - 1);
    }

    private static void has(String text, String wanted) {
        Contract.check(text.contains(wanted), "no \"" + wanted + "\" in: " + text);
    }

    // The scenarios.

    private void topics() throws Exception {
        String topic = topic("topics", 3);
        has(tool(TOPICS, "--list"), topic);
        has(tool(TOPICS, "--describe", "--topic", topic), "PartitionCount: 3");
        tool(TOPICS, "--alter", "--topic", topic, "--partitions", "5");
        Contract.until(10, "5 partitions", () -> described(topic).contains("PartitionCount: 5"));
        tool(TOPICS, "--delete", "--topic", topic);
        Contract.until(10, "the topic gone", () -> !listed().contains(topic));
    }

    private String described(String topic) {
        try {
            return tool(TOPICS, "--describe", "--topic", topic);
        } catch (Exception error) {
            throw new AssertionError(error);
        }
    }

    private String listed() {
        try {
            return tool(TOPICS, "--list");
        } catch (Exception error) {
            throw new AssertionError(error);
        }
    }

    private void consoleProducer() throws Exception {
        String topic = topic("console-out", 1);
        produce(topic);
        has(tool(TOOLS + "GetOffsetShell", "--topic", topic), topic + ":0:" + LINES);
    }

    private void consoleConsumer() throws Exception {
        String topic = topic("console-in", 3);
        produce(topic);
        String read = consume(topic, contract.topic("console-in"), LINES);
        for (int index = 0; index < LINES; index++) {
            has(read, "h:" + index + "\tkey-" + index + "\tvalue-" + index);
        }
        has(read, "Processed a total of " + LINES + " messages");
    }

    private void consumerGroups() throws Exception {
        String topic = topic("groups", 1);
        String group = contract.topic("groups");
        produce(topic);
        consume(topic, group, LINES);
        has(tool(GROUPS, "--list"), group);
        String offsets = tool(GROUPS, "--describe", "--group", group);
        String row = last(offsets, topic).replaceAll(" +", " ");
        has(row, group + " " + topic + " 0 100 100 0");
        has(tool(GROUPS, "--describe", "--group", group, "--state"), "Empty");
        tool(GROUPS, "--delete-offsets", "--group", group, "--topic", topic);
        has(tool(GROUPS, "--delete", "--group", group), "was successful");
        Contract.check(!lines(tool(GROUPS, "--list"), group).contains(group), "the group is still listed");
    }

    private void resetOffsets() throws Exception {
        String topic = topic("reset", 1);
        String group = contract.topic("reset");
        produce(topic);
        consume(topic, group, LINES);
        reset(group, topic, 0, "--to-earliest");
        reset(group, topic, 40, "--shift-by", "40");
        reset(group, topic, 25, "--shift-by", "-15");
        reset(group, topic, 7, "--to-offset", "7");
        reset(group, topic, 7, "--to-current");
        reset(group, topic, LINES, "--to-latest");
        reset(group, topic, 0, "--to-datetime", "2020-01-01T00:00:00.000Z");
        reset(group, topic, LINES, "--to-datetime", "2222-01-01T00:00:00.000Z");
        reset(group, topic, 0, "--by-duration", "PT1H");
        String read = consume(topic, group, LINES);
        has(read, "value-" + (LINES - 1));
    }

    private void reset(String group, String topic, long expected, String... how) throws Exception {
        List<String> args =
                new ArrayList<>(List.of("--reset-offsets", "--execute", "--group", group, "--topic", topic));
        args.addAll(List.of(how));
        String told = tool(GROUPS, args.toArray(String[]::new));
        String row = last(told, topic).trim().replaceAll(" +", " ");
        Contract.check(row.endsWith(topic + " 0 " + expected), List.of(how) + " gave: " + row + ", expected " + expected);
    }

    private void configs() throws Exception {
        String topic = topic("configs", 1);
        String configs = "kafka.admin.ConfigCommand";
        String[] entity = {"--entity-type", "topics", "--entity-name", topic};
        tool(configs, with(entity, "--alter", "--add-config", "retention.ms=3600000,cleanup.policy=[compact,delete]"));
        String described = tool(configs, with(entity, "--describe"));
        has(described, "retention.ms=3600000");
        has(described, "cleanup.policy=compact,delete");
        tool(configs, with(entity, "--alter", "--delete-config", "retention.ms"));
        Contract.check(!tool(configs, with(entity, "--describe")).contains("retention.ms=3600000"), "not deleted");
        has(tool(configs, with(entity, "--describe", "--all")), "retention.ms=604800000");
        has(tool(configs, "--entity-type", "brokers", "--entity-name", "1", "--describe", "--all"), "log.retention");
    }

    private static String[] with(String[] first, String... rest) {
        List<String> all = new ArrayList<>(List.of(first));
        all.addAll(List.of(rest));
        return all.toArray(String[]::new);
    }

    private void getOffsets() throws Exception {
        String topic = topic("offsets", 1);
        produce(topic);
        String shell = TOOLS + "GetOffsetShell";
        has(tool(shell, "--topic", topic, "--time", "latest"), topic + ":0:" + LINES);
        has(tool(shell, "--topic", topic, "--time", "earliest"), topic + ":0:0");
        has(tool(shell, "--topic", topic, "--time", "max-timestamp"), topic + ":0:");
        has(tool(shell, "--topic", topic, "--time", "1"), topic + ":0:0");
    }

    private void deleteRecords() throws Exception {
        String topic = topic("delete", 1);
        produce(topic);
        Path file = Files.createTempFile("delete", ".json");
        Files.writeString(file, "{\"partitions\":[{\"topic\":\"" + topic
                + "\",\"partition\":0,\"offset\":30}],\"version\":1}");
        has(tool(TOOLS + "DeleteRecordsCommand", "--offset-json-file", file.toString()), "low_watermark: 30");
        Files.delete(file);
        has(tool(TOOLS + "GetOffsetShell", "--topic", topic, "--time", "earliest"), topic + ":0:30");
    }

    private void logDirs() throws Exception {
        String topic = topic("dirs", 1);
        produce(topic);
        has(tool(TOOLS + "LogDirsCommand", "--describe", "--topic-list", topic), topic + "-0");
    }

    private void apiVersions() throws Exception {
        has(tool(TOOLS + "BrokerApiVersionsCommand"), "Produce(0)");
    }

    private void verifiableProducer() throws Exception {
        String topic = topic("verify-out", 3);
        String told = process(TOOLS + "VerifiableProducer", "--topic", topic, "--max-messages", "500", "--acks", "-1");
        Contract.equal(lines(told, "\"producer_send_success\"").size(), 500, "records acked");
        Contract.equal(lines(told, "\"producer_send_error\"").size(), 0, "errors");
    }

    private void verifiableConsumer() throws Exception {
        String topic = topic("verify-in", 3);
        process(TOOLS + "VerifiableProducer", "--topic", topic, "--max-messages", "500", "--acks", "-1");
        String told = process(TOOLS + "VerifiableConsumer", "--topic", topic, "--group-id", contract.topic("verify"),
                "--max-messages", "500", "--reset-policy", "earliest");
        int consumed = 0;
        for (String line : lines(told, "\"records_consumed\"")) {
            consumed += Integer.parseInt(line.replaceAll(".*\"records_consumed\",.*?\"count\":(\\d+).*", "$1"));
        }
        Contract.equal(consumed, 500, "records consumed, of what it printed: " + told);
        Contract.check(!lines(told, "\"offsets_committed\"").isEmpty(), "nothing committed");
    }

    private void offsetsFormatter() throws Exception {
        String topic = topic("formatter", 1);
        String group = contract.topic("formatter");
        produce(topic);
        consume(topic, group, LINES);
        String commit = internal("OffsetsMessageFormatter", group, "\"offset\":" + LINES + ",");
        has(commit, "\"topic\":\"" + topic + "\"");
        has(commit, "\"partition\":0");
        has(commit, "\"commitTimestamp\":");
    }

    private void groupMetadataFormatter() throws Exception {
        String topic = topic("metadata", 1);
        String group = contract.topic("metadata");
        produce(topic);
        consume(topic, group, LINES);
        String metadata = internal("GroupMetadataMessageFormatter", group, "\"protocolType\":\"consumer\"");
        has(metadata, "\"generation\":");
        has(metadata, "\"clientId\":");
    }

    /**
     * Prints the group's partition of the offsets topic, to its end, with one of Kafka's formatters, which put nothing
     * between two records, and gives the first record that names the group and has {@code wanted}.
     */
    private String internal(String formatter, String group, String wanted) throws Exception {
        int partition = Math.abs(group.hashCode()) % 50;
        String where = "__consumer_offsets:" + partition;
        String end = tool(TOOLS + "GetOffsetShell", "--topic-partitions", where, "--time", "latest");
        String records = last(end, where).trim().replace(where + ":", "");
        String told = tool(CONSUMER, "--topic", "__consumer_offsets", "--partition", Integer.toString(partition),
                "--offset", "earliest", "--max-messages", records, "--timeout-ms", "20000",
                "--formatter", TOOLS + "consumer." + formatter);
        for (String one : told.split("(?=\\{\"key\":\\{)")) {
            if (one.contains("\"" + group + "\"") && one.contains(wanted)) {
                return one;
            }
        }
        throw new AssertionError("no " + wanted + " of " + group + " in: " + told);
    }
}
