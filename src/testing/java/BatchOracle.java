import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Iterator;
import java.util.List;
import java.util.Random;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.utils.BufferSupplier;
import org.apache.kafka.common.utils.ByteBufferOutputStream;
import org.apache.kafka.common.utils.CloseableIterator;

/**
 * Writes and reads record batches with Kafka's own classes: those of its clients, its log and its cleaner.
 *
 * <p>"write SEED" prints a JSON line for each of a collection of batches: how it came to be ("name"), its bytes in base64
 * ("batch"), and what Kafka reads in it. "read" takes lines of base64, one batch each, and prints what Kafka reads in
 * it, or {"error": …}. Keys, values and headers are base64; the CRC is always checked.
 */
public final class BatchOracle {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final long NOW = 1_700_000_000_000L;

  public static void main(String[] args) throws IOException {
    try (PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8)) {
      if (args[0].equals("write")) write(new Random(Long.parseLong(args[1])), out);
      else read(out);
    }
  }

  private static void read(PrintStream out) throws IOException {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      try {
        out.println(describe(ByteBuffer.wrap(Base64.getDecoder().decode(line))));
      } catch (RuntimeException error) {
        out.println(JSON.createObjectNode().put("error", error.toString()));
      }
    }
  }

  private static void write(Random random, PrintStream out) {
    for (CompressionType type : CompressionType.values()) {
      Compression codec = Compression.of(type).build();
      List<SimpleRecord> odd = oddRecords(random);
      print(out, type + " odd", build(codec, TimestampType.CREATE_TIME, 1000, -1, odd));
      print(out, type + " idempotent", build(codec, TimestampType.CREATE_TIME, 7, 4711, odd));
      print(out, type + " log append time", build(codec, TimestampType.LOG_APPEND_TIME, 0, -1, odd));
      print(out, type + " large", build(codec, TimestampType.CREATE_TIME, 1L << 40, -1, largeRecords(random)));
      print(out, type + " compacted", compact(build(codec, TimestampType.CREATE_TIME, 20, 5, odd), false));
      print(out, type + " emptied", compact(build(codec, TimestampType.CREATE_TIME, 20, 5, odd), true));
      print(
          out,
          type + " transactional",
          MemoryRecords.withTransactionalRecords(30, codec, 6, (short) 2, 0, 9, odd.toArray(new SimpleRecord[0])).buffer());
    }
    EndTransactionMarker marker = new EndTransactionMarker(ControlRecordType.ABORT, 3);
    print(out, "control", MemoryRecords.withEndTransactionMarker(77, NOW, 1, 6, (short) 2, marker).buffer());
  }

  private static void print(PrintStream out, String name, ByteBuffer batch) {
    byte[] bytes = new byte[batch.remaining()];
    batch.duplicate().get(bytes);
    ObjectNode line = JSON.createObjectNode().put("name", name).put("batch", Base64.getEncoder().encodeToString(bytes));
    line.setAll(describe(ByteBuffer.wrap(bytes)));
    out.println(line);
  }

  /** Every combination of null, empty and filled key and value; headers repeated, empty, null; timestamps going back. */
  private static List<SimpleRecord> oddRecords(Random random) {
    List<SimpleRecord> records = new ArrayList<>();
    List<byte[]> choices = Arrays.asList(null, new byte[0], randomBytes(random, 1 + random.nextInt(100)));
    for (byte[] key : choices) {
      for (byte[] value : choices) {
        List<Header> headers = new ArrayList<>();
        for (int i = random.nextInt(4); i > 0; i--) {
          String name = random.nextBoolean() ? "" : "a-\u00fc".substring(random.nextInt(3));
          headers.add(new RecordHeader(name, choices.get(random.nextInt(3))));
        }
        long[] timestamps = {-1, 0, NOW, NOW - 40L * 86_400_000, NOW + random.nextInt(), 1L << 41};
        long timestamp = timestamps[random.nextInt(timestamps.length)];
        records.add(new SimpleRecord(timestamp, key, value, headers.toArray(new Header[0])));
      }
    }
    return records;
  }

  /** More than one block of every codec, of bytes that it can shorten and bytes that it cannot. */
  private static List<SimpleRecord> largeRecords(Random random) {
    List<SimpleRecord> records = new ArrayList<>();
    for (int i = 0; i < 200; i++) {
      byte[] value = ("{\"id\":" + random.nextInt() + ",\"note\":\"" + "lorem ipsum ".repeat(60) + "\"}").getBytes(StandardCharsets.UTF_8);
      records.add(new SimpleRecord(NOW + i, ("key-" + i).getBytes(StandardCharsets.UTF_8), value));
    }
    records.add(new SimpleRecord(NOW, null, randomBytes(random, 300_000)));
    return records;
  }

  private static byte[] randomBytes(Random random, int length) {
    byte[] bytes = new byte[length];
    random.nextBytes(bytes);
    return bytes;
  }

  private static ByteBuffer build(Compression codec, TimestampType type, long baseOffset, long producerId, List<SimpleRecord> records) {
    MemoryRecordsBuilder builder =
        new MemoryRecordsBuilder(
            new ByteBufferOutputStream(1024),
            RecordBatch.MAGIC_VALUE_V2,
            codec,
            type,
            baseOffset,
            type == TimestampType.LOG_APPEND_TIME ? NOW : RecordBatch.NO_TIMESTAMP,
            producerId,
            producerId < 0 ? RecordBatch.NO_PRODUCER_EPOCH : 1,
            producerId < 0 ? RecordBatch.NO_SEQUENCE : Integer.MAX_VALUE,
            false,
            false,
            4,
            Integer.MAX_VALUE);
    for (SimpleRecord record : records) builder.append(record);
    return builder.build().buffer();
  }

  /** What the log cleaner makes of the batch: every second record, with a delete horizon; or none, only the header. */
  private static ByteBuffer compact(ByteBuffer batch, boolean all) {
    MemoryRecords.RecordFilter filter =
        new MemoryRecords.RecordFilter(NOW, 86_400_000) {
          @Override
          protected BatchRetentionResult checkBatchRetention(RecordBatch ignored) {
            return new BatchRetentionResult(BatchRetention.RETAIN_EMPTY, false);
          }

          @Override
          protected boolean shouldRetainRecord(RecordBatch ignored, Record record) {
            return !all && record.offset() % 2 == 1;
          }
        };
    ByteBuffer output = ByteBuffer.allocate(2 * batch.remaining() + 1024);
    return MemoryRecords.readableRecords(batch).filterTo(filter, output, BufferSupplier.NO_CACHING).outputBuffer().flip();
  }

  private static ObjectNode describe(ByteBuffer buffer) {
    int size = buffer.remaining();
    Iterator<MutableRecordBatch> batches = MemoryRecords.readableRecords(buffer).batches().iterator();
    MutableRecordBatch batch = batches.next();
    if (batch.sizeInBytes() != size || batches.hasNext()) throw new IllegalArgumentException("not exactly one batch");
    batch.ensureValid();
    ObjectNode node =
        JSON.createObjectNode()
            .put("baseOffset", batch.baseOffset())
            .put("lastOffset", batch.lastOffset())
            .put("codec", batch.compressionType().name)
            .put("logAppendTime", batch.timestampType() == TimestampType.LOG_APPEND_TIME)
            .put("maxTimestamp", batch.maxTimestamp())
            .put("leaderEpoch", batch.partitionLeaderEpoch())
            .put("producerId", batch.producerId())
            .put("producerEpoch", batch.producerEpoch())
            .put("baseSequence", batch.baseSequence())
            .put("transactional", batch.isTransactional())
            .put("control", batch.isControlBatch())
            .put("deleteHorizon", batch.deleteHorizonMs().isPresent())
            .put("count", batch.countOrNull());
    ArrayNode records = node.putArray("records");
    try (CloseableIterator<Record> iterator = batch.streamingIterator(BufferSupplier.NO_CACHING)) {
      while (iterator.hasNext()) {
        Record record = iterator.next();
        ObjectNode each = records.addObject().put("offset", record.offset()).put("timestamp", record.timestamp());
        each.put("key", base64(record.key())).put("value", base64(record.value()));
        ArrayNode headers = each.putArray("headers");
        for (Header header : record.headers()) {
          byte[] key = header.key().getBytes(StandardCharsets.UTF_8);
          byte[] value = header.value();
          headers.addObject().put("key", base64(ByteBuffer.wrap(key))).put("value", base64(value == null ? null : ByteBuffer.wrap(value)));
        }
      }
    }
    return node;
  }

  private static String base64(ByteBuffer buffer) {
    if (buffer == null) return null;
    byte[] bytes = new byte[buffer.remaining()];
    buffer.get(bytes);
    return Base64.getEncoder().encodeToString(bytes);
  }
}
