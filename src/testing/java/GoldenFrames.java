import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.ByteBuffer;
import java.util.Collection;
import java.util.HexFormat;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;

/**
 * Prints frames as Kafka's own classes encode them: `GoldenFrames ListOffsets:7:11 …` gives, for each version and both
 * directions, lines of JSON `[api, version, direction, variant, value, hex]`. The value is what Kafka's decoder makes of
 * the bytes, fields that the version lacks included (with Kafka's defaults), fields that no version of the range has left out.
 *
 * Variants: `full` has a value of its own in every field and unknown tagged fields in responses; `null` has null
 * wherever it is allowed and the smallest numbers; `default` is what Kafka puts into a field that nobody sets.
 */
public class GoldenFrames {
    private static final JsonNodeFactory JSON = JsonNodeFactory.instance;
    /** The smallest that JavaScript holds exactly. */
    private static final long SAFE_INTEGER_MIN = -(1L << 53) + 1;
    private static final int UNKNOWN_TAG = 1000;

    private int counter = 0;

    public static void main(String[] args) throws Exception {
        for (String arg : args) {
            String[] parts = arg.split(":");
            new GoldenFrames().print(parts[0], Integer.parseInt(parts[1]), Integer.parseInt(parts[2]));
        }
    }

    private void print(String api, int min, int max) throws Exception {
        ApiMessageType type = null;
        for (ApiMessageType candidate : ApiMessageType.values()) {
            if (candidate.name.equals(api)) type = candidate;
        }
        // An older Kafka has none of the newer APIs. A name that no Kafka has fails where codecs are generated.
        if (type == null) return;
        int lowest = Math.max(min, type.lowestSupportedVersion());
        int highest = Math.min(max, type.highestSupportedVersion(true));
        for (String direction : new String[] {"Request", "Response"}) {
            Schema[] schemas = direction.equals("Request") ? type.requestSchemas() : type.responseSchemas();
            Class<?> messageClass = Class.forName("org.apache.kafka.common.message." + api + direction + "Data");
            Set<String> spoken = new TreeSet<>();
            for (int version = lowest; version <= highest; version++) collectPaths(schemas[version], "", spoken);
            for (int version = lowest; version <= highest; version++) {
                for (String variant : new String[] {"full", "null", "default"}) {
                    counter = 0;
                    ApiMessage message;
                    if (variant.equals("default")) {
                        Set<String> present = new TreeSet<>();
                        collectPaths(schemas[version], "", present);
                        message = (ApiMessage) messageClass.getConstructor().newInstance();
                        addElements(message, "", present);
                    } else {
                        message = fromJson(messageClass, structOf(schemas[version], variant.equals("full")), version);
                    }
                    boolean isFlexible = hasTags(schemas[version]);
                    if (variant.equals("full") && direction.equals("Response") && isFlexible) addUnknownTags(message);
                    byte[] bytes = encode(message, version);
                    ApiMessage decoded = (ApiMessage) messageClass.getConstructor().newInstance();
                    decoded.read(new ByteBufferAccessor(ByteBuffer.wrap(bytes)), (short) version);
                    ArrayNode line = JSON.arrayNode().add(api).add(version).add(direction.toLowerCase(Locale.ROOT)).add(variant);
                    System.out.println(line.add(valueOf(decoded, "", spoken)).add(HexFormat.of().formatHex(bytes)));
                }
            }
        }
    }

    private static ApiMessage fromJson(Class<?> messageClass, JsonNode json, int version) throws Exception {
        return (ApiMessage) Class.forName(messageClass.getName() + "JsonConverter")
            .getMethod("read", JsonNode.class, short.class)
            .invoke(null, json, (short) version);
    }

    private static byte[] encode(ApiMessage message, int version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, (short) version));
        message.write(new ByteBufferAccessor(buffer), cache, (short) version);
        return buffer.array();
    }

    // What a version has, by Kafka's schemas

    private static boolean hasTags(Schema schema) {
        for (var field : schema.fields()) {
            if (field.def.type instanceof TaggedFields) return true;
        }
        return false;
    }

    private static void collectPaths(Schema schema, String prefix, Set<String> paths) {
        for (var bound : schema.fields()) {
            if (bound.def.type instanceof TaggedFields tags) {
                fieldsOf(tags).values().forEach(field -> collectPath(field.name, field.type, prefix, paths));
            } else {
                collectPath(bound.def.name, bound.def.type, prefix, paths);
            }
        }
    }

    private static void collectPath(
        String name, org.apache.kafka.common.protocol.types.Type type, String prefix, Set<String> paths) {
        String path = prefix + "." + camelCase(name);
        paths.add(path);
        if (type.isArray() && type.arrayElementType().get() instanceof Schema element) collectPaths(element, path, paths);
    }

    private JsonNode structOf(Schema schema, boolean isFull) {
        ObjectNode node = JSON.objectNode();
        for (var bound : schema.fields()) {
            if (bound.def.type instanceof TaggedFields tags) {
                fieldsOf(tags).values().forEach(field -> node.set(camelCase(field.name), jsonOf(field.name, field.type, isFull)));
            } else {
                node.set(camelCase(bound.def.name), jsonOf(bound.def.name, bound.def.type, isFull));
            }
        }
        return node;
    }

    private JsonNode jsonOf(String name, org.apache.kafka.common.protocol.types.Type type, boolean isFull) {
        if (type.isNullable() && !isFull) return JSON.nullNode();
        if (type instanceof Schema schema) return structOf(schema, isFull);
        if (type.isArray()) {
            ArrayNode array = JSON.arrayNode();
            for (int i = 0; i < (isFull ? 2 : 1); i++) array.add(jsonOf(name, type.arrayElementType().get(), isFull));
            return array;
        }
        counter++;
        String typeName = type.toString().replace("COMPACT_", "").replace("NULLABLE_", "");
        return switch (typeName) {
            case "BOOLEAN" -> JSON.booleanNode(isFull);
            case "INT8" -> JSON.numberNode(isFull ? 1 + counter % 100 : Byte.MIN_VALUE);
            // Error codes that exist: not every client survives others.
            case "INT16" -> name.endsWith("error_code")
                ? JSON.numberNode(isFull ? 1 + counter % 90 : -1)
                : JSON.numberNode(isFull ? 0x0100 + counter : Short.MIN_VALUE);
            case "INT32" -> JSON.numberNode(isFull ? 0x01020300 + counter : Integer.MIN_VALUE);
            case "INT64" -> JSON.numberNode(isFull ? 0x0001020380000000L + counter : SAFE_INTEGER_MIN);
            case "FLOAT64" -> JSON.numberNode(isFull ? counter + 0.1 : -Double.MIN_VALUE);
            case "STRING" -> JSON.textNode(isFull ? name + " " + counter + " \u00e4\u20ac\ud83d\ude00" : "");
            case "UUID" -> JSON.textNode((isFull ? new Uuid(0xfb01020304050607L, counter) : Uuid.ZERO_UUID).toString());
            case "BYTES" -> JSON.binaryNode(isFull ? new byte[] {(byte) counter, 0, -1} : new byte[0]);
            default -> throw new IllegalArgumentException(name + " has the type " + type);
        };
    }

    /** By reflection: its public method is new in Kafka 4. */
    @SuppressWarnings("unchecked")
    private static Map<Integer, org.apache.kafka.common.protocol.types.Field> fieldsOf(TaggedFields tags) {
        try {
            Field fields = TaggedFields.class.getDeclaredField("fields");
            fields.setAccessible(true);
            return (Map<Integer, org.apache.kafka.common.protocol.types.Field>) fields.get(tags);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    private static String camelCase(String name) {
        StringBuilder result = new StringBuilder();
        for (String part : name.split("_")) {
            result.append(result.isEmpty() ? part : Character.toUpperCase(part.charAt(0)) + part.substring(1));
        }
        return result.toString();
    }

    // What a message has, by reflection

    /** One element with Kafka's defaults in each array of structs, so that their defaults are seen too. */
    @SuppressWarnings("unchecked")
    private static void addElements(Object message, String prefix, Set<String> present) throws Exception {
        for (Field field : message.getClass().getDeclaredFields()) {
            Class<?> element = elementClass(field);
            String path = prefix + "." + field.getName();
            if (element == null || !present.contains(path)) continue;
            field.setAccessible(true);
            Collection<Object> collection = (Collection<Object>) field.get(message);
            if (collection == null) continue;
            Object added = element.getConstructor().newInstance();
            addElements(added, path, present);
            collection.add(added);
        }
    }

    private static void addUnknownTags(Message message) throws Exception {
        message.unknownTaggedFields().add(new RawTaggedField(UNKNOWN_TAG, new byte[] {1, 2, 3}));
        message.unknownTaggedFields().add(new RawTaggedField(UNKNOWN_TAG + 1, new byte[0]));
        for (Field field : message.getClass().getDeclaredFields()) {
            if (elementClass(field) == null) continue;
            field.setAccessible(true);
            Collection<?> collection = (Collection<?>) field.get(message);
            if (collection == null) continue;
            for (Object element : collection) addUnknownTags((Message) element);
        }
    }

    /** The class of the structs in an array; null for other fields. */
    private static Class<?> elementClass(Field field) {
        if (!Collection.class.isAssignableFrom(field.getType())) return null;
        Type type = field.getGenericType() instanceof ParameterizedType ? field.getGenericType() : field.getType().getGenericSuperclass();
        Class<?> element = (Class<?>) ((ParameterizedType) type).getActualTypeArguments()[0];
        return Message.class.isAssignableFrom(element) ? element : null;
    }

    private static JsonNode valueOf(Object value, String path, Set<String> spoken) throws Exception {
        if (value == null) return JSON.nullNode();
        if (value instanceof Boolean flag) return JSON.booleanNode(flag);
        if (value instanceof Double real) return JSON.numberNode(real);
        if (value instanceof Number number) return JSON.numberNode(number.longValue());
        if (value instanceof byte[] bytes) return bufferOf(bytes);
        if (value instanceof Collection<?> collection) {
            ArrayNode array = JSON.arrayNode();
            for (Object element : collection) array.add(valueOf(element, path, spoken));
            return array;
        }
        if (!(value instanceof Message)) return JSON.textNode(value.toString());
        ObjectNode node = JSON.objectNode();
        for (Field field : value.getClass().getDeclaredFields()) {
            String fieldPath = path + "." + field.getName();
            if (Modifier.isStatic(field.getModifiers()) || !spoken.contains(fieldPath)) continue;
            field.setAccessible(true);
            node.set(field.getName(), valueOf(field.get(value), fieldPath, spoken));
        }
        return node;
    }

    /** As JSON.stringify writes a Buffer of Node. */
    private static JsonNode bufferOf(byte[] bytes) {
        ObjectNode node = JSON.objectNode().put("type", "Buffer");
        ArrayNode data = node.putArray("data");
        for (byte octet : bytes) data.add(octet & 0xff);
        return node;
    }
}
