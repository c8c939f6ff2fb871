"""Write chunks through Flink's own Iceberg sink: once, visible with the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from py4j.protocol import Py4JJavaError
from pyflink.datastream import DataStream
from pyflink.java_gateway import get_gateway

from jobs.common.environment import own
from jobs.common.errors import JobError

# what ChunkRows.java writes, in this order
_COLUMNS = (
    "facility", "gateway", "minute", "revision", "complete", "missing", "batches", "readings",
    "chunk",
)  # fmt: skip


def write_chunks(
    outputs: DataStream, implementation: str, properties: Mapping[str, str], table: str, uid: str
) -> None:
    """Append rows (topic, key, value, headers) of an `ArchiveStep` to table chunks.

    Args: implementation, properties: of the catalog, in Java's words. table: namespace.name. uid:
        names the sink's state: a job with another one commits as another job.
    Raises: JobError: the table cannot be opened, or has other columns.
    """
    jvm = get_gateway().jvm
    loader = _loader(jvm, implementation, properties, table)
    row_type = _row_type(jvm, loader, table)
    info = jvm.org.apache.flink.table.runtime.typeutils.InternalTypeInfo.of(row_type)
    rows = outputs._j_data_stream.map(own("lake.ChunkRows")(), info).name("Make rows").uid("rows")
    sink = jvm.org.apache.iceberg.flink.sink.IcebergSink
    sink.forRowData(rows).tableLoader(loader).uidSuffix(uid).append()


def _loader(jvm: Any, implementation: str, properties: Mapping[str, str], table: str) -> Any:
    flink, copy = jvm.org.apache.iceberg.flink, jvm.java.util.HashMap()
    for key, value in properties.items():
        copy.put(key, value)
    hadoop = jvm.org.apache.hadoop.conf.Configuration()
    catalog = flink.CatalogLoader.custom("lake", copy, hadoop, implementation)
    name = jvm.org.apache.iceberg.catalog.TableIdentifier.parse(table)
    return flink.TableLoader.fromCatalog(catalog, name)


def _row_type(jvm: Any, loader: Any, table: str) -> Any:
    try:
        loader.open()
        schema = loader.loadTable().schema()
        loader.close()
    except Py4JJavaError as error:
        cause = str(error.java_exception).splitlines()[0]
        raise JobError(
            f"table {table} cannot be opened: {cause} (make the tables with `hardiot lake init`, "
            "and look at flink-conf/jobs/lake.yaml)"
        ) from None
    found = tuple(field.name() for field in schema.columns())
    if found != _COLUMNS:
        raise JobError(f"table {table} has columns {', '.join(found)}, not {', '.join(_COLUMNS)}")
    return jvm.org.apache.iceberg.flink.FlinkSchemaUtil.convert(schema)
