import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Money that moves between the accounts of a ledger, and who adds it up. One argument, a JSON request: {"mode", "bootstrap",
 * "topic", "partitions", "opening", "seed", "isolation"}.
 *
 * <p>"write": each partition is a branch with its own transactional producer. Its first transaction pays `opening` in; each
 * later one takes amounts from an account and gives them to another one, in records of their own that are flushed one by
 * one. A quarter is aborted, often between the two, so that what is aborted does not add up to 0. One producer for each
 * partition: the last stable offset then never lies within a transaction that has ended, and every read at read_committed
 * has to find exactly `opening` in each. Prints {"committed", "aborted"} once a second and at the end.
 *
 * <p>"read": reads everything from the beginning to the end as of then, again and again, and prints {"records", "sums"}, a
 * sum for each partition, for each time; null where a partition holds nothing yet.
 *
 * <p>Both end with their standard input; the reader after one more time.
 */
public final class MoneyLedger {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int ACCOUNTS = 20;

  private static volatile boolean isStopping = false;

  private MoneyLedger() {}

  public static void main(String[] args) throws Exception {
    JsonNode request = JSON.readTree(args[0]);
    Thread input = new Thread(() -> {
      try {
        while (System.in.read() >= 0) continue;
      } catch (java.io.IOException closed) {
        // The same as its end.
      }
      isStopping = true;
    });
    input.setDaemon(true);
    input.start();
    if (request.get("mode").asText().equals("write")) write(request);
    else read(request);
    System.out.flush();
    Runtime.getRuntime().halt(0);
  }

  private static void write(JsonNode request) throws Exception {
    AtomicLong committed = new AtomicLong();
    AtomicLong aborted = new AtomicLong();
    AtomicReference<Throwable> failure = new AtomicReference<>();
    List<Thread> branches = new ArrayList<>();
    for (int partition = 0; partition < request.get("partitions").asInt(); partition++) {
      int branch = partition;
      Thread thread = new Thread(() -> {
        try {
          writeBranch(request, branch, committed, aborted);
        } catch (Throwable error) {
          failure.compareAndSet(null, error);
          isStopping = true;
        }
      });
      branches.add(thread);
      thread.start();
    }
    while (branches.stream().anyMatch(Thread::isAlive)) {
      Thread.sleep(1000);
      print(Map.of("committed", committed.get(), "aborted", aborted.get()));
    }
    if (failure.get() != null) throw new IllegalStateException("the ledger failed", failure.get());
    print(Map.of("committed", committed.get(), "aborted", aborted.get()));
  }

  private static void writeBranch(JsonNode request, int branch, AtomicLong committed, AtomicLong aborted) throws Exception {
    String topic = request.get("topic").asText();
    Random random = new Random(request.path("seed").asLong(1) * 31 + branch);
    Properties properties = new Properties();
    properties.put("bootstrap.servers", request.get("bootstrap").asText());
    properties.put("transactional.id", topic + "-" + branch);
    properties.put("transaction.timeout.ms", "120000"); // outlives a broker that is killed and started again
    properties.put("max.block.ms", "900000");
    properties.put("delivery.timeout.ms", "900000");
    properties.put("linger.ms", "0");
    try (KafkaProducer<byte[], byte[]> producer =
        new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer())) {
      producer.initTransactions();
      producer.beginTransaction();
      producer.send(entry(topic, branch, 0, request.get("opening").asLong()));
      producer.commitTransaction();
      while (!isStopping) {
        producer.beginTransaction();
        boolean isAborted = random.nextDouble() < 0.25;
        int transfers = 1 + random.nextInt(3);
        for (int n = 0; n < transfers; n++) {
          long amount = 1 + random.nextInt(500);
          producer.send(entry(topic, branch, random.nextInt(ACCOUNTS), -amount));
          producer.flush();
          if (isAborted && n == transfers - 1 && random.nextBoolean()) break;
          producer.send(entry(topic, branch, random.nextInt(ACCOUNTS), amount));
          producer.flush();
        }
        if (isAborted) producer.abortTransaction();
        else producer.commitTransaction();
        (isAborted ? aborted : committed).incrementAndGet();
        Thread.sleep(random.nextInt(80));
      }
    }
  }

  private static ProducerRecord<byte[], byte[]> entry(String topic, int branch, int account, long amount) {
    return new ProducerRecord<>(topic, branch, utf8("account-" + branch + "-" + account), utf8(String.valueOf(amount)));
  }

  private static void read(JsonNode request) throws Exception {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", request.get("bootstrap").asText());
    properties.put("isolation.level", request.path("isolation").asText("read_committed"));
    properties.put("auto.offset.reset", "earliest");
    properties.put("max.poll.records", "5000");
    properties.put("default.api.timeout.ms", "10000");
    properties.put("request.timeout.ms", "5000");
    List<TopicPartition> partitions = new ArrayList<>();
    for (int partition = 0; partition < request.get("partitions").asInt(); partition++)
      partitions.add(new TopicPartition(request.get("topic").asText(), partition));
    try (KafkaConsumer<byte[], byte[]> consumer =
        new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      consumer.assign(partitions);
      for (boolean isLast = false; !isLast;) {
        isLast = isStopping;
        try {
          print(readOnce(consumer, partitions));
        } catch (KafkaException error) {
          if (isLast) throw error; // before that a broker may be away
        }
        Thread.sleep(50);
      }
    }
  }

  private static Map<String, Object> readOnce(KafkaConsumer<byte[], byte[]> consumer, List<TopicPartition> partitions) {
    Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
    consumer.seekToBeginning(partitions);
    Long[] sums = new Long[partitions.size()];
    long records = 0;
    while (partitions.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
      for (var record : consumer.poll(Duration.ofMillis(200))) {
        if (record.offset() >= ends.get(new TopicPartition(record.topic(), record.partition()))) continue;
        long before = sums[record.partition()] == null ? 0 : sums[record.partition()];
        sums[record.partition()] = before + Long.parseLong(new String(record.value(), StandardCharsets.UTF_8));
        records++;
      }
    }
    return Map.of("records", records, "sums", sums);
  }

  private static void print(Map<String, ?> line) throws java.io.IOException {
    System.out.println(JSON.writeValueAsString(line));
  }

  private static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }
}
