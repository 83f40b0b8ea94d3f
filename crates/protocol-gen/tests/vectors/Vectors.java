import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.zip.ZipFile;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.ArrayOf;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.CompactArrayOf;
import org.apache.kafka.common.protocol.types.Field;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.utils.internals.ByteUtils;

/**
 * Writes `vectors.txt`: messages as Kafka's own Java classes serialize them, for every message and version.
 *
 * A line is `value NAME VERSION BASE64` (random values, read and written again by the class) or
 * `default NAME VERSION BASE64` (a fresh object; `-` instead of bytes where the class refuses to write it), or
 * `api KEY NAME LISTENERS LOW HIGH HIGHEST_STABLE HEADERS` (versions of request and response header by version), or
 * `error CODE NAME RETRIABLE`.
 * Run with the jars of the pinned version, their slf4j and no logger:
 *   java -cp 'lib/*' Vectors.java lib/kafka-clients-V.jar lib/kafka-group-coordinator-V.jar ... > vectors.txt
 */
public class Vectors {
    static final Random RANDOM = new Random(440);

    public static void main(String[] jars) throws Exception {
        TreeMap<String, Class<?>> classes = new TreeMap<>();
        for (String jar : jars) {
            try (ZipFile zip = new ZipFile(jar)) {
                zip.stream().map(e -> e.getName()).filter(Vectors::mayBeMessage).forEach(name -> {
                    Class<?> type = load(name.substring(0, name.length() - 6).replace('/', '.'));
                    if (type != null) classes.put(type.getSimpleName().replaceAll("Data$", ""), type);
                });
            }
        }
        // The one name that ends in Data by itself.
        Class<?> principal = classes.remove("DefaultPrincipal");
        if (principal != null) classes.put("DefaultPrincipalData", principal);
        StringBuilder out = new StringBuilder();
        for (Errors error : Errors.values()) {
            boolean retriable = error.exception() instanceof RetriableException;
            out.append("error ").append(error.code()).append(' ').append(error).append(' ').append(retriable).append('\n');
        }
        for (ApiMessageType api : ApiMessageType.values()) out.append(describe(api));
        for (Map.Entry<String, Class<?>> entry : classes.entrySet()) {
            Class<?> type = entry.getValue();
            short low = type.getField("LOWEST_SUPPORTED_VERSION").getShort(null);
            short high = type.getField("HIGHEST_SUPPORTED_VERSION").getShort(null);
            Schema[] schemas = (Schema[]) type.getField("SCHEMAS").get(null);
            for (short version = low; version <= high; version++) {
                String head = " " + entry.getKey() + " " + version + " ";
                out.append("default").append(head).append(fresh(type, version)).append('\n');
                for (int i = 0; i < 2; i++) {
                    out.append("value").append(head).append(random(type, schemas[version], version)).append('\n');
                }
            }
        }
        System.out.print(out);
    }

    static String describe(ApiMessageType api) {
        short low = api.lowestSupportedVersion();
        short high = api.highestSupportedVersion(true);
        if (high < low) return "";
        TreeSet<String> listeners = new TreeSet<>();
        for (ApiMessageType.ListenerType listener : api.listeners()) listeners.add(listener.name().toLowerCase());
        StringBuilder headers = new StringBuilder();
        for (short v = low; v <= high; v++) {
            headers.append(v == low ? "" : ",").append(api.requestHeaderVersion(v)).append('/');
            headers.append(api.responseHeaderVersion(v));
        }
        return "api " + api.apiKey() + " " + api.name + " " + String.join(",", listeners) + " " + low + " " + high + " "
            + api.highestSupportedVersion(false) + " " + headers + "\n";
    }

    static boolean mayBeMessage(String name) {
        boolean folder = name.startsWith("org/apache/kafka/common/message/") || name.contains("/generated/");
        return folder && name.endsWith(".class") && !name.contains("$");
    }

    static Class<?> load(String name) {
        try {
            Class<?> type = Class.forName(name);
            return Message.class.isAssignableFrom(type) && !type.isInterface() ? type : null;
        } catch (ClassNotFoundException e) {
            return null;
        }
    }

    static String fresh(Class<?> type, short version) throws Exception {
        try {
            return encode((Message) type.getConstructor().newInstance(), version);
        } catch (NullPointerException | org.apache.kafka.common.errors.UnsupportedVersionException e) {
            return "-";
        }
    }

    static String random(Class<?> type, Schema schema, short version) throws Exception {
        ByteBuffer raw = ByteBuffer.allocate(1 << 20);
        write(raw, schema, 0, false);
        raw.flip();
        Message message = (Message) type.getConstructor().newInstance();
        message.read(new ByteBufferAccessor(raw), version);
        if (raw.hasRemaining()) throw new IllegalStateException(type + " left bytes");
        return encode(message, version);
    }

    static String encode(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        if (buffer.hasRemaining()) throw new IllegalStateException("size differs");
        String text = Base64.getEncoder().withoutPadding().encodeToString(buffer.array());
        return text.isEmpty() ? "=" : text;
    }

    static void write(ByteBuffer out, Type type, int depth, boolean tagged) {
        if (type instanceof TaggedFields) {
            writeTags(out, (TaggedFields) type, depth);
        } else if (type instanceof Schema) {
            if (type.isNullable()) {
                boolean present = RANDOM.nextInt(4) > 0;
                out.put((byte) (present ? 1 : tagged ? 0 : -1));
                if (!present) return;
            }
            for (BoundField field : ((Schema) type).fields()) write(out, field.def.type, depth + 1, false);
        } else if (type instanceof ArrayOf || type instanceof CompactArrayOf) {
            writeArray(out, type, depth);
        } else {
            writeValue(out, type);
        }
    }

    static void writeTags(ByteBuffer out, TaggedFields type, int depth) {
        List<Integer> tags = new ArrayList<>();
        for (int tag : type.fields().keySet()) if (RANDOM.nextInt(3) > 0) tags.add(tag);
        boolean unknown = RANDOM.nextInt(6) == 0;
        ByteUtils.writeUnsignedVarint(tags.size() + (unknown ? 1 : 0), out);
        for (int tag : tags) {
            Field field = type.fields().get(tag);
            ByteBuffer value = ByteBuffer.allocate(1 << 16);
            write(value, field.type, depth + 1, true);
            value.flip();
            ByteUtils.writeUnsignedVarint(tag, out);
            ByteUtils.writeUnsignedVarint(value.remaining(), out);
            out.put(value);
        }
        if (unknown) {
            ByteUtils.writeUnsignedVarint(100 + RANDOM.nextInt(1000), out);
            ByteUtils.writeUnsignedVarint(3, out);
            out.put(new byte[] {7, 8, 9});
        }
    }

    static void writeArray(ByteBuffer out, Type type, int depth) {
        boolean compact = type instanceof CompactArrayOf;
        int count = RANDOM.nextInt(5) == 0 ? 0 : depth > 4 ? 1 : 1 + RANDOM.nextInt(2);
        if (type.isNullable() && RANDOM.nextInt(5) == 0) count = -1;
        if (compact) ByteUtils.writeUnsignedVarint(count + 1, out);
        else out.putInt(count);
        Type element = type.arrayElementType().get();
        for (int i = 0; i < count; i++) write(out, element, depth + 1, false);
    }

    static void writeValue(ByteBuffer out, Type type) {
        String name = ((Type.DocumentedType) type).typeName();
        boolean nothing = type.isNullable() && RANDOM.nextInt(4) == 0;
        switch (name) {
            case "BOOLEAN": out.put((byte) RANDOM.nextInt(2)); break;
            case "INT8": out.put((byte) RANDOM.nextInt()); break;
            case "INT16": case "UINT16": out.putShort((short) RANDOM.nextInt()); break;
            case "INT32": case "UINT32": out.putInt(RANDOM.nextInt()); break;
            case "INT64": out.putLong(RANDOM.nextLong()); break;
            case "FLOAT64": out.putDouble(RANDOM.nextDouble()); break;
            case "UUID": out.putLong(RANDOM.nextLong()).putLong(RANDOM.nextLong()); break;
            case "STRING": case "NULLABLE_STRING": {
                byte[] text = text();
                out.putShort((short) (nothing ? -1 : text.length));
                if (!nothing) out.put(text);
                break;
            }
            case "BYTES": case "NULLABLE_BYTES": case "RECORDS": case "NULLABLE_RECORDS": {
                byte[] bytes = text();
                out.putInt(nothing ? -1 : bytes.length);
                if (!nothing) out.put(bytes);
                break;
            }
            case "COMPACT_STRING": case "COMPACT_NULLABLE_STRING": case "COMPACT_BYTES": case "COMPACT_NULLABLE_BYTES":
            case "COMPACT_RECORDS": case "COMPACT_NULLABLE_RECORDS": {
                byte[] bytes = text();
                ByteUtils.writeUnsignedVarint(nothing ? 0 : bytes.length + 1, out);
                if (!nothing) out.put(bytes);
                break;
            }
            default: throw new IllegalStateException("type " + name);
        }
    }

    static byte[] text() {
        StringBuilder text = new StringBuilder();
        for (int i = RANDOM.nextInt(7); i > 0; i--) text.append((char) ('a' + RANDOM.nextInt(26)));
        if (RANDOM.nextInt(8) == 0) text.append('\u00e9');
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }
}
