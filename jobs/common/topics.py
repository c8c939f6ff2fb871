"""Names of topics, patterns of their families, and their creation from infra/contracts/topics.yaml.

readings_topic("plant-07")                          # "readings.plant-07"
pattern(READINGS, BACKLOG)                          # one regex for Java and Python
ensure_topics("localhost:9092", ["plant-07"])       # creates what is missing, says what that was
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jobs.common.contracts import Topic, load_topics
from jobs.common.errors import HardiotError
from udfs.batch import NAME

READINGS = "readings.<facility>"
BACKLOG = "backlog.<facility>"
LEDGER = "ledger.<facility>"
COUNTED = "counted.<facility>"
ADMISSION = "admission.<facility>"
EDGE_ALERTS = "edge-alerts.<facility>"
EDGE_ROLLUPS = "edge-rollups.<facility>"
EDGE_DEAD_LETTERS = "edge-dead-letters.<facility>"
CATALOGUE = "catalogue"
RULES = "rules"
ROLLUPS = "rollups"
ALERTS = "alerts"
DEAD_LETTERS = "dead-letters"
CONDITION_EVENTS = "condition-events"
PATTERN_MATCHES = "pattern-matches"

# Kafka takes at most 10,000 metadata records a request: 200 topics of up to 42 partitions
MAX_TOPICS_A_REQUEST = 200
HOUR_MS = 3_600_000


class TopicsError(HardiotError):
    """Topics that could not be created. `str()` says which, and what the broker said."""


def readings_topic(facility: str) -> str:
    """Live lane of a facility. Raises: ValueError: not a facility's name."""
    return topic_of(READINGS, facility)


def backlog_topic(facility: str) -> str:
    """Replay lane of a facility. Raises: ValueError: not a facility's name."""
    return topic_of(BACKLOG, facility)


def ledger_topic(facility: str) -> str:
    """What a facility's gateways say they sent. Raises: ValueError: not a facility's name."""
    return topic_of(LEDGER, facility)


def counted_topic(facility: str) -> str:
    """What the cloud counted of a facility. Raises: ValueError: not a facility's name."""
    return topic_of(COUNTED, facility)


def admission_topic(facility: str) -> str:
    """Tokens for a facility's backlog. Raises: ValueError: not a facility's name."""
    return topic_of(ADMISSION, facility)


def topic_of(family: str, facility: str) -> str:
    """The topic of one facility in a family. Raises: ValueError: not a facility's name."""
    if not NAME.fullmatch(facility):
        raise ValueError(
            f'"{facility}" is not a facility: use a-z, 0-9 and "-", at most 63, e.g. "plant-07"'
        )
    return family.replace("<facility>", facility)


def facility_of(topic: str) -> str:
    """The facility in a topic's name. Raises: ValueError: the topic has none."""
    family, dot, facility = topic.partition(".")
    if not (family and dot and NAME.fullmatch(facility)):
        raise ValueError(f'topic "{topic}" names no facility, as "readings.plant-07" does')
    return facility


def pattern(*names: str, facilities: str = NAME.pattern) -> str:
    """One regex that matches whole names of these topics and families, in Java and in Python.

    Args: facilities: regex of the facilities in it, all unless given.
    """
    site = f"(?:{facilities})"
    return "|".join(name.replace(".", r"\.").replace("<facility>", site) for name in names)


def ensure_topics(
    bootstrap: str,
    facilities: Iterable[str],
    *,
    replication: int = 1,
    partitions: Mapping[str, int] | None = None,
    timeout_s: float = 30,
) -> list[str]:
    """Create the topics that are missing, and wait until they can be used.

    Args: facilities: who gets one topic of each family. replication: copies of each partition, 3 in
        production. partitions: other counts than topics.yaml, by name there, e.g. {"rollups": 1}.
    Returns: names of the topics created, sorted; existing ones are left as they are.
    Raises: TopicsError: no broker, or it refuses. ValueError: bad facility or name in `partitions`.
    """
    wanted = topic_requests(load_topics(), facilities, replication, partitions or {})
    admin = _connect(bootstrap, timeout_s)
    try:
        missing = sorted(set(wanted) - set(admin.list_topics()))
        for start in range(0, len(missing), MAX_TOPICS_A_REQUEST):
            _create(admin, {name: wanted[name] for name in missing[start:][:MAX_TOPICS_A_REQUEST]})
        # brokers learn of topics in order: asking for the last one first spares them hundreds of
        # answers about thousands of topics
        for names in (missing[-1:], missing):
            admin.wait_for_topics(names, timeout_ms=int(timeout_s * 1000))
    finally:
        admin.close()
    return missing


def topic_requests(
    topics: Iterable[Topic],
    facilities: Iterable[str],
    replication: int,
    partitions: Mapping[str, int],
) -> dict[str, dict[str, Any]]:
    """What to ask of the broker, by topic name, as `KafkaAdminClient.create_topics` takes it."""
    sites = sorted(set(facilities))
    requests: dict[str, dict[str, Any]] = {}
    unknown = set(partitions)
    for topic in topics:
        unknown.discard(topic.name)
        request = {
            "num_partitions": partitions.get(topic.name, topic.partitions),
            "replication_factor": replication,
            "configs": topic_configs(topic, replication),
        }
        names = [topic_of(topic.name, site) for site in sites] if topic.is_family else [topic.name]
        requests |= dict.fromkeys(names, request)
    if unknown:
        raise ValueError(f"partitions for {', '.join(sorted(unknown))}: not in topics.yaml")
    return requests


def topic_configs(topic: Topic, replication: int) -> dict[str, str]:
    """Kafka's settings of a topic; every value is text."""
    retention_ms = -1 if topic.retention_h is None else topic.retention_h * HOUR_MS
    return {
        "cleanup.policy": topic.cleanup,
        "compression.type": topic.compression,
        "max.message.bytes": str(topic.max_message_bytes),
        # by the record's own time, a broker deletes a replay as soon as it arrives
        "message.timestamp.type": "LogAppendTime",
        # one broker of three may be away without stopping producers, or losing what it acknowledged
        "min.insync.replicas": str(max(1, replication - 1)),
        "retention.ms": str(retention_ms),
        "segment.ms": str(topic.segment_h * HOUR_MS),
    }


def _connect(bootstrap: str, timeout_s: float) -> Any:
    # here and not at the top: importing the client takes longer than the rest of the module
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    try:
        return KafkaAdminClient(
            bootstrap_servers=bootstrap,
            client_id="hardiot-topics",
            bootstrap_timeout_ms=int(timeout_s * 1000),
        )
    except KafkaError as error:
        raise TopicsError(
            f"no Kafka at {bootstrap} within {timeout_s:g} s ({type(error).__name__}); "
            "is it running? `hardiot status` shows where it listens"
        ) from error


def _create(admin: Any, requests: Mapping[str, Mapping[str, Any]]) -> None:
    from kafka.errors import NoError, TopicAlreadyExistsError, for_code

    answer = admin.create_topics(requests, raise_errors=False)
    # somebody else may have created one meanwhile, which is as good
    fine = (NoError.errno, TopicAlreadyExistsError.errno)
    refused = [topic for topic in answer["topics"] if topic["error_code"] not in fine]
    if refused:
        names: dict[str, list[str]] = {}
        for topic in refused:
            reason = topic["error_message"] or for_code(topic["error_code"]).__name__
            names.setdefault(reason, []).append(topic["name"])
        raise TopicsError("\n".join(_refusal(reason, said) for reason, said in names.items()))


def _refusal(reason: str, names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more} not created: {reason}"
