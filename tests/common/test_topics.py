"""Names and patterns of topics, and their creation on a real broker."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource

from jobs.common import topics
from jobs.common.contracts import load_topics
from jobs.common.topics import (
    ADMISSION,
    ALERTS,
    BACKLOG,
    CATALOGUE,
    CONDITION_EVENTS,
    COUNTED,
    DEAD_LETTERS,
    EDGE_ALERTS,
    EDGE_DEAD_LETTERS,
    EDGE_ROLLUPS,
    LEDGER,
    PATTERN_MATCHES,
    READINGS,
    ROLLUPS,
    RULES,
    TopicsError,
    ensure_topics,
    facility_of,
    pattern,
    topic_configs,
    topic_requests,
)
from jobs.local.ports import free_ports
from jobs.local.stack import Stack
from udfs import records
from udfs.batch import NAME
from udfs.rules import record


def test_names() -> None:
    assert topics.readings_topic("plant-07") == "readings.plant-07"
    assert topics.backlog_topic("plant-07") == "backlog.plant-07"
    assert topics.ledger_topic("plant-07") == "ledger.plant-07"
    assert topics.counted_topic("plant-07") == "counted.plant-07"
    assert topics.admission_topic("plant-07") == "admission.plant-07"


@pytest.mark.parametrize("facility", ["", "Plant", "a.b", "-a", "a" * 64, "a\n", "a_b"])
def test_what_is_not_a_facility(facility: str) -> None:
    with pytest.raises(ValueError, match="is not a facility"):
        topics.readings_topic(facility)


@given(st.from_regex(NAME, fullmatch=True))
def test_the_facility_of_a_topic(facility: str) -> None:
    assert facility_of(topics.backlog_topic(facility)) == facility


@pytest.mark.parametrize(
    "topic", ["rollups", "readings.", ".plant", "readings.a.b", "dead-letters"]
)
def test_topics_of_no_facility(topic: str) -> None:
    with pytest.raises(ValueError, match="names no facility"):
        facility_of(topic)


def test_patterns() -> None:
    found = pattern(READINGS, BACKLOG, ROLLUPS)
    name = "(?:[a-z0-9][a-z0-9-]{0,62})"
    assert found == rf"readings\.{name}|backlog\.{name}|rollups"
    assert pattern(COUNTED, DEAD_LETTERS, facilities="a|b") == r"counted\.(?:a|b)|dead-letters"


@pytest.mark.parametrize(
    ("topic", "matches"),
    [
        ("readings.plant-07", True),
        ("backlog.p", True),
        ("rollups", True),
        ("readingsXplant", False),
        ("readings.Plant", False),
        ("readings.", False),
        ("rollups.plant", False),
        ("ledger.plant", False),
    ],
)
def test_what_a_pattern_matches(topic: str, matches: bool) -> None:
    assert bool(re.fullmatch(pattern(READINGS, BACKLOG, ROLLUPS), topic)) is matches


def test_names_are_those_of_the_data_and_of_the_steps() -> None:
    edge = {EDGE_ALERTS, EDGE_ROLLUPS, EDGE_DEAD_LETTERS}
    families = {READINGS, BACKLOG, LEDGER, COUNTED, ADMISSION} | edge
    single = {CATALOGUE, ROLLUPS, ALERTS, DEAD_LETTERS, CONDITION_EVENTS, PATTERN_MATCHES, RULES}
    assert {topic.name for topic in load_topics() if topic.is_family} == families
    assert {topic.name for topic in load_topics() if not topic.is_family} == single
    steps = (
        *(records.READINGS, records.BACKLOG, records.LEDGER, records.COUNTED, records.ADMISSION),
        *(records.EDGE_ALERTS, records.EDGE_ROLLUPS, records.EDGE_DEAD_LETTERS),
    )
    assert families == {f"{name}.<facility>" for name in steps}
    assert single == {
        *(records.CATALOGUE, records.ROLLUPS, records.ALERTS, records.DEAD_LETTERS),
        *(records.CONDITION_EVENTS, records.PATTERN_MATCHES, record.RULES),
    }


def test_what_is_asked_of_the_broker() -> None:
    asked = topic_requests(load_topics(), ["b", "a", "b"], 3, {ROLLUPS: 1, READINGS: 2})
    assert sorted(asked) == [
        *("admission.a", "admission.b", "alerts", "backlog.a", "backlog.b", "catalogue"),
        *("condition-events", "counted.a", "counted.b", "dead-letters"),
        *("edge-alerts.a", "edge-alerts.b"),
        *("edge-dead-letters.a", "edge-dead-letters.b", "edge-rollups.a", "edge-rollups.b"),
        *("ledger.a", "ledger.b", "pattern-matches", "readings.a", "readings.b"),
        *("rollups", "rules"),
    ]
    assert asked["rollups"]["num_partitions"] == 1
    assert asked["readings.a"] == {
        "num_partitions": 2,
        "replication_factor": 3,
        "configs": {
            "cleanup.policy": "delete",
            "compression.type": "producer",
            "max.message.bytes": "6291456",
            "message.timestamp.type": "LogAppendTime",
            "min.insync.replicas": "2",
            "retention.ms": "172800000",
            "segment.ms": "21600000",
        },
    }


def test_a_compacted_topic_is_kept_for_ever() -> None:
    (catalogue,) = (topic for topic in load_topics() if topic.name == "catalogue")
    configs = topic_configs(catalogue, replication=1)
    assert configs["cleanup.policy"] == "compact"
    assert configs["retention.ms"] == "-1"
    assert configs["min.insync.replicas"] == "1"


def test_partitions_of_an_unknown_topic() -> None:
    with pytest.raises(ValueError, match=r"partitions for rollup: not in topics\.yaml"):
        topic_requests(load_topics(), [], 1, {"rollup": 1})


def test_no_broker_is_told_with_its_address() -> None:
    (port,) = free_ports(1)
    with pytest.raises(TopicsError, match=f"no Kafka at 127.0.0.1:{port} within 0.5 s"):
        ensure_topics(f"127.0.0.1:{port}", ["a"], timeout_s=0.5)


@pytest.mark.stack
def test_topics_are_created_once(stack: Stack) -> None:
    edge = ["edge-alerts.topics-1", "edge-dead-letters.topics-1", "edge-rollups.topics-1"]
    wanted = [
        *("admission.topics-1", "backlog.topics-1", "counted.topics-1", *edge),
        *("ledger.topics-1", "readings.topics-1"),
    ]
    created = ensure_topics(stack.bootstrap, ["topics-1"])
    assert set(wanted) <= set(created)
    assert ensure_topics(stack.bootstrap, ["topics-1"]) == []
    wanted = [name.replace("1", "2") for name in wanted]
    partitions = {READINGS: 3, ALERTS: 9}
    assert ensure_topics(stack.bootstrap, ["topics-1", "topics-2"], partitions=partitions) == wanted
    with KafkaAdminClient(bootstrap_servers=stack.bootstrap) as admin:
        (described,) = admin.describe_topics(["readings.topics-2"])
        assert len(described["partitions"]) == 3
        resource = ConfigResource("topic", "readings.topics-2")
        configs = admin.describe_configs([resource])["topic"]["readings.topics-2"]
    assert configs["message.timestamp.type"]["value"] == "LogAppendTime"
    assert configs["max.message.bytes"]["value"] == "6291456"


@pytest.mark.stack
def test_what_the_broker_refuses_is_told_once_a_reason(stack: Stack) -> None:
    with pytest.raises(TopicsError) as found:
        ensure_topics(stack.bootstrap, ["topics-3"], replication=3)
    (line,) = str(found.value).splitlines()
    assert line.startswith("admission.topics-3, backlog.topics-3, counted.topics-3 and 5 more not")
    assert "Unable to replicate the partition 3 time(s)" in line
