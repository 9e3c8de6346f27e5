import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedOutputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Writes a described workload with Kafka's own producer. One argument, a JSON request; see workload.ts for what each
 * field means. The streams of a phase run at the same time, the phases in order. What is written follows from the seed alone, byte for byte, except timestamps of mode "now"; in which
 * order streams that run at the same time meet in the log does not.
 *
 * <p>Prints, with "log", a JSON line for each acknowledged record, in live mode one line a second, and at the end one
 * line with what was acknowledged. Ends in good order at the end of its standard input, so it never outlives the
 * program that started it.
 */
public final class WorkloadProducer {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final long DAY_MS = 86_400_000;
  /** Filler is cut from one block of this size: making each byte anew would cost more than sending it. */
  private static final int FILLER_BYTES = 1 << 16;

  private static volatile boolean stopping = false;

  public static void main(String[] args) throws Exception {
    JsonNode request = JSON.readTree(args[0]);
    if (request.path("stopAtEndOfInput").asBoolean(false)) watchInput();
    boolean live = request.path("live").asBoolean(false);
    Acks acks = new Acks(request.path("log").asBoolean(false));
    AtomicReference<Throwable> failure = new AtomicReference<>();
    for (JsonNode phase : request.get("phases")) {
      List<Thread> threads = new ArrayList<>();
      for (JsonNode stream : phase) {
        Thread thread = new Thread(() -> {
          try {
            new Stream(request, stream, acks).run();
          } catch (Throwable error) {
            failure.compareAndSet(null, error);
            stopping = true;
          }
        });
        threads.add(thread);
        thread.start();
      }
      while (live && threads.stream().anyMatch(Thread::isAlive)) {
        Thread.sleep(1000);
        acks.printProgress();
      }
      for (Thread thread : threads) thread.join();
    }
    if (failure.get() != null) throw new IllegalStateException("workload failed", failure.get());
    acks.printSummary();
    System.out.flush();
    // Producers with a transaction left open on purpose must not abort it on the way out.
    Runtime.getRuntime().halt(0);
  }

  private static void watchInput() {
    Thread watcher = new Thread(() -> {
      try {
        while (System.in.read() >= 0) continue;
      } catch (java.io.IOException closed) {
        // The same as the end of the input.
      }
      stopping = true;
    });
    watcher.setDaemon(true);
    watcher.start();
  }

  /** What the brokers have acknowledged, by topic and partition. */
  private static final class Acks {
    private final boolean log;
    private final OutputStream out = new BufferedOutputStream(System.out, 1 << 16);
    private final Map<String, Map<Integer, long[]>> partitions = new TreeMap<>(); // {count, last offset, bytes}
    private long committed = 0;
    private long aborted = 0;
    private long leftOpen = 0;
    private long records = 0;

    Acks(boolean log) {
      this.log = log;
    }

    synchronized void add(RecordMetadata record, String producer, long sequence) {
      long[] row = partitions.computeIfAbsent(record.topic(), topic -> new TreeMap<>())
          .computeIfAbsent(record.partition(), partition -> new long[] {0, -1, 0});
      row[0]++;
      row[1] = Math.max(row[1], record.offset());
      row[2] += Math.max(0, record.serializedKeySize()) + Math.max(0, record.serializedValueSize());
      records++;
      if (log) {
        print(Map.of("topic", record.topic(), "partition", record.partition(), "offset", record.offset(),
            "producer", producer, "sequence", sequence));
      }
    }

    synchronized void transactionEnded(boolean commit) {
      if (commit) committed++;
      else aborted++;
    }

    synchronized void transactionLeftOpen() {
      leftOpen++;
    }

    synchronized void printProgress() {
      print(Map.of("progress", records, "committed", committed, "aborted", aborted));
    }

    synchronized void printSummary() {
      Map<String, Object> topics = new LinkedHashMap<>();
      partitions.forEach((topic, rows) -> {
        List<Object> list = new ArrayList<>();
        rows.forEach((partition, row) -> list.add(
            Map.of("partition", partition, "count", row[0], "lastOffset", row[1], "bytes", row[2])));
        topics.put(topic, list);
      });
      print(Map.of("summary", Map.of("topics", topics, "records", records,
          "transactions", Map.of("committed", committed, "aborted", aborted, "leftOpen", leftOpen))));
    }

    private void print(Map<String, ?> line) {
      try {
        out.write(JSON.writeValueAsBytes(line));
        out.write('\n');
        if (!log || line.containsKey("summary")) out.flush();
      } catch (java.io.IOException error) {
        throw new java.io.UncheckedIOException(error);
      }
    }
  }

  /** One writer of one topic: one producer, or several with transactions that interleave. */
  private static final class Stream {
    private final JsonNode request;
    private final JsonNode spec;
    private final Acks acks;
    private final Random random;
    private final String run;
    private final String name;
    private final String topic;
    private final int[] partitions;
    private final long records;
    private final byte[] filler = new byte[FILLER_BYTES];
    private final long startedAt = System.currentTimeMillis();
    private final ConcurrentLinkedQueue<Exception> failures = new ConcurrentLinkedQueue<>();
    private long sequence = 0;

    Stream(JsonNode request, JsonNode spec, Acks acks) {
      this.request = request;
      this.spec = spec;
      this.acks = acks;
      this.run = request.path("run").asText("run");
      this.name = spec.get("name").asText();
      this.random = new Random(request.path("seed").asLong(1) * 31 + name.hashCode());
      this.topic = spec.get("topic").asText();
      this.partitions = ints(spec.get("partitions"));
      this.records = spec.path("records").asLong(Long.MAX_VALUE);
      // Words of a small alphabet: filler that every codec finds something to do with.
      for (int i = 0; i < FILLER_BYTES; i++) filler[i] = (byte) ('a' + random.nextInt(i % 64 < 32 ? 4 : 26));
    }

    void run() throws Exception {
      if (spec.has("transactions")) runTransactions(spec.get("transactions"));
      else runPlain();
    }

    private void runPlain() throws Exception {
      Pace pace = new Pace(spec.path("recordsPerSecond").asDouble(0));
      try (KafkaProducer<byte[], byte[]> producer = producer(null)) {
        while (sequence < records && !stopping) {
          send(producer, name);
          pace.await(sequence);
        }
        producer.flush();
        failOnError();
      }
    }

    /**
     * One thread drives all producers, so the interleaving follows from the seed: each step picks a producer and lets
     * it send a few records, or end its transaction. What a producer sent is flushed before the next one's turn: that
     * is what makes batches of open transactions meet in one partition. "plain" records go in between.
     */
    private void runTransactions(JsonNode shape) throws Exception {
      int count = shape.get("producers").asInt();
      double abortRate = shape.get("abortRate").asDouble();
      double plainRate = shape.path("plainRate").asDouble(0);
      int recordsMin = shape.get("records").get(0).asInt();
      int recordsMax = shape.get("records").get(1).asInt();
      int leaveOpen = shape.path("leaveOpen").asInt(0);
      Pace pace = new Pace(spec.path("recordsPerSecond").asDouble(0));
      List<KafkaProducer<byte[], byte[]>> producers = new ArrayList<>();
      int[] left = new int[count];
      for (int i = 0; i < count; i++) {
        KafkaProducer<byte[], byte[]> producer = producer(run + "-" + name + "-" + i);
        producer.initTransactions();
        producers.add(producer);
      }
      KafkaProducer<byte[], byte[]> plain = plainRate > 0 ? producer(null) : null;
      while (sequence < records && !stopping) {
        if (plain != null && random.nextDouble() < plainRate) {
          for (int n = 1 + random.nextInt(5); n > 0 && sequence < records; n--) send(plain, name + "-plain");
          plain.flush();
        } else {
          int i = random.nextInt(count);
          KafkaProducer<byte[], byte[]> producer = producers.get(i);
          if (left[i] == 0) {
            producer.beginTransaction();
            left[i] = recordsMin + random.nextInt(recordsMax - recordsMin + 1);
          }
          int now = Math.min(left[i], 1 + random.nextInt(20));
          for (int n = 0; n < now && sequence < records; n++) send(producer, name + "-" + i);
          producer.flush();
          failOnError();
          left[i] -= now;
          if (left[i] == 0) end(producer, random.nextDouble() >= abortRate);
        }
        pace.await(sequence);
      }
      for (int i = 0; i < count; i++) {
        boolean open = left[i] > 0;
        if (i < leaveOpen) {
          if (!open) {
            producers.get(i).beginTransaction();
            send(producers.get(i), name + "-" + i);
          }
          producers.get(i).flush();
          acks.transactionLeftOpen();
        } else {
          if (open) end(producers.get(i), random.nextDouble() >= abortRate);
          producers.get(i).close();
        }
      }
      if (plain != null) plain.close();
      failOnError();
    }

    private void end(KafkaProducer<byte[], byte[]> producer, boolean commit) {
      if (commit) producer.commitTransaction();
      else producer.abortTransaction();
      acks.transactionEnded(commit);
    }

    private KafkaProducer<byte[], byte[]> producer(String transactionalId) {
      Properties properties = new Properties();
      properties.put("bootstrap.servers", request.get("bootstrap").asText());
      properties.put("acks", "all");
      properties.put("compression.type", spec.path("codec").asText("none"));
      boolean single = spec.path("oneRecordBatches").asBoolean(false);
      properties.put("batch.size", single ? "0" : spec.path("batchBytes").asText("16384"));
      properties.put("linger.ms", single ? "0" : spec.path("lingerMs").asText("5"));
      properties.put("max.request.size", String.valueOf(16 << 20));
      properties.put("buffer.memory", String.valueOf(64 << 20));
      // Live traffic goes on after minutes without brokers; the default (2 min for a record) would end it.
      boolean isLive = request.path("live").asBoolean(false);
      properties.put("max.block.ms", isLive ? "900000" : "60000");
      if (isLive) properties.put("delivery.timeout.ms", "900000");
      properties.put("enable.idempotence", String.valueOf(transactionalId != null || spec.path("idempotent").asBoolean(true)));
      properties.put("max.in.flight.requests.per.connection", transactionalId != null || spec.path("idempotent").asBoolean(true) ? "5" : "1");
      if (transactionalId != null) {
        properties.put("transactional.id", transactionalId);
        properties.put("transaction.timeout.ms", spec.get("transactions").path("timeoutMs").asText("60000"));
      }
      for (var property : request.path("properties").properties()) properties.put(property.getKey(), property.getValue().asText());
      return new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private void send(KafkaProducer<byte[], byte[]> producer, String producerName) {
      long number = sequence++;
      JsonNode runs = spec.path("partitionRuns");
      int partition = partitions[runs.asBoolean(false)
          ? (int) (number / (runs.isNumber() ? runs.asInt() : 50) % partitions.length)
          : random.nextInt(partitions.length)];
      byte[] key = key(number);
      boolean tombstone = random.nextDouble() < spec.path("nullValueRate").asDouble(0);
      byte[] value = tombstone ? null : value(producerName, partition, number);
      ProducerRecord<byte[], byte[]> record =
          new ProducerRecord<>(topic, partition, timestamp(number), key, value, headers(producerName, number));
      Callback acknowledged = (metadata, error) -> {
        if (error != null) failures.add(error);
        else acks.add(metadata, producerName, number);
      };
      producer.send(record, acknowledged);
    }

    private byte[] key(long number) {
      JsonNode keys = spec.path("keys");
      if (keys.path("cycle").asInt(0) > 0) return utf8("key-" + number % keys.get("cycle").asInt());
      switch (keys.asText("unique")) {
        case "null":
          return null;
        case "mixed": // null, empty, short, long: the four lengths a codec can treat differently
          switch ((int) (number % 4)) {
            case 0: return null;
            case 1: return new byte[0];
            case 2: return utf8("key-" + number);
            default: return Arrays.copyOf(utf8("key-" + number + "-"), 200);
          }
        default:
          return utf8("key-" + number);
      }
    }

    /** A value proves its own content: who wrote it, where, as which of how many bytes. Short ones hold what fits. */
    private byte[] value(String producerName, int partition, long number) {
      int length = valueLength(number);
      byte[] value = new byte[length];
      byte[] head = utf8("{\"run\":\"" + run + "\",\"producer\":\"" + producerName + "\",\"partition\":" + partition
          + ",\"seq\":" + number + ",\"kind\":\"" + spec.path("kind").asText("record") + "\",\"len\":" + length + "}");
      int at = Math.min(head.length, length);
      System.arraycopy(head, 0, value, 0, at);
      int start = (int) Math.floorMod((number + 1) * 0x9E3779B97F4A7C15L, (long) FILLER_BYTES);
      while (at < length) {
        int part = Math.min(length - at, FILLER_BYTES - start);
        System.arraycopy(filler, start, value, at, part);
        at += part;
        start = 0;
      }
      return value;
    }

    /** "valueBytes" is a number, or a list of [weight, min, max] from which the seed chooses. */
    private int valueLength(long number) {
      JsonNode sizes = spec.path("valueBytes");
      if (!sizes.isArray()) return sizes.asInt(100);
      int total = 0;
      for (JsonNode size : sizes) total += size.get(0).asInt();
      int draw = random.nextInt(total);
      for (JsonNode size : sizes) {
        draw -= size.get(0).asInt();
        if (draw < 0) return size.get(1).asInt() + random.nextInt(size.get(2).asInt() - size.get(1).asInt() + 1);
      }
      throw new IllegalStateException("no size for record " + number);
    }

    private Long timestamp(long number) {
      JsonNode times = spec.path("timestamps");
      String mode = times.path("mode").asText("now");
      switch (mode) {
        case "now": return null;
        case "zero": return 0L;
        case "fixed": return times.get("baseMs").asLong() + number * times.path("stepMs").asLong(1);
        case "age": return startedAt - times.get("days").asLong() * DAY_MS + number;
        case "disorder": // within an hour, in no order
          return startedAt - 3_600_000 + random.nextInt(3_600_000);
        default: throw new IllegalArgumentException("unknown timestamps " + mode);
      }
    }

    private Iterable<Header> headers(String producerName, long number) {
      switch (spec.path("headers").asText("none")) {
        case "none":
          return List.of();
        case "plain":
          return List.of(new RecordHeader("x-run", utf8(run)), new RecordHeader("x-id", utf8(producerName + "-" + number)));
        case "odd":
          return oddHeaders(number);
        default:
          throw new IllegalArgumentException("unknown headers " + spec.get("headers"));
      }
    }

    /** Everything a map of headers would lose: the same key twice, with equal and other values, null, empty, order. */
    private List<Header> oddHeaders(long number) {
      byte[] id = utf8("id-" + number);
      switch ((int) (number % 5)) {
        case 0: return List.of(new RecordHeader("twice", id), new RecordHeader("twice", utf8("other")));
        case 1: return List.of(new RecordHeader("null-valued", null), new RecordHeader("id", id));
        case 2: return List.of(new RecordHeader("", id), new RecordHeader("empty", new byte[0]));
        case 3: return List.of(new RecordHeader("z", id), new RecordHeader("a", id), new RecordHeader("z", id), new RecordHeader("a", null));
        default: return List.of(new RecordHeader("schlüssel-\u20ac-\ud83d\ude00", new byte[] {0, (byte) 255, 10, (byte) 128}), new RecordHeader("id", id));
      }
    }

    private void failOnError() throws Exception {
      Exception first = failures.peek();
      if (first != null) throw first;
    }
  }

  /** Holds a rate by the time that should have passed; zero is as fast as it goes. */
  private static final class Pace {
    private final double perSecond;
    private final long start = System.nanoTime();

    Pace(double perSecond) {
      this.perSecond = perSecond;
    }

    void await(long sent) throws InterruptedException {
      if (perSecond <= 0) return;
      long aheadMs = (long) (sent / perSecond * 1000) - (System.nanoTime() - start) / 1_000_000;
      if (aheadMs > 5) Thread.sleep(aheadMs);
    }
  }

  private static int[] ints(JsonNode array) {
    int[] values = new int[array.size()];
    for (int i = 0; i < values.length; i++) values[i] = array.get(i).asInt();
    return values;
  }

  private static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }
}
