import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;

/**
 * What Kafka's own client is told at a listener. One argument, a JSON request: {"probes": [{client property: value}]}.
 * Prints one JSON array: for each probe the topics that it sees, or the class and message of its error.
 */
public final class ClientProbe {
  private static final ObjectMapper JSON = new ObjectMapper();

  public static void main(String[] args) throws Exception {
    List<Object> answers = new ArrayList<>();
    JsonNode probes = JSON.readTree(args[0]).get("probes");
    System.setProperty("org.apache.kafka.sasl.oauthbearer.allowed.urls",
        String.join(",", probes.findValuesAsText("sasl.oauthbearer.token.endpoint.url")));
    for (JsonNode probe : probes) {
      Properties properties = new Properties();
      probe.properties().forEach(entry -> properties.put(entry.getKey(), entry.getValue().asText()));
      answers.add(ask(properties));
    }
    System.out.println(JSON.writeValueAsString(answers));
  }

  private static Map<String, Object> ask(Properties properties) throws InterruptedException {
    Map<String, Object> answer = new LinkedHashMap<>();
    try (Admin admin = Admin.create(properties)) {
      answer.put("topics", new TreeSet<>(admin.listTopics().names().get()));
    } catch (ExecutionException refused) {
      answer.put("error", refused.getCause().getClass().getSimpleName());
      answer.put("message", refused.getCause().getMessage());
    } catch (RuntimeException unusable) {
      Throwable cause = unusable;
      while (cause.getCause() != null) cause = cause.getCause();
      answer.put("error", cause.getClass().getSimpleName());
      answer.put("message", String.valueOf(cause.getMessage()));
    }
    return answer;
  }
}
