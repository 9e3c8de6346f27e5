import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Compares topics of two clusters record by record while they are written, with Kafka's own consumer: what the source
 * shows at read_committed must be on the target at read_uncommitted, at the same offsets, with the same timestamp,
 * key, value and headers, and nothing else.
 *
 * <p>One argument, a JSON request: {"source": bootstrap, "target": bootstrap, "topics": [...], "finishMs": 60000}. Two
 * passes run at the same time, each with consumers of its own. The following pass compares each record once, as it
 * arrives on both sides. The repeating pass then reads everything that the following one has compared again, from the
 * beginning, round after round: what is altered on disk later does not arrive again.
 *
 * <p>Prints a JSON line twice a second. The line "finish" on standard input says that nothing more is written: when the
 * target has reached the end of the source, everything is compared once more, ends and log starts too, and the last
 * line, with "final", is printed. The end of standard input ends the program, so it never outlives the one that started it.
 */
public final class LiveCompare {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final long REPORT_MS = 500;
  /** Records of one partition that wait for the other side; more are not read before. */
  private static final int WAITING_MAX = 4000;
  /** Differences are counted up to here; the first one is what a person needs. */
  private static final int DIFFERENCES_MAX = 10_000;
  /** A consumer may fail for this long, e.g. because its broker is restarted, before we give up. */
  private static final long FAILING_MAX_MS = 30_000;
  private static final int EXCERPT_BEFORE = 24;
  private static final int EXCERPT_BYTES = 56;

  private static volatile boolean finishing = false;
  private static volatile boolean ended = false;
  private static volatile Throwable failure = null;

  private final String source;
  private final String target;
  private final List<String> topics = new ArrayList<>();
  private final long finishMs;
  private final Differences differences = new Differences();
  /** Partitions of the source; the target's have to be the same ones. */
  private List<TopicPartition> partitions = List.of();
  private volatile Pass following = null;
  private volatile long rounds = 0;
  private volatile long roundRecords = 0;
  private volatile long roundEndedAt = 0;

  public static void main(String[] args) throws Exception {
    watchInput();
    new LiveCompare(JSON.readTree(args[0])).run();
    System.out.flush();
    Runtime.getRuntime().halt(0);
  }

  private LiveCompare(JsonNode request) {
    source = request.get("source").asText();
    target = request.get("target").asText();
    request.get("topics").forEach(topic -> topics.add(topic.asText()));
    finishMs = request.path("finishMs").asLong(60_000);
  }

  private static void watchInput() {
    Thread watcher = new Thread(() -> {
      try {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = input.readLine()) != null; ) finishing |= line.equals("finish");
      } catch (java.io.IOException closed) {
        // The same as the end of the input.
      }
      Runtime.getRuntime().halt(0);
    });
    watcher.setDaemon(true);
    watcher.start();
  }

  private void run() throws Exception {
    try (KafkaConsumer<byte[], byte[]> left = consumer(source, "read_committed");
        KafkaConsumer<byte[], byte[]> right = consumer(target, "read_uncommitted")) {
      waitForTopics(left, right);
      Thread follow = start("following", this::follow);
      Thread repeat = start("repeating", this::repeat);
      while (!finishing) {
        Thread.sleep(REPORT_MS);
        if (failure != null) throw new IllegalStateException("the comparison failed", failure);
        print(report(left, right));
      }
      boolean isComplete = awaitEnd(left, right);
      ended = true;
      follow.join();
      repeat.join();
      Pass last = compareAll(left, right);
      Map<String, Object> line = report(left, right);
      line.put("compared", last.compared);
      line.put("final", true);
      line.put("complete", isComplete);
      print(line);
    }
  }

  private static Thread start(String name, java.util.concurrent.Callable<Void> body) {
    Thread thread = new Thread(() -> {
      try {
        body.call();
      } catch (Throwable error) {
        failure = error;
      }
    }, name);
    thread.setDaemon(true);
    thread.start();
    return thread;
  }

  /** The mirror creates the target's topics; until then there is nothing to compare. */
  private void waitForTopics(KafkaConsumer<?, ?> left, KafkaConsumer<?, ?> right) throws Exception {
    partitions = partitionsOf(left);
    while (!finishing) {
      if (Set.copyOf(partitionsOf(right)).containsAll(partitions)) return;
      print(Map.of("at", System.currentTimeMillis(), "waiting", true));
      Thread.sleep(REPORT_MS);
    }
    throw new IllegalStateException("the target does not have all partitions of " + topics);
  }

  private List<TopicPartition> partitionsOf(KafkaConsumer<?, ?> consumer) {
    List<TopicPartition> found = new ArrayList<>();
    Map<String, List<org.apache.kafka.common.PartitionInfo>> all = consumer.listTopics();
    for (String topic : topics) {
      all.getOrDefault(topic, List.of()).forEach(info -> found.add(new TopicPartition(topic, info.partition())));
    }
    return found;
  }

  private Void follow() throws InterruptedException {
    try (Pass pass = new Pass(null, null)) {
      following = pass;
      while (!ended) pass.step(Duration.ofMillis(40));
    }
    return null;
  }

  /** Rests twice as long as it has worked, so that a growing log never costs more than a third of a core. */
  private Void repeat() throws InterruptedException {
    while (!ended) {
      Pass followed = following;
      if (followed != null && followed.compared > 0) {
        Map<TopicPartition, Long> until = new HashMap<>(followed.next);
        long started = System.nanoTime();
        try (Pass pass = new Pass(until, until)) {
          while (!pass.isAtEnd() && !ended) pass.step(Duration.ofMillis(100));
          if (ended) return null;
          roundRecords = pass.compared;
        }
        roundEndedAt = System.currentTimeMillis();
        rounds++;
        Thread.sleep(2 * (System.nanoTime() - started) / 1_000_000);
      }
      Thread.sleep(REPORT_MS);
    }
    return null;
  }

  /** Waits until the target has what the source has; false when that does not come within the deadline. */
  private boolean awaitEnd(KafkaConsumer<?, ?> left, KafkaConsumer<?, ?> right) throws Exception {
    long deadline = System.nanoTime() + finishMs * 1_000_000;
    while (System.nanoTime() < deadline) {
      Map<TopicPartition, Long> ends = left.endOffsets(partitions);
      Map<TopicPartition, Long> reached = right.endOffsets(partitions);
      if (partitions.stream().allMatch(partition -> reached.get(partition) >= ends.get(partition))) return true;
      print(report(left, right));
      Thread.sleep(REPORT_MS);
    }
    return false;
  }

  /** One pass over everything that both sides have now; log starts and ends have to be equal too. */
  private Pass compareAll(KafkaConsumer<?, ?> left, KafkaConsumer<?, ?> right) throws InterruptedException {
    compareBounds("log start", left.beginningOffsets(partitions), right.beginningOffsets(partitions));
    Map<TopicPartition, Long> ends = left.endOffsets(partitions);
    Map<TopicPartition, Long> reached = right.endOffsets(partitions);
    compareBounds("log end", ends, reached);
    try (Pass pass = new Pass(ends, reached)) {
      while (!pass.isAtEnd()) pass.step(Duration.ofMillis(100));
      return pass;
    }
  }

  private void compareBounds(String what, Map<TopicPartition, Long> left, Map<TopicPartition, Long> right) {
    for (TopicPartition partition : partitions) {
      long ours = left.get(partition);
      long theirs = right.get(partition);
      if (ours != theirs) differences.add(partition, Math.min(ours, theirs), what, "offset " + ours, "offset " + theirs);
    }
  }

  private Map<String, Object> report(KafkaConsumer<?, ?> left, KafkaConsumer<?, ?> right) {
    Map<String, Object> line = new LinkedHashMap<>();
    Pass pass = following;
    line.put("at", System.currentTimeMillis());
    line.put("compared", pass == null ? 0 : pass.compared);
    line.put("comparedAt", pass == null || pass.comparedAt == 0 ? null : pass.comparedAt);
    line.put("rounds", rounds);
    line.put("roundRecords", roundRecords);
    line.put("roundEndedAt", roundEndedAt == 0 ? null : roundEndedAt);
    line.put("differences", differences.count());
    line.put("first", differences.first());
    line.put("topics", positions(left, right, pass));
    return line;
  }

  /** Ends and lag of each topic, summed over its partitions; null while a cluster does not answer. */
  private Map<String, Object> positions(KafkaConsumer<?, ?> left, KafkaConsumer<?, ?> right, Pass pass) {
    Map<TopicPartition, Long> reached;
    Map<TopicPartition, Long> ends;
    try {
      // The target first: a lag that is measured in this order may be too large, never too small.
      reached = right.endOffsets(partitions, Duration.ofSeconds(1));
      ends = left.endOffsets(partitions, Duration.ofSeconds(1));
    } catch (KafkaException unknown) {
      return null;
    }
    Map<String, Object> answer = new LinkedHashMap<>();
    for (String topic : topics) {
      long end = 0;
      long position = 0;
      long lag = 0;
      long oldest = Long.MAX_VALUE;
      int count = 0;
      for (TopicPartition partition : partitions) {
        if (!partition.topic().equals(topic)) continue;
        count++;
        end += ends.get(partition);
        position += reached.get(partition);
        lag += Math.max(0, ends.get(partition) - reached.get(partition));
        Long waiting = pass == null ? null : pass.oldest.get(partition);
        if (waiting != null) oldest = Math.min(oldest, waiting);
      }
      Map<String, Object> row = new LinkedHashMap<>();
      row.put("partitions", count);
      row.put("sourceEnd", end);
      row.put("targetEnd", position);
      row.put("lag", lag);
      row.put("oldest", oldest == Long.MAX_VALUE ? null : oldest);
      answer.put(topic, row);
    }
    return answer;
  }

  private static void print(Map<String, ?> line) throws java.io.IOException {
    System.out.println(JSON.writeValueAsString(line));
    System.out.flush();
  }

  private static KafkaConsumer<byte[], byte[]> consumer(String bootstrap, String isolation) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", bootstrap);
    properties.put("isolation.level", isolation);
    properties.put("enable.auto.commit", "false");
    properties.put("auto.offset.reset", "none");
    properties.put("fetch.max.wait.ms", "100");
    properties.put("max.partition.fetch.bytes", String.valueOf(1 << 20));
    properties.put("max.poll.records", "5000");
    properties.put("allow.auto.create.topics", "false");
    properties.put("reconnect.backoff.max.ms", "500");
    return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  /** One reading of both sides from their log starts, compared as it goes. Used by one thread; others read its counters. */
  private final class Pass implements AutoCloseable {
    private final Side left;
    private final Side right;
    /** What of each partition has been compared: the next offset. */
    private final Map<TopicPartition, Long> next = new ConcurrentHashMap<>();
    /** Timestamp of the oldest source record that is not on the target yet; before that is read, of the last one that is. */
    private final Map<TopicPartition, Long> oldest = new ConcurrentHashMap<>();
    private volatile long compared = 0;
    private volatile long comparedAt = 0;

    /** Each side is read up to, not including, its offset; null for a pass without end. */
    Pass(Map<TopicPartition, Long> leftUntil, Map<TopicPartition, Long> rightUntil) {
      left = new Side(source, "read_committed", leftUntil);
      right = new Side(target, "read_uncommitted", rightUntil);
    }

    void step(Duration atMost) throws InterruptedException {
      left.poll(atMost);
      right.poll(atMost);
      for (TopicPartition partition : partitions) comparePartition(partition);
    }

    boolean isAtEnd() {
      return left.isAtEnd() && right.isAtEnd();
    }

    private void comparePartition(TopicPartition partition) {
      Deque<ConsumerRecord<byte[], byte[]>> ours = left.waiting.get(partition);
      Deque<ConsumerRecord<byte[], byte[]>> theirs = right.waiting.get(partition);
      while (!ours.isEmpty() && !theirs.isEmpty()) {
        ConsumerRecord<byte[], byte[]> a = ours.peek();
        ConsumerRecord<byte[], byte[]> b = theirs.peek();
        // Both sides ascend, so the one that is ahead will not bring the other's offset any more.
        if (a.offset() <= b.offset()) ours.poll();
        if (b.offset() <= a.offset()) theirs.poll();
        compare(partition, a.offset() <= b.offset() ? a : null, b.offset() <= a.offset() ? b : null);
      }
      // What has no partner although the other side has been read to its end gets none.
      if (right.isAtEnd(partition)) while (!ours.isEmpty()) compare(partition, ours.poll(), null);
      if (left.isAtEnd(partition)) while (!theirs.isEmpty()) compare(partition, null, theirs.poll());
      ConsumerRecord<byte[], byte[]> first = ours.peek();
      if (first != null) oldest.put(partition, first.timestamp());
    }

    private void compare(TopicPartition partition, ConsumerRecord<byte[], byte[]> a, ConsumerRecord<byte[], byte[]> b) {
      if (a == null) differences.add(partition, b.offset(), "record", "no record", "a record");
      else if (b == null) differences.add(partition, a.offset(), "record", "a record", "no record");
      else compareFields(partition, a, b);
      compared++;
      comparedAt = System.currentTimeMillis();
      next.put(partition, (a == null ? b : a).offset() + 1);
      oldest.put(partition, (a == null ? b : a).timestamp());
    }

    /** The type of the timestamp may differ: a CreateTime target keeps the append times of a LogAppendTime source. */
    private void compareFields(TopicPartition partition, ConsumerRecord<byte[], byte[]> a, ConsumerRecord<byte[], byte[]> b) {
      if (a.timestamp() != b.timestamp()) {
        differences.add(partition, a.offset(), "timestamp", String.valueOf(a.timestamp()), String.valueOf(b.timestamp()));
      }
      compareBytes(partition, a.offset(), "key", a.key(), b.key());
      compareBytes(partition, a.offset(), "value", a.value(), b.value());
      if (!sameHeaders(a.headers().toArray(), b.headers().toArray())) {
        differences.add(partition, a.offset(), "headers", a.headers().toString(), b.headers().toString());
      }
    }

    private void compareBytes(TopicPartition partition, long offset, String field, byte[] a, byte[] b) {
      if (Arrays.equals(a, b)) return;
      int at = a == null || b == null ? 0 : Math.max(0, Arrays.mismatch(a, b));
      differences.add(partition, offset, field, excerpt(a, at), excerpt(b, at));
    }

    @Override
    public void close() {
      left.consumer.close();
      right.consumer.close();
    }
  }

  private static boolean sameHeaders(Header[] a, Header[] b) {
    if (a.length != b.length) return false;
    for (int i = 0; i < a.length; i++) {
      if (!a[i].key().equals(b[i].key()) || !Arrays.equals(a[i].value(), b[i].value())) return false;
    }
    return true;
  }

  /** The bytes around `at` as text, what is not printable ASCII as a dot. */
  private static String excerpt(byte[] bytes, int at) {
    if (bytes == null) return "null";
    int from = Math.max(0, Math.min(at - EXCERPT_BEFORE, bytes.length - EXCERPT_BYTES));
    int to = Math.min(bytes.length, from + EXCERPT_BYTES);
    StringBuilder text = new StringBuilder(from > 0 ? "…" : "");
    for (int i = from; i < to; i++) text.append(bytes[i] >= 32 && bytes[i] < 127 ? (char) bytes[i] : '.');
    return text.append(to < bytes.length ? "…" : "").toString();
  }

  /** One side of a pass: its consumer, and the records that wait for the other side. */
  private final class Side {
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final Map<TopicPartition, Long> until;
    private final Map<TopicPartition, Deque<ConsumerRecord<byte[], byte[]>>> waiting = new HashMap<>();
    private long failingSince = 0;

    Side(String bootstrap, String isolation, Map<TopicPartition, Long> until) {
      this.consumer = consumer(bootstrap, isolation);
      this.until = until;
      for (TopicPartition partition : partitions) waiting.put(partition, new ArrayDeque<>());
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
    }

    void poll(Duration atMost) throws InterruptedException {
      List<TopicPartition> wanted = new ArrayList<>();
      try {
        for (TopicPartition partition : partitions) {
          if (waiting.get(partition).size() < WAITING_MAX && !isAtEnd(partition)) wanted.add(partition);
        }
        if (wanted.isEmpty()) return;
        List<TopicPartition> others = new ArrayList<>(partitions);
        others.removeAll(wanted);
        consumer.pause(others);
        consumer.resume(wanted);
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(atMost)) {
          TopicPartition partition = new TopicPartition(record.topic(), record.partition());
          if (until == null || record.offset() < until.getOrDefault(partition, 0L)) waiting.get(partition).add(record);
        }
        failingSince = 0;
      } catch (KafkaException error) {
        // A broker that is away, or a batch that is being rewritten on disk at this moment: asked again.
        long now = System.nanoTime();
        if (failingSince == 0) failingSince = now;
        if ((now - failingSince) / 1_000_000 > FAILING_MAX_MS) throw error;
        Thread.sleep(200);
      }
    }

    boolean isAtEnd() {
      return until != null && partitions.stream().allMatch(this::isAtEnd);
    }

    /** The position passes control records, aborted records and holes too, so it reaches the end where no record does. */
    private boolean isAtEnd(TopicPartition partition) {
      return until != null && consumer.position(partition, Duration.ofSeconds(5)) >= until.getOrDefault(partition, 0L);
    }
  }

  /** What differs, each offset once: rounds find the same difference again. */
  private static final class Differences {
    private final Map<String, Map<String, Object>> found = new LinkedHashMap<>();

    synchronized void add(TopicPartition partition, long offset, String field, String source, String target) {
      if (found.size() >= DIFFERENCES_MAX) return;
      Map<String, Object> difference = new LinkedHashMap<>();
      difference.put("topic", partition.topic());
      difference.put("partition", partition.partition());
      difference.put("offset", offset);
      difference.put("field", field);
      difference.put("source", source);
      difference.put("target", target);
      found.putIfAbsent(partition + "@" + offset + " " + field, difference);
    }

    synchronized int count() {
      return found.size();
    }

    synchronized Map<String, Object> first() {
      return found.isEmpty() ? null : found.values().iterator().next();
    }
  }
}
