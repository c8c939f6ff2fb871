package io.hardiot.lake;

import java.util.Map;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.types.Row;

/**
 * Turns an output row (topic, key, value, headers) of the archive's step into a row of table chunks: the
 * value is the chunk, the headers are its other columns. Times cross from Python as text, because thread
 * mode has no conversion for them.
 */
public final class ChunkRows implements MapFunction<Row, RowData> {
    private static final long serialVersionUID = 1L;

    @Override
    @SuppressWarnings("unchecked")
    public RowData map(Row output) {
        Map<String, String> header = (Map<String, String>) output.getField(3);
        return GenericRowData.of(
                StringData.fromString(header.get("facility")),
                StringData.fromString(header.get("gateway")),
                TimestampData.fromEpochMillis(Long.parseLong(header.get("minute_ms"))),
                Integer.valueOf(header.get("revision")),
                Boolean.valueOf(header.get("complete")),
                Integer.valueOf(header.get("missing")),
                Integer.valueOf(header.get("batches")),
                Long.valueOf(header.get("readings")),
                output.getField(2));
    }
}
