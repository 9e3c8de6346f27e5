import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.types.Password;
import org.apache.kafka.common.security.JaasContext;
import org.apache.kafka.connect.mirror.DefaultTopicFilter;
import org.apache.kafka.connect.mirror.MirrorCheckpointConnector;
import org.apache.kafka.connect.mirror.MirrorHeartbeatConnector;
import org.apache.kafka.connect.mirror.MirrorSourceConnector;

/**
 * What Java and Kafka make of configurations. One argument, a JSON request with any of: "properties" (files in base64: the
 * pairs of java.util.Properties, or null where it throws), "jaas" (values of sasl.jaas.config: [module, options], or null),
 * "expressions" ({"pattern", "names"}: the names that match as a whole, or null where Java refuses it), "topics" ({"topics",
 * "exclude", "names"}: what MirrorMaker 2's filter chooses, or null), "settings" (true: the settings of its connectors and
 * clients). Prints one JSON object with the same keys.
 */
public final class ConfigOracle {
  private static final ObjectMapper JSON = new ObjectMapper();

  public static void main(String[] args) throws IOException {
    JsonNode request = JSON.readTree(args[0]);
    ObjectNode answer = JSON.createObjectNode();
    for (JsonNode file : request.path("properties")) answer.withArray("properties").addPOJO(properties(file.asText()));
    for (JsonNode value : request.path("jaas")) answer.withArray("jaas").addPOJO(jaas(value.asText()));
    for (JsonNode each : request.path("expressions"))
      answer.withArray("expressions").addPOJO(matches(each.get("pattern").asText(), texts(each.get("names"))));
    for (JsonNode each : request.path("topics")) answer.withArray("topics").addPOJO(chosen(each));
    if (request.path("settings").asBoolean()) answer.set("settings", settings());
    System.out.println(JSON.writeValueAsString(answer));
  }

  private static Map<String, String> properties(String base64) throws IOException {
    Properties properties = new Properties();
    try {
      properties.load(new ByteArrayInputStream(Base64.getDecoder().decode(base64)));
    } catch (IllegalArgumentException malformed) {
      return null;
    }
    Map<String, String> pairs = new TreeMap<>();
    for (String name : properties.stringPropertyNames()) pairs.put(name, properties.getProperty(name));
    return pairs;
  }

  private static List<Object> jaas(String value) {
    try {
      List<AppConfigurationEntry> entries =
          JaasContext.loadClientContext(Map.of("sasl.jaas.config", new Password(value))).configurationEntries();
      return List.of(entries.get(0).getLoginModuleName(), new TreeMap<String, Object>(entries.get(0).getOptions()));
    } catch (RuntimeException refused) {
      return null;
    }
  }

  private static List<String> matches(String pattern, List<String> names) {
    try {
      Pattern compiled = Pattern.compile(pattern);
      return names.stream().filter(name -> compiled.matcher(name).matches()).toList();
    } catch (PatternSyntaxException refused) {
      return null;
    }
  }

  private static List<String> chosen(JsonNode question) {
    try (DefaultTopicFilter filter = new DefaultTopicFilter()) {
      Map<String, String> settings = new HashMap<>();
      settings.put("topics", question.get("topics").asText());
      settings.put("topics.exclude", question.get("exclude").asText());
      filter.configure(settings);
      return texts(question.get("names")).stream().filter(filter::shouldReplicateTopic).toList();
    } catch (RuntimeException refused) {
      return null;
    }
  }

  /** Connector → names of its settings; "client" has those behind an alias. */
  private static ObjectNode settings() {
    Map<String, TreeSet<String>> names = new LinkedHashMap<>();
    names.put("source", new TreeSet<>(new MirrorSourceConnector().config().names()));
    names.put("checkpoint", new TreeSet<>(new MirrorCheckpointConnector().config().names()));
    names.put("heartbeat", new TreeSet<>(new MirrorHeartbeatConnector().config().names()));
    // What MirrorClientConfig, which keeps its own list to itself, lets through.
    names.put("client", new TreeSet<>(new ConfigDef().withClientSslSupport().withClientSaslSupport().names()));
    names.get("client").addAll(List.of("bootstrap.servers", "security.protocol"));
    ObjectNode all = JSON.createObjectNode();
    names.forEach((kind, list) -> {
      ArrayNode array = all.putArray(kind);
      list.forEach(array::add);
    });
    return all;
  }

  private static List<String> texts(JsonNode array) {
    List<String> texts = new ArrayList<>();
    array.forEach(each -> texts.add(each.asText()));
    return texts;
  }
}
