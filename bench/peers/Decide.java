import com.fasterxml.jackson.annotation.JsonUnwrapped;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.ContextualFixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;

/** Kafka Streams, exactly_once_v2: a topology that answers from memory. The arguments are job.py's. */
public final class Decide extends ContextualFixedKeyProcessor<String, String, byte[]> {
    record Verdict(String stream, String tenant, String label, String severity, double confidence, int priority,
            Map<String, String> fields, String summary, String decided_by, String model, String policy_version) {}

    record Source(String topic, int partition, long offset, String key, long timestamp_ms) {}

    record Decision(String id, Source source, @JsonUnwrapped Verdict verdict) {}

    private static final ObjectMapper JSON = new ObjectMapper();
    private final Map<String, Verdict> memory;

    private Decide(Map<String, Verdict> memory) {
        this.memory = memory;
    }

    @Override
    public void process(FixedKeyRecord<String, String> record) {
        var at = context().recordMetadata().orElseThrow();
        var source = new Source(at.topic(), at.partition(), at.offset(), record.key(), record.timestamp());
        var id = at.topic() + "/" + at.partition() + "/" + at.offset();
        try {
            var decision = JSON.writeValueAsBytes(new Decision(id, source, memory.get(record.value())));
            context().forward(record.withValue(decision));
        } catch (JsonProcessingException error) {
            throw new IllegalStateException(error);
        }
    }

    public static void main(String[] arguments) throws IOException {
        String mode = arguments[0], brokers = arguments[1], input = arguments[2], output = arguments[3];
        Map<String, Verdict> memory = JSON.readValue(new File(arguments[4]), new TypeReference<>() {});
        var builder = new StreamsBuilder();
        builder.stream(input, Consumed.with(Serdes.String(), Serdes.String()))
                .processValues(() -> new Decide(memory))
                .to(output, Produced.with(Serdes.String(), Serdes.ByteArray()));
        var settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, output);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, mode);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, new File(arguments[4]).getParent());
        // For throughput; with the defaults (100 ms, 16 KiB, 100 ms) it needs a good half more CPU a record.
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 500);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 128 * 1024);
        settings.put(StreamsConfig.RETRY_BACKOFF_MS_CONFIG, 10); // a new transaction waits for the last one's markers
        var streams = new KafkaStreams(builder.build(), settings);
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }
}
