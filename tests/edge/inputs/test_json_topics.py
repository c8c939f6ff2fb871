"""Plain JSON topics: the mapping's mistakes, and messages good and bad."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import EdgeError
from edge.inputs.json_topics import JsonTopics
from edge.inputs.mapping import Mapping, read_mapping
from edge.inputs.result import Result
from edge.registry import Registry, Sensor
from udfs.batch import Quality

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "flink-conf" / "edge" / "json-topics.sample.yaml"
NOW = 1_772_366_400_000  # 2026-03-01T12:00:00Z


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry.open(tmp_path, "plant-07", "gw-1")


@pytest.fixture
def sample(registry: Registry) -> JsonTopics:
    return JsonTopics(read_mapping(SAMPLE), registry)


def one_topic(registry: Registry, **fields: Any) -> JsonTopics:
    topic = {"topic": "a/{machine}", "values": [{"path": "v"}], **fields}
    return JsonTopics(Mapping.model_validate({"topics": [topic]}), registry)


def send(topics: JsonTopics, message: Any, topic: str = "a/m1", **options: Any) -> Result:
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    return topics.on_message(topic, payload, NOW + 7, **options)


def rows(registry: Registry, result: Result) -> list[tuple[str, int, float, int]]:
    (block,) = result.blocks
    names = [registry.sensor(slot).name for slot in block.slot.tolist()]
    columns = (block.time_ms.tolist(), block.value.tolist(), block.quality.tolist())
    return list(zip(names, *columns, strict=True))


def reasons(result: Result) -> list[str]:
    return [refused.reason for refused in result.refused]


# -- the sample


def test_the_sample_reads_what_its_comments_show(sample: JsonTopics, registry: Registry) -> None:
    assert sample.subscriptions == ["plant/+/+/state", "meters/#"]
    message = {"ts": "2026-03-01T12:00:00Z", "oil": {"temp": 61.5}, "force": 812, "status": "good"}
    result = send(sample, message, "plant/hall-2/press-1/state")
    assert rows(registry, result) == [
        ("press-1.oil-temperature", NOW, 61.5, Quality.GOOD),
        ("press-1.force", NOW, 812.0, Quality.GOOD),
    ]
    assert registry.sensor(0) == Sensor(
        "press-1.oil-temperature", "degC", "temperature", "press-1", -20, 150
    )
    readings = [{"id": "meter-7", "t": NOW, "kw": 12.5}, {"id": 8, "t": NOW + 1, "kw": None}]
    result = send(sample, {"readings": readings}, "meters/load-1/all")
    (block,) = result.blocks
    assert registry.sensor(2) == Sensor(
        "meter-7.power", "kW", "power", "meter-7", -math.inf, math.inf, 60_000, "meter", "utilities"
    )
    assert registry.sensor(3).name == "8.power"
    assert block.value[0] == 12.5
    assert math.isnan(block.value[1])
    assert block.quality.tolist() == [Quality.GOOD, Quality.BAD]
    assert (block.source, block.received_ms) == ("meters/load-1/all", NOW + 7)


def test_types_and_tags_are_of_the_topic(registry: Registry) -> None:
    fields = {"topic": "a/{type}/{machine}", "sensor": "{machine}.{value}"}
    topics = one_topic(registry, **fields, asset_type="{type}", tags=["line-2", "critical"])
    send(topics, {"v": 1}, "a/Pump/p1")
    send(topics, {"v": 1}, "a/no type/p2")
    assert [(s.asset_type, s.tags) for s in registry.sensors()] == [
        ("pump", "critical,line-2"),
        ("", "critical,line-2"),
    ]
    for wrong, problem in (("{kind}", "{kind} is no level"), ("A pump", "is no asset type")):
        with pytest.raises(ValueError, match=problem):
            one_topic(registry, **fields, asset_type=wrong)


# -- times and qualities


@pytest.mark.parametrize("form, written, time_ms", [
    ("ms", NOW, NOW), ("ms", NOW + 0.4, NOW), ("s", NOW / 1000 + 0.25, NOW + 250),
    ("s", NOW // 1000, NOW), ("iso", "2026-03-01T13:00:00+01:00", NOW),
    ("iso", "2026-03-01T12:00:00.5", NOW + 500), ("iso", "2026-03-01", NOW - 43_200_000),
])  # fmt: skip
def test_forms_of_time(registry: Registry, form: str, written: Any, time_ms: int) -> None:
    topics = one_topic(registry, time="t", time_format=form)
    assert send(topics, {"v": 1, "t": written}).blocks[0].time_ms.tolist() == [time_ms]


@pytest.mark.parametrize("form, written", [
    ("ms", "2026-03-01"), ("ms", True), ("ms", -1), ("ms", 1e300), ("s", None), ("iso", 12),
    ("iso", "yesterday"), ("ms", math.nan), ("s", math.inf),
])  # fmt: skip
def test_a_reading_with_a_bad_time_is_refused(registry: Registry, form: str, written: Any) -> None:
    result = send(one_topic(registry, time="t", time_format=form), {"v": 1, "t": written})
    assert (result.blocks, reasons(result)) == ([], ["bad_time"])
    assert result.refused[0].detail.endswith(f", not {form}")


def test_without_a_time_it_is_that_of_arrival(registry: Registry) -> None:
    topics = one_topic(registry)
    assert send(topics, {"v": 1}).blocks[0].time_ms.tolist() == [NOW + 7]
    assert reasons(send(topics, {"v": 1}, retained=True)) == ["retained"]
    timed = one_topic(registry, time="t")
    assert send(timed, {"v": 1, "t": NOW}, retained=True).blocks[0].time_ms.tolist() == [NOW]


@pytest.mark.parametrize("written, quality", [
    ("good", Quality.GOOD), ("GOOD", Quality.GOOD), ("bad", Quality.BAD), ("stuck", Quality.STUCK),
    (True, Quality.GOOD), (False, Quality.BAD), (192, Quality.GOOD), (0, Quality.BAD),
    ("so-so", Quality.UNCERTAIN), (None, Quality.UNCERTAIN), ([1], Quality.UNCERTAIN),
])  # fmt: skip
def test_qualities(registry: Registry, written: Any, quality: int) -> None:
    topics = one_topic(registry, quality="q")
    assert send(topics, {"v": 1, "q": written}).blocks[0].quality.tolist() == [quality]


# -- names


@pytest.mark.parametrize("sensor, asset, made", [
    ("{value}", None, ("v", "")),
    ("{machine}.{value}", None, ("m1.v", "m1")),
    ("x.{.id}.{.deep.id}", None, ("x.7.nine", "x.7")),
    ("{machine}-{value}", "line-{.id}", ("m1-v", "line-7")),
])  # fmt: skip
def test_names_of_sensors(registry: Registry, sensor: str, asset: Any, made: Any) -> None:
    topics = one_topic(registry, sensor=sensor, asset=asset)
    send(topics, {"v": 1, "id": 7, "deep": {"id": "nine"}})
    assert (registry.sensor(0).name, registry.sensor(0).asset) == made


# -- messages that are bad, or in part


@pytest.mark.parametrize("message, reason", [
    (b"\xff{", "bad_json"), (b"", "bad_json"), (b"[" * 100_000, "bad_json"),
    ({}, "no_number"), ({"v": "12"}, "no_number"), ({"v": [1]}, "no_number"), (12, "no_number"),
    ({"v": 10**400}, "no_number"),
])  # fmt: skip
def test_bad_messages_are_refused(registry: Registry, message: Any, reason: str) -> None:
    result = send(one_topic(registry), message)
    assert (result.blocks, reasons(result)) == ([], [reason])
    assert result.refused[0].topic == "a/m1"


def test_a_list_that_is_none(registry: Registry) -> None:
    topics = one_topic(registry, each="all")
    assert reasons(send(topics, {"all": {"v": 1}})) == ["bad_form"]
    assert send(topics, {"all": []}).refused == []


def test_good_readings_of_a_message_are_taken_beside_bad_ones(registry: Registry) -> None:
    topics = one_topic(registry, each="all", sensor="{.id}")
    good, bad = {"id": "a", "v": 1}, {"id": "b", "v": "?"}
    result = send(topics, {"all": [good, bad, {"v": 3}]})
    assert rows(registry, result) == [("a", NOW + 7, 1.0, Quality.GOOD)]
    assert reasons(result) == ["no_number"]
    assert result.refused[0].detail == "v: '?', not a number, and 1 more"


def test_values_that_are_not_in_a_message_are_no_readings(registry: Registry) -> None:
    topics = one_topic(registry, values=[{"path": "v"}, {"path": "w.0"}])
    assert rows(registry, send(topics, {"w": [5]})) == [("w.0", NOW + 7, 5.0, Quality.GOOD)]
    assert reasons(send(topics, {"x": 5})) == ["no_number"]


def test_a_topic_that_fits_nothing(registry: Registry) -> None:
    topics = one_topic(registry)
    assert reasons(send(topics, {"v": 1}, topic="a/b/c")) == ["unknown_topic"]
    assert reasons(send(topics, {"v": 1}, topic="b/m1")) == ["unknown_topic"]


def test_a_full_registry(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.registry.MAX_SENSORS", 1)
    topics = one_topic(registry, sensor="{machine}")
    assert reasons(send(topics, {"v": 1}, topic="a/m1")) == []
    assert reasons(send(topics, {"v": 1}, topic="a/m2")) == ["too_many_sensors"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["v", "t", "q", "id", "all"]), inner)
    ),
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(JSON, st.sampled_from(["ms", "s", "iso"]), st.sampled_from([None, "all"]))
def test_no_message_raises(registry: Registry, message: Any, form: str, each: str | None) -> None:
    topics = one_topic(
        registry, each=each, time="t", time_format=form, quality="q", sensor="{.id}.{value}"
    )
    result = send(topics, message)
    assert len(result.blocks) + len(result.refused) > 0 or each


# -- the mapping file


def test_all_mistakes_at_once_each_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(
        "topics:\n"
        "  - topic: a/{x}/b{y}\n"
        "    values: [{path: v}]\n"
        "  - topic: a/{x}\n"
        "    sensor: '{z}.{value}'\n"
        "    values: [{path: v}]\n"
        "  - topic: a/b\n"
        "    sensor: fixed\n"
        "    values: [{path: v}, {path: w}]\n"
        "  - topic: c\n"
        "    time_form: s\n"
        "    values: []\n"
        "  - topic: d\n"
        "    values: []\n"
    )
    with pytest.raises(EdgeError) as caught:
        read_mapping(path)
    assert str(caught.value).replace(str(path), "map.yaml").splitlines() == [
        'map.yaml: line 2: topics.0.topic: level "b{y}" is neither a text, nor +, nor one {name}',
        'map.yaml: line 4: topics.1: "{z}.{value}": {z} is no level of "a/{x}"; '
        "known: value, x, or {.path} of the message",
        'map.yaml: line 7: topics.2: "fixed" names several values alike: use {value}',
        'map.yaml: line 11: topics.3.time_form: unknown key (did you mean "time_format"?)',
        "map.yaml: line 13: topics.4: values is empty",
    ]
