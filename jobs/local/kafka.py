"""One Kafka broker that is its own controller (KRaft), on loopback."""

from __future__ import annotations

import base64
import logging
import uuid
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from jobs.local import archive, java, paths
from jobs.local.ports import LOOPBACK, is_free

_LARGEST_RECORD_BYTES = 16 * 1024 * 1024
_QUICK_START = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]


def server_properties(
    folder: Path, port: int, controller_port: int, edge: tuple[int, int] | None = None
) -> str:
    """The broker's configuration file, as text; its data lie in `folder`.

    edge: a second listener as (its port, the port that it tells clients). When the second is that
    of a `Link`, clients that come by the link stay on it.
    """
    listeners = {"PLAINTEXT": port, "CONTROLLER": controller_port}
    advertised = {"PLAINTEXT": port}
    if edge is not None:
        listeners["EDGE"], advertised["EDGE"] = edge
    return f"""\
process.roles=broker,controller
node.id=1
listeners={_addresses(listeners)}
advertised.listeners={_addresses(advertised)}
listener.security.protocol.map={",".join(f"{name}:PLAINTEXT" for name in listeners)}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.voters=1@{LOOPBACK}:{controller_port}
log.dirs={folder}

# One broker: nothing to replicate to.
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# The first consumer and the first transaction wait until these topics are there; 50 is the default.
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4

# A batch may have up to 4 MB; a minute of rollups of 50,000 sensors needs more.
message.max.bytes={_LARGEST_RECORD_BYTES}
replica.fetch.max.bytes={_LARGEST_RECORD_BYTES}
# Retention by arrival: by event time a backlog or a recording would be deleted as soon as it came.
log.message.timestamp.type=LogAppendTime
# A misspelt topic is an error, not a new topic.
auto.create.topics.enable=false
# A job may be down this long and still commit what it prepared.
transaction.max.timeout.ms=900000
# What a killed producer left open holds back readers until it is aborted.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000

# No three seconds of waiting for more members of a group.
group.initial.rebalance.delay.ms=0
# The default takes 128 MB of heap at once to compact a few small topics.
log.cleaner.dedupe.buffer.size=16777216
"""


def _addresses(listeners: dict[str, int]) -> str:
    return ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in listeners.items())


def format_command(properties: Path) -> list[str]:
    """Command that prepares the data folder, once."""
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
    # One argument: one id in 64 starts with "-", and would be taken for an option.
    name = f"--cluster-id={cluster_id}"
    tool = ["kafka.tools.StorageTool", "format", name, "-c", str(properties)]
    return [java.java(), *_QUICK_START, *_logging("warn"), "-cp", _class_path(), *tool]


def broker_command(properties: Path, options: archive.Options = archive.use) -> list[str]:
    """Command that runs the broker in the foreground."""
    program, jars = java.java(), _class_path()
    heap = ["-Xms256m", "-Xmx1g", "-XX:+UseG1GC", *options("kafka", program, jars)]
    return [program, *heap, *_logging("info"), "-cp", jars, "kafka.Kafka", str(properties)]


def _class_path() -> str:
    return str(paths.jars("kafka")[0].parent / "*")


def _logging(level: str) -> list[str]:
    prefix = "-Dorg.slf4j.simpleLogger."
    return [
        f"{prefix}defaultLogLevel={level}",
        f"{prefix}showDateTime=true",
        f"{prefix}dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        # 250 lines of settings, several times over
        f"{prefix}log.org.apache.kafka.common.config.AbstractConfig=warn",
    ]


def is_ready(port: int) -> bool:
    """Whether the broker answers and is in service (topics could be created now)."""
    if is_free(port):
        return False
    # The client logs each failed attempt; here a failed attempt is the normal case.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        server = f"{LOOPBACK}:{port}"
        admin = KafkaAdminClient(
            bootstrap_servers=server, request_timeout_ms=2_000, bootstrap_timeout_ms=2_000
        )
    except (KafkaError, ValueError):
        return False
    try:
        brokers = admin.describe_cluster()["brokers"]
        return any(not broker["is_fenced"] for broker in brokers)
    except KafkaError:
        return False
    finally:
        admin.close()
        logging.getLogger("kafka").setLevel(logging.NOTSET)
