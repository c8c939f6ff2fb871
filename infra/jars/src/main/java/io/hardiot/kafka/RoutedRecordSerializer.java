package io.hardiot.kafka;

import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import org.apache.flink.connector.kafka.lineage.DefaultKafkaDatasetFacet;
import org.apache.flink.connector.kafka.lineage.DefaultKafkaDatasetIdentifier;
import org.apache.flink.connector.kafka.lineage.KafkaDatasetFacet;
import org.apache.flink.connector.kafka.lineage.KafkaDatasetFacetProvider;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.flink.types.Row;

/**
 * Writes Row(topic, key, value, headers) to the topic that it names.
 *
 * <p>One sink, so one transaction, for all that a job says: a rollup, its ledger line and the dead
 * letters of one checkpoint become visible together. Side outputs would do the same with a hidden
 * second Python operator, which can deadlock in thread mode.
 *
 * <p>The pattern says which topics the job may write to: the sink's pool of transactional ids looks
 * there for open transactions when a job restarts.
 */
public final class RoutedRecordSerializer
        implements KafkaRecordSerializationSchema<Row>, KafkaDatasetFacetProvider {
    private static final long serialVersionUID = 1L;

    private final Pattern topics;

    public RoutedRecordSerializer(String topics) {
        this.topics = Pattern.compile(topics);
    }

    @Override
    public ProducerRecord<byte[], byte[]> serialize(
            Row row, KafkaSinkContext context, Long timestamp) {
        byte[] key = utf8(row.getField(1));
        var record = new ProducerRecord<>((String) row.getField(0), key, (byte[]) row.getField(2));
        Map<?, ?> headers = (Map<?, ?>) row.getField(3);
        if (headers != null) {
            headers.forEach((name, value) -> record.headers().add((String) name, utf8(value)));
        }
        return record;
    }

    @Override
    public Optional<KafkaDatasetFacet> getKafkaDatasetFacet() {
        var identifier = DefaultKafkaDatasetIdentifier.ofPattern(topics);
        return Optional.of(new DefaultKafkaDatasetFacet(identifier));
    }

    private static byte[] utf8(Object text) {
        return ((String) text).getBytes(StandardCharsets.UTF_8);
    }
}
