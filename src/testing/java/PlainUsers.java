import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.NameCallback;
import javax.security.auth.callback.UnsupportedCallbackException;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.plain.PlainAuthenticateCallback;

/**
 * The broker's side of SASL/PLAIN with users that change while it runs: a JSON file, name → password, read at each
 * login. Kafka's own handler takes its users from the JAAS setting, which a KRaft broker reads only when it starts. The
 * JAAS option `file` says where the file is.
 */
public final class PlainUsers implements AuthenticateCallbackHandler {
  private static final ObjectMapper JSON = new ObjectMapper();
  private File file;

  @Override
  public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> jaas) {
    file = new File((String) jaas.get(0).getOptions().get("file"));
  }

  @Override
  public void handle(Callback[] callbacks) throws IOException, UnsupportedCallbackException {
    String name = null;
    for (Callback callback : callbacks) {
      if (callback instanceof NameCallback) {
        name = ((NameCallback) callback).getDefaultName();
      } else if (callback instanceof PlainAuthenticateCallback) {
        PlainAuthenticateCallback login = (PlainAuthenticateCallback) callback;
        JsonNode password = JSON.readTree(file).get(name);
        login.authenticated(password != null && password.asText().equals(new String(login.password())));
      } else {
        throw new UnsupportedCallbackException(callback);
      }
    }
  }

  @Override
  public void close() {}
}
