import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * A member of a consumer group as applications write it: polls, handles, commits. One argument, a JSON request: {"bootstrap",
 * "group", "topics", "isolation", "instance", "untilEnd"}. Prints a line "topic/partition offset" for each record before its poll is committed,
 * and ends when its standard input does, or with "untilEnd" when it stands at the end of everything that it was given.
 */
public final class LiveConsumer {
  public static void main(String[] args) throws Exception {
    JsonNode request = new ObjectMapper().readTree(args[0]);
    List<String> topics = new ArrayList<>();
    for (JsonNode topic : request.get("topics")) topics.add(topic.asText());
    Properties properties = new Properties();
    properties.put("bootstrap.servers", request.get("bootstrap").asText());
    properties.put("group.id", request.get("group").asText());
    properties.put("isolation.level", request.path("isolation").asText("read_committed"));
    properties.put("enable.auto.commit", "false");
    properties.put("auto.offset.reset", "earliest");
    if (request.has("instance")) {
      properties.put("group.instance.id", request.get("instance").asText());
      properties.put("session.timeout.ms", "10000");
    }
    AtomicBoolean isStopping = new AtomicBoolean();
    boolean untilEnd = request.path("untilEnd").asBoolean(false);
    Thread input = new Thread(() -> {
      try {
        while (System.in.read() >= 0) {}
      } catch (java.io.IOException gone) {
        // the same as its end
      }
      isStopping.set(true);
    });
    input.setDaemon(true);
    if (!untilEnd) input.start();
    try (KafkaConsumer<byte[], byte[]> consumer =
        new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      consumer.subscribe(topics);
      while (!isStopping.get()) {
        ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(100));
        StringBuilder lines = new StringBuilder();
        for (ConsumerRecord<byte[], byte[]> record : records)
          lines.append(record.topic()).append('/').append(record.partition()).append(' ').append(record.offset()).append('\n');
        System.out.print(lines);
        System.out.flush();
        if (!consumer.assignment().isEmpty()) consumer.commitSync();
        if (untilEnd && isAtEnd(consumer)) return;
      }
    }
  }

  private static boolean isAtEnd(KafkaConsumer<byte[], byte[]> consumer) {
    if (consumer.assignment().isEmpty()) return false;
    return consumer.endOffsets(consumer.assignment()).entrySet().stream()
        .allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
  }
}
