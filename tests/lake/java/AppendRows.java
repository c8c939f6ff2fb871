import java.time.OffsetDateTime;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.CatalogUtil;
import org.apache.iceberg.PartitionKey;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.Catalog;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.data.GenericRecord;
import org.apache.iceberg.data.InternalRecordWrapper;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.data.parquet.GenericParquetWriter;
import org.apache.iceberg.io.DataWriter;
import org.apache.iceberg.io.OutputFile;
import org.apache.iceberg.parquet.Parquet;

/**
 * Commits rows to table telemetry.chunks as Flink's sink does, one a commit, from Iceberg's own library:
 * java -cp 'build/jars/flink/*' AppendRows.java IMPL FIRST_MINUTE COMMITS KEY=VALUE...
 */
public final class AppendRows {
    public static void main(String[] args) throws Exception {
        Map<String, String> properties = new HashMap<>();
        for (int i = 3; i < args.length; i++) {
            String[] pair = args[i].split("=", 2);
            properties.put(pair[0], pair[1]);
        }
        Catalog catalog = CatalogUtil.loadCatalog(args[0], "lake", properties, new Configuration());
        Table table = catalog.loadTable(TableIdentifier.of("telemetry", "chunks"));
        System.out.println("ready");
        System.out.flush();
        int first = Integer.parseInt(args[1]);
        for (int minute = first; minute < first + Integer.parseInt(args[2]); minute++) {
            append(table, minute);
        }
    }

    private static void append(Table table, int minute) throws Exception {
        Record row = row(table, minute);
        PartitionKey partition = new PartitionKey(table.spec(), table.schema());
        partition.partition(new InternalRecordWrapper(table.schema().asStruct()).wrap(row));
        String name = UUID.randomUUID() + ".parquet";
        OutputFile file = table.io()
                .newOutputFile(table.locationProvider().newDataLocation(table.spec(), partition, name));
        DataWriter<Record> writer = Parquet.writeData(file)
                .forTable(table)
                .createWriterFunc(GenericParquetWriter::create)
                .withPartition(partition)
                .build();
        try (writer) {
            writer.write(row);
        }
        table.newAppend().appendFile(writer.toDataFile()).commit();
    }

    private static Record row(Table table, int minute) {
        Record row = GenericRecord.create(table.schema());
        row.setField("facility", "plant-07");
        row.setField("gateway", "gw-1");
        row.setField("minute", OffsetDateTime.parse("2026-01-31T00:00:00Z").plusMinutes(minute));
        row.setField("revision", 1);
        row.setField("complete", true);
        row.setField("missing", 0);
        row.setField("batches", 60);
        row.setField("readings", 300_000L);
        row.setField("chunk", ByteBuffer.wrap(new byte[] {1, 2, 3}));
        return row;
    }
}
