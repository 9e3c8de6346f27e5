import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.connect.mirror.RemoteClusterUtils;

/**
 * Consumer groups through Kafka's own clients. One argument, a JSON request: {"bootstrap", "steps": [...]}. The steps run
 * in order and each prints one line of JSON:
 *
 * <p>{"commit": {group: {topic: {partition: offset}}}, "metadata"} sets offsets as an administrator.
 * {"offsets": [groups]} answers {group: {"topic/partition": [offset, leader epoch or -1, metadata]}}.
 * {"shareOffsets": [groups]} answers {group: {"topic/partition": offset}}. {"setShareOffsets": as commit}.
 * {"delete": [groups]}.
 * {"consume": {"group", "topics", "protocol", "isolation", "mapped", "commit"}} joins, reads from where the group stands to the end
 * and answers {"topic/partition": [position, offset of the first record or -1, records, SHA-256 of them]}; a partition
 * without a committed offset is an error. The digest has their offsets unless "mapped". With "commit" it commits those offsets instead of reading.
 * {"translate": {"source", "group"}} answers what MirrorMaker 2's client makes of the checkpoints on this cluster.
 * {"share": {"group", "topics"}} joins a share group, reads nothing away, and leaves.
 */
public final class GroupClient {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final long DEADLINE_MS = 30_000;

  public static void main(String[] args) throws Exception {
    JsonNode request = JSON.readTree(args[0]);
    String bootstrap = request.get("bootstrap").asText();
    Properties properties = new Properties();
    properties.put("bootstrap.servers", bootstrap);
    try (Admin admin = Admin.create(properties)) {
      for (JsonNode step : request.get("steps")) System.out.println(JSON.writeValueAsString(run(admin, bootstrap, step)));
    }
  }

  private static Object run(Admin admin, String bootstrap, JsonNode step) throws Exception {
    String kind = step.fieldNames().next();
    JsonNode detail = step.get(kind);
    switch (kind) {
      case "commit":
        for (var group : detail.properties())
          admin.alterConsumerGroupOffsets(group.getKey(), places(group.getValue(), step.path("metadata").asText(""))).all().get();
        return Map.of();
      case "offsets":
        return offsets(admin, detail);
      case "shareOffsets":
        return shareOffsets(admin, detail);
      case "setShareOffsets":
        for (var group : detail.properties()) {
          Map<TopicPartition, Long> starts = new HashMap<>();
          places(group.getValue(), "").forEach((partition, place) -> starts.put(partition, place.offset()));
          admin.alterShareGroupOffsets(group.getKey(), starts).all().get();
        }
        return Map.of();
      case "delete":
        admin.deleteConsumerGroups(strings(detail)).all().get();
        return Map.of();
      case "consume":
        return consume(bootstrap, detail);
      case "translate":
        return translate(bootstrap, detail);
      case "share":
        return share(admin, bootstrap, detail);
      default:
        throw new IllegalArgumentException("unknown step " + kind);
    }
  }

  private static Object offsets(Admin admin, JsonNode groups) throws Exception {
    Map<String, ListConsumerGroupOffsetsSpec> wanted = new HashMap<>();
    for (String group : strings(groups)) wanted.put(group, new ListConsumerGroupOffsetsSpec());
    Map<String, Object> answer = new TreeMap<>();
    for (var group : admin.listConsumerGroupOffsets(wanted).all().get().entrySet()) {
      Map<String, Object> places = new TreeMap<>();
      group.getValue().forEach((partition, place) -> {
        if (place != null) places.put(name(partition), List.of(place.offset(), place.leaderEpoch().orElse(-1), place.metadata()));
      });
      answer.put(group.getKey(), places);
    }
    return answer;
  }

  private static Object shareOffsets(Admin admin, JsonNode groups) throws Exception {
    Map<String, Object> answer = new TreeMap<>();
    for (String group : strings(groups)) {
      Map<String, Object> places = new TreeMap<>();
      try {
        admin.listShareGroupOffsets(Map.of(group, new ListShareGroupOffsetsSpec())).partitionsToOffsetInfo(group).get()
            .forEach((partition, info) -> {
              if (info != null) places.put(name(partition), info.startOffset());
            });
      } catch (ExecutionException missing) {
        if (!(missing.getCause() instanceof org.apache.kafka.common.errors.GroupIdNotFoundException)) throw missing;
      }
      answer.put(group, places);
    }
    return answer;
  }

  private static Object consume(String bootstrap, JsonNode detail) throws Exception {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", bootstrap);
    properties.put("group.id", detail.get("group").asText());
    properties.put("group.protocol", detail.path("protocol").asText("classic"));
    properties.put("isolation.level", detail.path("isolation").asText("read_committed"));
    properties.put("enable.auto.commit", "false");
    properties.put("auto.offset.reset", "none");
    Map<String, Object> answer = new TreeMap<>();
    try (KafkaConsumer<byte[], byte[]> consumer =
        new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      consumer.subscribe(strings(detail.get("topics")));
      long deadline = System.nanoTime() + DEADLINE_MS * 1_000_000;
      List<ConsumerRecord<byte[], byte[]>> read = new ArrayList<>();
      Map<TopicPartition, Long> started = new HashMap<>();
      Map<TopicPartition, Long> ends = new HashMap<>();
      boolean isDone = false;
      while (!isDone) {
        if (System.nanoTime() > deadline) throw new IllegalStateException("not at the end: " + started + " of " + ends);
        boolean isMeantToRead = !detail.has("commit");
        try {
          for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) read.add(record);
        } catch (org.apache.kafka.clients.consumer.NoOffsetForPartitionException none) {
          if (isMeantToRead) throw none;
        }
        Set<TopicPartition> assigned = consumer.assignment();
        if (assigned.isEmpty()) continue;
        if (!isMeantToRead) {
          consumer.commitSync(places(detail.get("commit"), ""));
          return Map.of();
        }
        if (ends.isEmpty()) {
          ends.putAll(consumer.endOffsets(assigned));
          consumer.committed(assigned).forEach((partition, place) -> started.put(partition, place.offset()));
        }
        isDone = ends.entrySet().stream().allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
      }
      for (TopicPartition partition : ends.keySet()) {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        long count = 0;
        long first = -1;
        for (ConsumerRecord<byte[], byte[]> record : read) {
          if (record.partition() != partition.partition() || !record.topic().equals(partition.topic())) continue;
          if (count++ == 0) first = record.offset();
          if (!detail.path("mapped").asBoolean()) digest.update((record.offset() + " ").getBytes());
          digest.update((record.timestamp() + " ").getBytes());
          if (record.key() != null) digest.update(record.key());
          if (record.value() != null) digest.update(record.value());
        }
        answer.put(name(partition), List.of(started.get(partition), first, count, HexFormat.of().formatHex(digest.digest())));
      }
    }
    return answer;
  }

  private static Object translate(String bootstrap, JsonNode detail) throws Exception {
    Map<String, Object> client = Map.of("bootstrap.servers", bootstrap);
    String source = detail.get("source").asText();
    Map<String, Object> places = new TreeMap<>();
    RemoteClusterUtils.translateOffsets(client, source, detail.get("group").asText(), Duration.ofSeconds(10))
        .forEach((partition, place) -> places.put(name(partition), List.of(place.offset(), place.metadata())));
    return Map.of(
        "places", places,
        "upstream", RemoteClusterUtils.upstreamClusters(client),
        "hops", RemoteClusterUtils.replicationHops(client, source));
  }

  /** A group that is given its places anew by a member: those of the log's start. */
  private static Object share(Admin admin, String bootstrap, JsonNode detail) throws Exception {
    String group = detail.get("group").asText();
    var earliest = new org.apache.kafka.clients.admin.AlterConfigOp(
        new org.apache.kafka.clients.admin.ConfigEntry("share.auto.offset.reset", "earliest"),
        org.apache.kafka.clients.admin.AlterConfigOp.OpType.SET);
    admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.GROUP, group), List.of(earliest))).all().get();
    Properties properties = new Properties();
    properties.put("bootstrap.servers", bootstrap);
    properties.put("group.id", group);
    try (KafkaShareConsumer<byte[], byte[]> consumer =
        new KafkaShareConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      consumer.subscribe(strings(detail.get("topics")));
      long deadline = System.nanoTime() + DEADLINE_MS * 1_000_000;
      while (consumer.poll(Duration.ofMillis(200)).isEmpty()) {
        if (System.nanoTime() > deadline) throw new IllegalStateException("share group " + group + " is given nothing");
      }
    }
    return Map.of();
  }

  private static Map<TopicPartition, OffsetAndMetadata> places(JsonNode topics, String metadata) {
    Map<TopicPartition, OffsetAndMetadata> places = new HashMap<>();
    for (var topic : topics.properties())
      for (var partition : topic.getValue().properties())
        places.put(
            new TopicPartition(topic.getKey(), Integer.parseInt(partition.getKey())),
            new OffsetAndMetadata(partition.getValue().asLong(), metadata));
    return places;
  }

  private static String name(TopicPartition partition) {
    return partition.topic() + "/" + partition.partition();
  }

  private static List<String> strings(JsonNode array) {
    List<String> list = new ArrayList<>();
    array.forEach(each -> list.add(each.asText()));
    return list;
  }
}
