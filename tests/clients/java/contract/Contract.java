import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.BooleanSupplier;

/**
 * What every client program here has in common: its arguments, its data, and what it prints.
 *
 * <p>A program is started with {@code --bootstrap HOST:PORT --topic PREFIX [--scenario A,B] [--replication N]} and prints
 * one JSON line per scenario: client, version, scenario, ok, detail, seconds. "ok" is null where the library does not
 * offer the thing at all; "detail" then says so.
 */
final class Contract {
    static final int RECORDS = 1000;
    static final int PARTITIONS = 3;
    static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    /** Event times start here and go on in steps of one second. */
    static final long FIRST_TIME_MS = 1_600_000_000_000L;

    private final Map<String, String> arguments = new HashMap<>();
    private final Map<String, Body> scenarios = new LinkedHashMap<>();
    private final Set<String> onlyNamed = new HashSet<>();

    /** A scenario's body. */
    interface Body {
        void run() throws Exception;
    }

    /** The library has no way to do this. */
    static final class NotOffered extends RuntimeException {
        private static final long serialVersionUID = 1L;

        NotOffered(String reason) {
            super(reason);
        }
    }

    Contract(String[] args) {
        for (int index = 0; index + 1 < args.length; index += 2) {
            arguments.put(args[index].substring(2), args[index + 1]);
        }
    }

    String bootstrap() {
        return Objects.requireNonNull(arguments.get("bootstrap"), "--bootstrap");
    }

    String topic(String name) {
        return Objects.requireNonNull(arguments.get("topic"), "--topic") + "-" + name;
    }

    short replication() {
        return Short.parseShort(arguments.getOrDefault("replication", "3"));
    }

    void add(String name, Body body) {
        scenarios.put(name, body);
    }

    /** A scenario that needs a broker of its own, so it is run only where it is named. */
    void addNamed(String name, Body body) {
        add(name, body);
        onlyNamed.add(name);
    }

    /** Runs the chosen scenarios one after the other and prints a line for each. */
    void play(String client, String version) {
        String chosen = arguments.getOrDefault("scenario", "all");
        Set<String> names = Set.of(chosen.split(","));
        scenarios.forEach((name, body) -> {
            if (names.contains(name) || chosen.equals("all") && !onlyNamed.contains(name)) {
                report(client, version, name, body);
            }
        });
        System.out.flush();
    }

    private static void report(String client, String version, String name, Body body) {
        long began = System.nanoTime();
        Boolean ok = true;
        String detail = "";
        try {
            body.run();
        } catch (NotOffered reason) {
            ok = null;
            detail = reason.getMessage();
        } catch (Throwable error) {
            ok = false;
            detail = story(error);
        }
        double seconds = (System.nanoTime() - began) / 1e9;
        System.out.println("{\"client\":" + quoted(client) + ",\"version\":" + quoted(version) + ",\"scenario\":"
                + quoted(name) + ",\"ok\":" + ok + ",\"detail\":" + quoted(detail) + ",\"seconds\":" + seconds + "}");
        System.out.flush();
    }

    /** An error with its causes, short enough for one line. */
    private static String story(Throwable error) {
        StringBuilder text = new StringBuilder();
        for (Throwable one = error; one != null && text.length() < 600; one = one.getCause()) {
            text.append(one).append(" | ");
            for (StackTraceElement frame : one.getStackTrace()) {
                if (frame.getFileName() != null && frame.getFileName().endsWith(".java") && frame.getModuleName() == null && frame.getClassName().indexOf('.') < 0) {
                    text.append("at ").append(frame).append(" | ");
                }
            }
        }
        return text.toString();
    }

    private static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char one : text.toCharArray()) {
            if (one == '"' || one == '\\') {
                out.append('\\').append(one);
            } else if (one < ' ') {
                out.append(' ');
            } else {
                out.append(one);
            }
        }
        return out.append('"').toString();
    }

    static void check(boolean condition, String message) {
        if (!condition) {
            throw new AssertionError(message);
        }
    }

    static void equal(Object actual, Object expected, String what) {
        check(Objects.equals(actual, expected), what + ": " + actual + ", expected " + expected);
    }

    /** Calls {@code condition} until it holds, for at most {@code seconds}. */
    static void until(int seconds, String what, BooleanSupplier condition) throws InterruptedException {
        long deadline = System.nanoTime() + seconds * 1_000_000_000L;
        while (System.nanoTime() < deadline) {
            if (condition.getAsBoolean()) {
                return;
            }
            Thread.sleep(20);
        }
        throw new AssertionError(what + ": not within " + seconds + " s");
    }

    /** The value of a record: long enough for a codec to have something to do. */
    static byte[] value(int index) {
        return String.format("record-%06d-%s", index, "abcdefgh".repeat(8)).getBytes(StandardCharsets.UTF_8);
    }

    /** What the checks look at. */
    record Seen(int partition, long offset, String value) {}

    /** Checks that records are all of 0..RECORDS once, in order, without holes. */
    static void whole(List<Seen> records) {
        equal(records.size(), RECORDS, "records");
        List<Seen> sorted = new ArrayList<>(records);
        sorted.sort(Comparator.comparingInt(Seen::partition).thenComparingLong(Seen::offset));
        Map<Integer, Long> next = new HashMap<>();
        Map<Integer, String> last = new HashMap<>();
        Set<String> values = new HashSet<>();
        for (Seen one : sorted) {
            equal(one.offset(), next.getOrDefault(one.partition(), 0L), "offset in partition " + one.partition());
            next.put(one.partition(), one.offset() + 1);
            check(one.value().compareTo(last.getOrDefault(one.partition(), "")) > 0, "records out of order");
            last.put(one.partition(), one.value());
            values.add(one.value());
        }
        for (int index = 0; index < RECORDS; index++) {
            check(values.contains(new String(value(index), StandardCharsets.UTF_8)), "record " + index + " is missing");
        }
    }
}
