import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Prints alerts as they change, with nothing but kafka-clients: {@code java -cp 'kafka-jars/*' ReadAlerts.java [N]}.
 *
 * <p>The value is JSON, see docs/schemas/alerts.json; null is a tombstone: the alert may be forgotten. Without a group
 * every start reads from the beginning; with one ({@code group.id}) it goes on where it was.
 */
public final class ReadAlerts {
  public static void main(String[] arguments) {
    long most = arguments.length > 0 ? Long.parseLong(arguments[0]) : Long.MAX_VALUE;
    Properties settings = new Properties();
    settings.put("bootstrap.servers", System.getenv().getOrDefault("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"));
    settings.put("isolation.level", "read_committed");
    settings.put("auto.offset.reset", "earliest");
    settings.put("enable.auto.commit", "false");
    settings.put("key.deserializer", StringDeserializer.class.getName());
    settings.put("value.deserializer", StringDeserializer.class.getName());
    try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings)) {
      String topic = "sluice.alerts";
      consumer.assign(
          consumer.partitionsFor(topic).stream()
              .map(partition -> new TopicPartition(topic, partition.partition()))
              .toList());
      consumer.seekToBeginning(List.of());
      for (long seen = 0; seen < most; ) {
        for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(1))) {
          System.out.println(record.key() + " " + (record.value() == null ? "forgotten" : record.value()));
          if (++seen == most) {
            break;
          }
        }
      }
    }
  }
}
