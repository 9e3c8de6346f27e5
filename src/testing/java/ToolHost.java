import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * Runs the mains of other tools in one JVM that stays: to start one for each question costs more than most answers.
 *
 * <p>A line of standard input is a question, {"id", "tool", "argument"}; a line of standard output its answer, {"id",
 * "out"} with what the tool has printed, or {"id", "error"} with its stack trace. Questions are answered at the same
 * time. Ends with its input, when the last one is answered.
 */
public final class ToolHost {
  private static final ObjectMapper JSON = new ObjectMapper();
  /** What the tool of this thread has printed, and threads that it starts. */
  private static final InheritableThreadLocal<ByteArrayOutputStream> PRINTED = new InheritableThreadLocal<>();

  public static void main(String[] args) throws Exception {
    PrintStream answers = System.out;
    System.setOut(new PrintStream(new Printed(), false, StandardCharsets.UTF_8) {
      /** A tool may close its standard output; that of the others stays open. */
      @Override
      public void close() {
        flush();
      }
    });
    BufferedReader questions = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = questions.readLine(); line != null; line = questions.readLine()) {
      JsonNode question = JSON.readTree(line);
      new Thread(() -> answer(question, answers)).start();
    }
  }

  private static void answer(JsonNode question, PrintStream answers) {
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    PRINTED.set(printed);
    Map<String, Object> answer;
    int id = question.get("id").asInt();
    try {
      String[] args = {question.get("argument").asText()};
      Class.forName(question.get("tool").asText()).getMethod("main", String[].class).invoke(null, (Object) args);
      answer = Map.of("id", id, "out", printed.toString(StandardCharsets.UTF_8));
    } catch (ReflectiveOperationException error) {
      StringWriter trace = new StringWriter();
      // What the tool threw is the cause of an InvocationTargetException.
      (error.getCause() == null ? error : error.getCause()).printStackTrace(new PrintWriter(trace));
      answer = Map.of("id", id, "error", trace.toString());
    }
    try {
      byte[] line = JSON.writeValueAsString(answer).concat("\n").getBytes(StandardCharsets.UTF_8);
      synchronized (answers) {
        answers.write(line);
        answers.flush();
      }
    } catch (java.io.IOException error) {
      throw new java.io.UncheckedIOException(error);
    }
  }

  private static final class Printed extends OutputStream {
    @Override
    public void write(int octet) {
      PRINTED.get().write(octet);
    }

    @Override
    public void write(byte[] bytes, int from, int length) {
      PRINTED.get().write(bytes, from, length);
    }
  }
}
