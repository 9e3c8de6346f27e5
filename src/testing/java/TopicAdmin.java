import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.UserScramCredentialAlteration;
import org.apache.kafka.clients.admin.UserScramCredentialDeletion;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/**
 * Topics through Kafka's own admin client. One argument, a JSON request: {"bootstrap", "steps": [...]}. The steps run
 * in order; each is one of create, delete, deleteRecords, addPartitions, unregisterBroker, setConfigs, setBrokerConfigs, setQuotas,
 * setClientQuotas, describeQuotas, addAcls, removeAcls, describeAcls, setScram, electLeaders, reassign, at,
 * describeReplicas, describe. Prints one JSON array with an answer for each step. Describes and returns only when every
 * broker's view is there: a created topic has leaders for all its partitions, ACLs, passwords, quotas and settings have
 * reached all brokers.
 */
public final class TopicAdmin {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final long DEADLINE_MS = 30_000;
  /** Of the request that this thread answers: a ToolHost runs many. */
  private static final ThreadLocal<Long> STARTED_AT = new ThreadLocal<>();

  public static void main(String[] args) throws Exception {
    STARTED_AT.set(System.nanoTime());
    JsonNode request = JSON.readTree(args[0]);
    Properties properties = new Properties();
    properties.put("bootstrap.servers", request.get("bootstrap").asText());
    List<Object> answers = new ArrayList<>();
    try (Admin admin = Admin.create(properties)) {
      boolean byLog = false;
      for (JsonNode step : request.get("steps")) {
        String kind = step.fieldNames().next();
        if (byLog && kind.startsWith("describe")) {
          waitForAllBrokers(admin);
          byLog = false;
        }
        answers.add(run(admin, step));
        byLog |= List.of("addAcls", "removeAcls", "setScram", "setConfigs", "setBrokerConfigs", "setClientQuotas").contains(kind);
      }
      if (byLog) waitForAllBrokers(admin);
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
      case "unregisterBroker":
        admin.unregisterBroker(detail.asInt()).all().get();
        return Map.of();
      case "setConfigs":
        alter(admin, new ConfigResource(ConfigResource.Type.TOPIC, detail.get("topic").asText()), detail.get("configs"));
        return Map.of();
      case "setBrokerConfigs":
        String broker = step.has("broker") ? step.get("broker").asText() : "";
        alter(admin, new ConfigResource(ConfigResource.Type.BROKER, broker), detail);
        return Map.of();
      case "setQuotas":
        return setQuotas(admin, detail);
      case "setClientQuotas":
        return setClientQuotas(admin, detail);
      case "describeQuotas":
        return describeQuotas(admin);
      case "addAcls":
        List<AclBinding> added = new ArrayList<>();
        detail.forEach(acl -> added.add(binding(acl)));
        admin.createAcls(added).all().get();
        return Map.of();
      case "removeAcls":
        return removeAcls(admin, detail);
      case "describeAcls":
        return describeAcls(admin);
      case "setScram":
        return setScram(admin, detail);
      case "electLeaders":
        Set<TopicPartition> elected = new HashSet<>();
        step.get("partitions").forEach(place -> elected.add(partition(place)));
        admin.electLeaders(ElectionType.valueOf(detail.asText().toUpperCase(Locale.ROOT)), elected).all().get();
        return Map.of();
      case "reassign":
        return reassign(admin, detail);
      case "at":
        return waitUntilAge(detail.asLong());
      case "describeReplicas":
        return describeReplicas(admin, detail.asText());
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
      } catch (ExecutionException notYet) {
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

  private static Object setClientQuotas(Admin admin, JsonNode all) throws Exception {
    List<ClientQuotaAlteration> alterations = new ArrayList<>();
    for (JsonNode each : all) {
      Map<String, String> entity = new HashMap<>();
      each.get("entity").properties().forEach(part -> entity.put(part.getKey(), part.getValue().isNull() ? null : part.getValue().asText()));
      List<ClientQuotaAlteration.Op> changes = new ArrayList<>();
      each.get("quotas").properties().forEach(quota -> changes.add(new ClientQuotaAlteration.Op(
          quota.getKey(), quota.getValue().isNull() ? null : quota.getValue().asDouble())));
      alterations.add(new ClientQuotaAlteration(new ClientQuotaEntity(entity), changes));
    }
    admin.alterClientQuotas(alterations).all().get();
    return Map.of();
  }

  /** Lines such as `{client-id=null, user=alice} producer_byte_rate=1000.0`, sorted. */
  private static Object describeQuotas(Admin admin) throws Exception {
    List<String> lines = new ArrayList<>();
    admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get().forEach((entity, quotas) -> quotas.forEach((key, value) ->
        lines.add(new TreeMap<>(entity.entries()) + " " + key + "=" + value)));
    Collections.sort(lines);
    return lines;
  }

  private static AclBinding binding(JsonNode acl) {
    return new AclBinding(
        new ResourcePattern(
            ResourceType.fromString(acl.get("resource").asText()),
            acl.get("name").asText(),
            PatternType.valueOf(acl.path("pattern").asText("literal").toUpperCase(Locale.ROOT))),
        new AccessControlEntry(
            "User:" + acl.get("user").asText(),
            acl.path("host").asText("*"),
            AclOperation.fromString(acl.get("operation").asText()),
            AclPermissionType.fromString(acl.path("permission").asText("allow"))));
  }

  private static Object removeAcls(Admin admin, JsonNode acls) throws Exception {
    List<AclBindingFilter> filters = new ArrayList<>();
    acls.forEach(acl -> filters.add(binding(acl).toFilter()));
    for (var result : admin.deleteAcls(filters).values().entrySet()) {
      if (result.getValue().get().values().isEmpty()) throw new IllegalStateException("no such ACL: " + result.getKey());
    }
    return Map.of();
  }

  private static Object describeAcls(Admin admin) throws Exception {
    List<Map<String, String>> answer = new ArrayList<>();
    for (AclBinding acl : admin.describeAcls(AclBindingFilter.ANY).values().get()) {
      Map<String, String> line = new LinkedHashMap<>();
      line.put("user", acl.entry().principal().replaceFirst("^User:", ""));
      line.put("operation", acl.entry().operation().name().toLowerCase(Locale.ROOT));
      line.put("resource", acl.pattern().resourceType().name().toLowerCase(Locale.ROOT));
      line.put("name", acl.pattern().name());
      line.put("pattern", acl.pattern().patternType().name().toLowerCase(Locale.ROOT));
      line.put("permission", acl.entry().permissionType().name().toLowerCase(Locale.ROOT));
      line.put("host", acl.entry().host());
      answer.add(line);
    }
    answer.sort(Comparator.comparing(Map::toString));
    return answer;
  }

  /** One request per mechanism: the controller takes a user only once in a request (ScramControlManager). */
  private static Object setScram(Admin admin, JsonNode users) throws Exception {
    for (ScramMechanism mechanism : List.of(ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)) {
      List<UserScramCredentialAlteration> changes = new ArrayList<>();
      users.properties().forEach(user -> changes.add(user.getValue().isNull()
          ? new UserScramCredentialDeletion(user.getKey(), mechanism)
          : new UserScramCredentialUpsertion(
              user.getKey(), new ScramCredentialInfo(mechanism, 4096), user.getValue().asText())));
      admin.alterUserScramCredentials(changes).all().get();
    }
    return Map.of();
  }

  /**
   * Credentials, ACLs and settings reach a broker through the metadata log, after the controller has answered. A setting that is
   * written behind them, and that every broker is asked for, shows that each has come so far. The setting is one that
   * limits nothing: the number of connections, above a thousand million.
   */
  private static void waitForAllBrokers(Admin admin) throws Exception {
    // Twice: the first mark may have come in one delivery with the change, which a broker applies in an order of its own.
    for (int i = 0; i < 2; i++) waitForMark(admin);
  }

  private static void waitForMark(Admin admin) throws Exception {
    String mark = String.valueOf(ThreadLocalRandom.current().nextInt(1_000_000_000, Integer.MAX_VALUE));
    ConfigEntry entry = new ConfigEntry("max.connections", mark);
    ConfigResource all = new ConfigResource(ConfigResource.Type.BROKER, "");
    admin.incrementalAlterConfigs(Map.of(all, List.of(new AlterConfigOp(entry, AlterConfigOp.OpType.SET)))).all().get();
    for (Node node : admin.describeCluster().nodes().get()) {
      ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, node.idString());
      waitUntil("broker " + node.id() + " follows the metadata log", () ->
          mark.equals(admin.describeConfigs(List.of(broker)).all().get().get(broker).get("max.connections").value()));
    }
  }

  private static Object reassign(Admin admin, JsonNode wanted) throws Exception {
    Map<TopicPartition, Optional<NewPartitionReassignment>> changes = new HashMap<>();
    Map<TopicPartition, List<Integer>> replicas = new HashMap<>();
    for (JsonNode place : wanted) {
      List<Integer> ids = new ArrayList<>();
      place.get("replicas").forEach(id -> ids.add(id.asInt()));
      changes.put(partition(place), Optional.of(new NewPartitionReassignment(ids)));
      replicas.put(partition(place), ids);
    }
    admin.alterPartitionReassignments(changes).all().get();
    waitUntil("the reassignment ends", () ->
        admin.listPartitionReassignments(replicas.keySet()).reassignments().get().isEmpty());
    lead(admin, replicas);
    return System.currentTimeMillis();
  }

  /** A new order of the same replicas moves no leader: that takes an election, once the first replica is in sync. */
  private static void lead(Admin admin, Map<TopicPartition, List<Integer>> wanted) throws Exception {
    Set<String> topics = wanted.keySet().stream().map(TopicPartition::topic).collect(Collectors.toSet());
    waitUntil("the first replicas lead " + wanted, () -> {
      var descriptions = admin.describeTopics(topics).allTopicNames().get();
      boolean isDone = wanted.entrySet().stream().allMatch(place -> {
        TopicPartitionInfo info = descriptions.get(place.getKey().topic()).partitions().get(place.getKey().partition());
        List<Integer> now = info.replicas().stream().map(Node::id).collect(Collectors.toList());
        return now.equals(place.getValue()) && info.leader() != null && info.leader().id() == now.get(0);
      });
      if (isDone) return true;
      try {
        admin.electLeaders(ElectionType.PREFERRED, wanted.keySet()).all().get();
      } catch (ExecutionException notNeededOrNotYet) {
        return false;
      }
      return false;
    });
  }

  /** Waits until so long after the start of this request. */
  private static Object waitUntilAge(long ageMs) throws Exception {
    Thread.sleep(Math.max(0, ageMs - (System.nanoTime() - STARTED_AT.get()) / 1_000_000));
    return Map.of();
  }

  private static TopicPartition partition(JsonNode place) {
    return new TopicPartition(place.get("topic").asText(), place.get("partition").asInt());
  }

  private static void waitUntil(String what, Callable<Boolean> condition) throws Exception {
    long deadline = System.nanoTime() + DEADLINE_MS * 1_000_000;
    while (!condition.call()) {
      if (System.nanoTime() > deadline) throw new IllegalStateException("not within " + DEADLINE_MS + " ms: " + what);
      Thread.sleep(20);
    }
  }

  private static Object describeReplicas(Admin admin, String topic) throws Exception {
    List<Object> answer = new ArrayList<>();
    for (TopicPartitionInfo info : admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions()) {
      Map<String, Object> row = new LinkedHashMap<>();
      row.put("partition", info.partition());
      row.put("leader", info.leader() == null ? -1 : info.leader().id());
      row.put("replicas", info.replicas().stream().map(Node::id).collect(Collectors.toList()));
      row.put("inSync", info.isr().stream().map(Node::id).sorted().collect(Collectors.toList()));
      answer.add(row);
    }
    return answer;
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
