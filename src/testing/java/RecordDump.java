import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads topics with Kafka's own consumer, so that our codecs never only meet themselves.
 *
 * <p>One argument, a JSON request: {"mode": "digest" | "records", "reads": [{"bootstrap", "isolation", "topics": [...],
 * "every": 1000, "timestamps": true, "ranges": [{"topic", "partition", "from", "to"}]}]}. Partitions are read from the
 * beginning up to the end offset as of the start: the high watermark at read_uncommitted, the last stable offset at
 * read_committed. The reads run at the same time.
 *
 * <p>"digest" prints one JSON line for each read: an array of partitions. A chunk is the SHA-256 of the records whose
 * offset divided by "every" gives the same number, so a chunk stands for the same offsets on both sides whatever holes
 * there are; the digest of a partition is the SHA-256 of its chunks. "records" prints a line for each record of
 * "ranges" and an empty line after each read.
 */
public final class RecordDump {
  private static final ObjectMapper JSON = new ObjectMapper();
  /** Longer keys and values are shown by length and hash: a line stays a line with records of 5 MB. */
  private static final int SHOWN_BYTES_MAX = 64;
  /** The consumer is given up on when a partition gets nothing for this long before its end. */
  private static final long STALL_MS = 30_000;

  public static void main(String[] args) throws Exception {
    JsonNode request = JSON.readTree(args[0]);
    boolean digest = request.get("mode").asText().equals("digest");
    List<JsonNode> reads = new ArrayList<>();
    request.get("reads").forEach(reads::add);
    ExecutorService threads = Executors.newFixedThreadPool(reads.size());
    try (OutputStream out = new BufferedOutputStream(System.out, 1 << 16)) {
      if (digest) {
        List<Future<byte[]>> answers = new ArrayList<>();
        for (JsonNode read : reads) answers.add(threads.submit((Callable<byte[]>) () -> digests(read)));
        for (Future<byte[]> answer : answers) {
          out.write(answer.get());
          out.write('\n');
        }
      } else {
        for (JsonNode read : reads) {
          printRecords(read, out);
          out.write('\n');
        }
      }
    } finally {
      threads.shutdownNow();
    }
  }

  private static KafkaConsumer<byte[], byte[]> consumer(JsonNode read) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", read.get("bootstrap").asText());
    properties.put("isolation.level", read.get("isolation").asText());
    properties.put("enable.auto.commit", "false");
    properties.put("auto.offset.reset", "none");
    properties.put("check.crcs", "true");
    properties.put("fetch.max.bytes", String.valueOf(64 << 20));
    properties.put("max.partition.fetch.bytes", String.valueOf(8 << 20));
    properties.put("max.poll.records", "20000");
    properties.put("receive.buffer.bytes", String.valueOf(1 << 20));
    properties.put("allow.auto.create.topics", "false");
    return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  private static List<TopicPartition> partitionsOf(KafkaConsumer<?, ?> consumer, JsonNode topics) {
    List<TopicPartition> partitions = new ArrayList<>();
    for (JsonNode topic : topics) {
      List<PartitionInfo> infos = consumer.partitionsFor(topic.asText());
      if (infos.isEmpty()) throw new IllegalArgumentException("topic " + topic.asText() + " does not exist");
      for (PartitionInfo info : infos) partitions.add(new TopicPartition(info.topic(), info.partition()));
    }
    return partitions;
  }

  private interface Visitor {
    void visit(ConsumerRecord<byte[], byte[]> record) throws IOException;
  }

  /** Reads each partition from its offset in `from` up to, not including, its offset in `to`. */
  private static void readAll(
      KafkaConsumer<byte[], byte[]> consumer, Map<TopicPartition, Long> from, Map<TopicPartition, Long> to, Visitor visitor)
      throws IOException {
    List<TopicPartition> left = new ArrayList<>();
    to.forEach((partition, end) -> {
      if (from.get(partition) < end) left.add(partition);
    });
    consumer.assign(left);
    for (TopicPartition partition : left) consumer.seek(partition, from.get(partition));
    long progress = System.nanoTime();
    while (!left.isEmpty()) {
      ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(200));
      for (ConsumerRecord<byte[], byte[]> record : records) {
        if (record.offset() < to.get(new TopicPartition(record.topic(), record.partition()))) visitor.visit(record);
      }
      // The position passes control records, aborted records and holes too, so it reaches the end where no record does.
      List<TopicPartition> ended = left.stream().filter(partition -> consumer.position(partition) >= to.get(partition)).toList();
      left.removeAll(ended);
      consumer.pause(ended);
      if (!ended.isEmpty() || !records.isEmpty()) progress = System.nanoTime();
      else if ((System.nanoTime() - progress) / 1_000_000 > STALL_MS) {
        TopicPartition first = left.get(0);
        throw new IllegalStateException(
            first + " gives nothing at offset " + consumer.position(first) + " of " + to.get(first));
      }
    }
  }

  /** The digest of one partition as it grows. */
  private static final class PartitionDigest {
    private final TopicPartition partition;
    private final int every;
    private final boolean withTimestamps;
    private final MessageDigest chunk = sha256();
    private final MessageDigest all = sha256();
    private final List<Long> chunkNumbers = new ArrayList<>();
    private final List<String> chunks = new ArrayList<>();
    private final ByteBuffer number = ByteBuffer.allocate(8);
    private long chunkNumber = -1;
    private long count = 0;
    private long bytes = 0;
    private long logAppendTime = 0;
    private long firstOffset = -1;
    private long lastOffset = -1;

    PartitionDigest(TopicPartition partition, int every, boolean withTimestamps) {
      this.partition = partition;
      this.every = every;
      this.withTimestamps = withTimestamps;
    }

    void add(ConsumerRecord<byte[], byte[]> record) {
      if (record.offset() / every != chunkNumber) {
        endChunk();
        chunkNumber = record.offset() / every;
      }
      if (count++ == 0) firstOffset = record.offset();
      lastOffset = record.offset();
      if (record.timestampType() == TimestampType.LOG_APPEND_TIME) logAppendTime++;
      putLong(chunk, record.offset());
      if (withTimestamps) putLong(chunk, record.timestamp());
      putBytes(record.key());
      putBytes(record.value());
      for (Header header : record.headers()) {
        putBytes(header.key().getBytes(StandardCharsets.UTF_8));
        putBytes(header.value());
      }
      putLong(chunk, -2); // ends the headers, which have no count in front: -2 is the length of nothing
    }

    private void endChunk() {
      if (chunkNumber < 0) return;
      byte[] digest = chunk.digest();
      putLong(all, chunkNumber);
      all.update(digest);
      chunkNumbers.add(chunkNumber);
      chunks.add(HexFormat.of().formatHex(digest, 0, 16));
    }

    private void putLong(MessageDigest digest, long value) {
      digest.update(number.clear().putLong(value).array());
    }

    private void putBytes(byte[] value) {
      putLong(chunk, value == null ? -1 : value.length);
      if (value == null) return;
      chunk.update(value);
      bytes += value.length;
    }

    void print(JsonGenerator json, long beginning, long end) throws IOException {
      endChunk();
      json.writeStartObject();
      json.writeStringField("topic", partition.topic());
      json.writeNumberField("partition", partition.partition());
      json.writeNumberField("beginningOffset", beginning);
      json.writeNumberField("endOffset", end);
      json.writeNumberField("count", count);
      json.writeNumberField("bytes", bytes);
      json.writeNumberField("firstOffset", firstOffset);
      json.writeNumberField("lastOffset", lastOffset);
      json.writeNumberField("logAppendTime", logAppendTime);
      json.writeStringField("digest", HexFormat.of().formatHex(all.digest()));
      json.writeArrayFieldStart("chunks");
      for (int i = 0; i < chunks.size(); i++) {
        json.writeStartArray();
        json.writeNumber(chunkNumbers.get(i));
        json.writeString(chunks.get(i));
        json.writeEndArray();
      }
      json.writeEndArray();
      json.writeEndObject();
    }
  }

  private static byte[] digests(JsonNode read) throws IOException {
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(read)) {
      List<TopicPartition> partitions = partitionsOf(consumer, read.get("topics"));
      consumer.assign(partitions);
      Map<TopicPartition, Long> beginnings = consumer.beginningOffsets(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      Map<TopicPartition, PartitionDigest> digests = new HashMap<>();
      for (TopicPartition partition : partitions) {
        digests.put(
            partition, new PartitionDigest(partition, read.get("every").asInt(), read.get("timestamps").asBoolean()));
      }
      readAll(consumer, beginnings, ends, record -> digests.get(new TopicPartition(record.topic(), record.partition())).add(record));
      java.io.ByteArrayOutputStream answer = new java.io.ByteArrayOutputStream();
      try (JsonGenerator json = JSON.createGenerator(answer)) {
        json.writeStartArray();
        for (TopicPartition partition : partitions) {
          digests.get(partition).print(json, beginnings.get(partition), ends.get(partition));
        }
        json.writeEndArray();
      }
      return answer.toByteArray();
    }
  }

  private static void printRecords(JsonNode read, OutputStream out) throws IOException {
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(read)) {
      Map<TopicPartition, Long> from = new HashMap<>();
      Map<TopicPartition, Long> to = new HashMap<>();
      for (JsonNode range : read.get("ranges")) {
        TopicPartition partition = new TopicPartition(range.get("topic").asText(), range.get("partition").asInt());
        consumer.assign(List.of(partition));
        long beginning = consumer.beginningOffsets(List.of(partition)).get(partition);
        long end = consumer.endOffsets(List.of(partition)).get(partition);
        from.put(partition, Math.max(beginning, range.get("from").asLong()));
        to.put(partition, Math.min(end, range.get("to").asLong()));
      }
      readAll(consumer, from, to, record -> {
        out.write(JSON.writeValueAsBytes(shown(record)));
        out.write('\n');
      });
    }
  }

  private static Map<String, Object> shown(ConsumerRecord<byte[], byte[]> record) {
    Map<String, Object> line = new java.util.LinkedHashMap<>();
    line.put("topic", record.topic());
    line.put("partition", record.partition());
    line.put("offset", record.offset());
    line.put("timestamp", record.timestamp());
    line.put("timestampType", record.timestampType().name);
    record.leaderEpoch().ifPresent(epoch -> line.put("leaderEpoch", epoch));
    line.put("key", shown(record.key()));
    line.put("value", shown(record.value()));
    List<Object> headers = new ArrayList<>();
    for (Header header : record.headers()) {
      List<Object> pair = new ArrayList<>();
      pair.add(header.key());
      pair.add(shown(header.value()));
      headers.add(pair);
    }
    line.put("headers", headers);
    return line;
  }

  private static String shown(byte[] bytes) {
    if (bytes == null) return null;
    if (bytes.length <= SHOWN_BYTES_MAX) return HexFormat.of().formatHex(bytes);
    return bytes.length + " bytes, sha256 " + HexFormat.of().formatHex(sha256().digest(bytes));
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (java.security.NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible);
    }
  }
}
