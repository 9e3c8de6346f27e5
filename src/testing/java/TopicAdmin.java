import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;

/**
 * Topics through Kafka's own admin client. One argument, a JSON request: {"bootstrap", "steps": [...]}. The steps run
 * in order; each is one of create, delete, deleteRecords, addPartitions, setConfigs, setBrokerConfigs, setQuotas,
 * describe. Prints one JSON array with an answer for each step. Returns only when every broker's view is said to be there: a created
 * topic has leaders for all its partitions.
 */
public final class TopicAdmin {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final long DEADLINE_MS = 30_000;

  public static void main(String[] args) throws Exception {
    JsonNode request = JSON.readTree(args[0]);
    Properties properties = new Properties();
    properties.put("bootstrap.servers", request.get("bootstrap").asText());
    List<Object> answers = new ArrayList<>();
    try (Admin admin = Admin.create(properties)) {
      for (JsonNode step : request.get("steps")) answers.add(run(admin, step));
    }
    System.out.println(JSON.writeValueAsString(answers));
  }

  private static Object run(Admin admin, JsonNode step) throws Exception {
    String kind = step.fieldNames().next();
    JsonNode detail = step.get(kind);
    switch (kind) {
      case "create":
        return create(admin, detail);
      case "delete":
        admin.deleteTopics(strings(detail)).all().get();
        return Map.of();
      case "deleteRecords":
        return deleteRecords(admin, detail);
      case "addPartitions":
        admin.createPartitions(Map.of(detail.get("topic").asText(), NewPartitions.increaseTo(detail.get("total").asInt()))).all().get();
        waitForLeaders(admin, List.of(detail.get("topic").asText()), detail.get("total").asInt());
        return Map.of();
      case "setConfigs":
        alter(admin, new ConfigResource(ConfigResource.Type.TOPIC, detail.get("topic").asText()), detail.get("configs"));
        return Map.of();
      case "setBrokerConfigs":
        alter(admin, new ConfigResource(ConfigResource.Type.BROKER, ""), detail);
        return Map.of();
      case "setQuotas":
        return setQuotas(admin, detail);
      case "describe":
        return describe(admin, strings(detail));
      default:
        throw new IllegalArgumentException("unknown step " + kind);
    }
  }

  private static Object create(Admin admin, JsonNode topics) throws Exception {
    List<NewTopic> wanted = new ArrayList<>();
    for (JsonNode topic : topics) {
      NewTopic created = new NewTopic(
          topic.get("name").asText(),
          Optional.of(topic.get("partitions").asInt()),
          topic.has("replicationFactor") ? Optional.of((short) topic.get("replicationFactor").asInt()) : Optional.empty());
      wanted.add(created.configs(stringMap(topic.get("configs"))));
    }
    admin.createTopics(wanted).all().get();
    for (NewTopic topic : wanted) waitForLeaders(admin, List.of(topic.name()), topic.numPartitions());
    return Map.of();
  }

  private static void waitForLeaders(Admin admin, Collection<String> topics, int partitions) throws Exception {
    long deadline = System.nanoTime() + DEADLINE_MS * 1_000_000;
    while (true) {
      try {
        boolean ready = admin.describeTopics(topics).allTopicNames().get().values().stream()
            .allMatch(topic -> topic.partitions().size() >= partitions
                && topic.partitions().stream().allMatch(partition -> partition.leader() != null));
        if (ready) return;
      } catch (java.util.concurrent.ExecutionException notYet) {
        if (!(notYet.getCause() instanceof org.apache.kafka.common.errors.RetriableException)) throw notYet;
      }
      if (System.nanoTime() > deadline) throw new IllegalStateException("no leader for " + topics);
      Thread.sleep(20);
    }
  }

  private static Object deleteRecords(Admin admin, JsonNode detail) throws Exception {
    Map<TopicPartition, RecordsToDelete> before = new HashMap<>();
    detail.get("before").properties().forEach(entry -> before.put(
        new TopicPartition(detail.get("topic").asText(), Integer.parseInt(entry.getKey())),
        RecordsToDelete.beforeOffset(entry.getValue().asLong())));
    Map<String, Object> lows = new TreeMap<>();
    for (var result : admin.deleteRecords(before).lowWatermarks().entrySet()) {
      lows.put(String.valueOf(result.getKey().partition()), result.getValue().get().lowWatermark());
    }
    return lows;
  }

  private static void alter(Admin admin, ConfigResource resource, JsonNode configs) throws Exception {
    List<AlterConfigOp> changes = new ArrayList<>();
    configs.properties().forEach(entry -> changes.add(new AlterConfigOp(
        new ConfigEntry(entry.getKey(), entry.getValue().isNull() ? "" : entry.getValue().asText()),
        entry.getValue().isNull() ? AlterConfigOp.OpType.DELETE : AlterConfigOp.OpType.SET)));
    admin.incrementalAlterConfigs(Map.of(resource, changes)).all().get();
  }

  /** For each client id that has no quota of its own; null takes one away. */
  private static Object setQuotas(Admin admin, JsonNode quotas) throws Exception {
    List<ClientQuotaAlteration.Op> changes = new ArrayList<>();
    quotas.properties().forEach(entry -> changes.add(new ClientQuotaAlteration.Op(
        entry.getKey(), entry.getValue().isNull() ? null : entry.getValue().asDouble())));
    ClientQuotaEntity everyClient = new ClientQuotaEntity(Collections.singletonMap(ClientQuotaEntity.CLIENT_ID, null));
    admin.alterClientQuotas(List.of(new ClientQuotaAlteration(everyClient, changes))).all().get();
    return Map.of();
  }

  private static Object describe(Admin admin, List<String> names) throws Exception {
    Map<String, TopicDescription> topics = admin.describeTopics(names).allTopicNames().get();
    List<TopicPartition> partitions = new ArrayList<>();
    topics.values().forEach(topic ->
        topic.partitions().forEach(partition -> partitions.add(new TopicPartition(topic.name(), partition.partition()))));
    var earliest = offsets(admin, partitions, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED);
    var latest = offsets(admin, partitions, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED);
    var stable = offsets(admin, partitions, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED);
    List<ConfigResource> resources = names.stream()
        .map(name -> new ConfigResource(ConfigResource.Type.TOPIC, name)).collect(Collectors.toList());
    var configs = admin.describeConfigs(resources).all().get();
    List<Object> answer = new ArrayList<>();
    for (String name : names) {
      TopicDescription topic = topics.get(name);
      Map<String, Object> line = new LinkedHashMap<>();
      line.put("name", name);
      line.put("id", topic.topicId().toString());
      line.put("replicationFactor", topic.partitions().get(0).replicas().size());
      List<Object> rows = new ArrayList<>();
      topic.partitions().forEach(info -> {
        TopicPartition partition = new TopicPartition(name, info.partition());
        Map<String, Object> row = new LinkedHashMap<>();
        row.put("partition", info.partition());
        row.put("leader", info.leader() == null ? -1 : info.leader().id());
        row.put("earliest", earliest.get(partition).offset());
        row.put("lastStable", stable.get(partition).offset());
        row.put("latest", latest.get(partition).offset());
        rows.add(row);
      });
      line.put("partitions", rows);
      Map<String, String> set = new TreeMap<>();
      configs.get(new ConfigResource(ConfigResource.Type.TOPIC, name)).entries().stream()
          .filter(entry -> entry.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG)
          .forEach(entry -> set.put(entry.name(), entry.value()));
      line.put("configs", set);
      answer.add(line);
    }
    return answer;
  }

  private static Map<TopicPartition, ListOffsetsResultInfo> offsets(
      Admin admin, List<TopicPartition> partitions, OffsetSpec spec, IsolationLevel isolation) throws Exception {
    Map<TopicPartition, OffsetSpec> request = new HashMap<>();
    for (TopicPartition partition : partitions) request.put(partition, spec);
    return admin.listOffsets(request, new ListOffsetsOptions(isolation)).all().get();
  }

  private static List<String> strings(JsonNode array) {
    List<String> values = new ArrayList<>();
    array.forEach(value -> values.add(value.asText()));
    return values;
  }

  private static Map<String, String> stringMap(JsonNode object) {
    Map<String, String> values = new HashMap<>();
    if (object != null) object.properties().forEach(entry -> values.put(entry.getKey(), entry.getValue().asText()));
    return values;
  }
}
