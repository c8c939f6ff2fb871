"""The Flink environment of a job, its Kafka source and its Kafka sink.

    env = environment("rollup-readings", settings)
    records = read_records(env, settings, group="rollup-readings", families=[...])
    write_outputs(outputs, settings, "rollups|dead-letters", exactly_once_as="rollup-readings")

Cluster settings (checkpoints, thread mode, restart strategy) are in flink-conf/config.yaml only.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

from py4j.java_gateway import JavaPackage
from pyflink.common import Configuration, Types, WatermarkStrategy
from pyflink.datastream import DataStream, KeyedStream, StreamExecutionEnvironment
from pyflink.datastream.connectors.base import Sink, Source
from pyflink.java_gateway import get_gateway

from jobs.common.errors import JobError
from jobs.common.settings import JobSettings

TRANSACTION_TIMEOUT_MS = 900_000  # the broker's default maximum; must outlast the longest restart
MAX_REQUEST_BYTES = 16 * 1024 * 1024

RECORD_TYPE = Types.ROW(
    [Types.STRING(), Types.INT(), Types.LONG(), Types.PRIMITIVE_ARRAY(Types.BYTE())]
)
OUTPUT_TYPE = Types.ROW(
    [
        Types.STRING(),
        Types.STRING(),
        Types.PRIMITIVE_ARRAY(Types.BYTE()),
        Types.MAP(Types.STRING(), Types.STRING()),
    ]
)


def environment(name: str, settings: JobSettings) -> StreamExecutionEnvironment:
    """An environment whose Python is this one and whose job has a name."""
    config = Configuration()
    config.set_string("pipeline.name", name)
    config.set_string("python.executable", sys.executable)
    config.set_string("python.client.executable", sys.executable)
    env = StreamExecutionEnvironment.get_execution_environment(config)
    env.set_parallelism(settings.parallelism)
    # cannot be changed later without losing state, so it is set before the first run
    env.set_max_parallelism(1024)
    return env


def read_records(
    env: StreamExecutionEnvironment, settings: JobSettings, group: str, families: Sequence[str]
) -> KeyedStream:
    """Records of all facilities' topics of some families, keyed by facility/gateway.

    Rows are (topic, partition, offset, value). No watermarks: minutes close by coverage.
    """
    jvm = _jvm()
    kafka = jvm.org.apache.flink.connector.kafka.source
    offsets = kafka.enumerator.initializer.OffsetsInitializer
    start = getattr(jvm.org.apache.flink.kafka.shaded.org.apache.kafka.clients.consumer
                    .OffsetResetStrategy, settings.starting_offsets.upper())  # fmt: skip
    pattern = rf"({'|'.join(map(re.escape, families))})\.({settings.facilities})"
    builder = (
        kafka.KafkaSource.builder()
        .setBootstrapServers(settings.bootstrap)
        .setGroupId(group)
        .setTopicPattern(jvm.java.util.regex.Pattern.compile(pattern))
        .setStartingOffsets(offsets.committedOffsets(start))
        .setProperty("partition.discovery.interval.ms", str(settings.discovery_s * 1000))
        .setProperty("fetch.max.wait.ms", "50")
        .setDeserializer(own("kafka.KeyedRecordDeserializer")())
    )
    for key, value in settings.client_properties().items():
        builder = builder.setProperty(key, value)
    stream = env.from_source(
        Source(builder.build()), WatermarkStrategy.no_watermarks(), "Read records"
    ).uid("read-records")
    return KeyedStream(_keyed(stream._j_data_stream, settings.parallelism), RECORD_TYPE, stream)


def _keyed(stream: Any, parallelism: int) -> Any:
    """The stream by its key: what PyFlink's key_by does, less the Python map in front of it.

    With one slot every key is at home already: the source hands its rows over in the same thread,
    and what an exchange costs (each record copied into network buffers and out) is saved. State is
    kept by key group either way, so a job can go on with more slots from the same savepoint.
    """
    jvm = _jvm()
    selector = jvm.org.apache.flink.streaming.api.functions.python.KeyByKeySelector()
    key_type = Types.ROW([Types.STRING()]).get_java_type_info()
    if parallelism > 1:
        return stream.keyBy(selector, key_type)
    utils = jvm.org.apache.flink.streaming.api.datastream.DataStreamUtils
    return utils.reinterpretAsKeyedStream(stream, selector, key_type)


def write_outputs(
    outputs: DataStream, settings: JobSettings, topics: str, exactly_once_as: str | None = None
) -> None:
    """Write rows (topic, key, value, headers) to Kafka.

    Args: topics: regular expression of all topics that rows may name. exactly_once_as: prefix of
        the transactional ids, one a job and cell; None writes at least once, without waiting for
        a checkpoint.
    """
    jvm = _jvm()
    guarantee = jvm.org.apache.flink.connector.base.DeliveryGuarantee
    properties = jvm.java.util.Properties()
    settings_of_client = {
        "max.request.size": str(MAX_REQUEST_BYTES),
        "compression.type": "lz4",
        "linger.ms": "0",
        "transaction.timeout.ms": str(TRANSACTION_TIMEOUT_MS),
    }
    for key, value in (settings_of_client | settings.client_properties()).items():
        properties.setProperty(key, value)
    builder = (
        jvm.org.apache.flink.connector.kafka.sink.KafkaSink.builder()
        .setBootstrapServers(settings.bootstrap)
        .setKafkaProducerConfig(properties)
        .setRecordSerializer(own("kafka.RoutedRecordSerializer")(topics))
        .setDeliveryGuarantee(guarantee.AT_LEAST_ONCE)
    )
    if exactly_once_as:
        naming = jvm.org.apache.flink.connector.kafka.sink.TransactionNamingStrategy.POOLING
        builder = (
            builder.setDeliveryGuarantee(guarantee.EXACTLY_ONCE)
            .setTransactionalIdPrefix(exactly_once_as)
            .setTransactionNamingStrategy(naming)
        )
    outputs.sink_to(Sink(builder.build())).name("Write records").uid("write-records")


def _jvm() -> Any:
    return get_gateway().jvm


def own(name: str) -> Any:
    """One of our Java classes. Raises: JobError: it is not on the cluster's class path."""
    found = _jvm().io.hardiot
    for part in name.split("."):
        found = getattr(found, part)
    if isinstance(found, JavaPackage):
        raise JobError(
            f"io.hardiot.{name} is not on the class path: run `make setup`, and start the "
            "cluster with `hardiot up` (its lib folder must hold build/jars/flink)"
        )
    return found
