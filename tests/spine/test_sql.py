"""The worked SQL job: condition events in, matches out, and a bad record stops nobody."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer

from jobs.cli.sql import submit_file
from jobs.common.contracts import ROOT
from jobs.common.tail import Message, Tail
from jobs.common.topics import ensure_topics
from jobs.local.stack import Stack
from udfs.condition_events import BEGIN, END, ConditionEvent, to_json, to_output
from udfs.records import CONDITION_EVENTS, PATTERN_MATCHES

pytestmark = pytest.mark.stack

FILE = ROOT / "jobs" / "sql" / "overheating.sql"
SITE = "sql-site"
HOT, SHAKING = "hot", "shaking"
# an hour ahead, so that no event of another test moves the watermark past these
T0 = (time.time_ns() // 10**6 + 3_600_000) // 60_000 * 60_000


def event(
    asset: str, name: str, second: float, phase: str = BEGIN, site: str = SITE, late: bool = False,
    sensor: str = "", rule: str = "bearing-failing",
) -> ConditionEvent:  # fmt: skip
    value, unit = (91.44, "°C") if name == HOT else (6.25, "mm/s")
    sensor = sensor or ("bearing-temperature" if name == HOT else "vibration")
    time_ms = T0 + round(second * 1000)
    return ConditionEvent(
        facility=site, gateway="gw-1", asset=asset, subject=f"{asset}.{sensor}", rule=rule,
        rule_version=1, event=name, phase=phase, time_ms=time_ms, onset_ms=time_ms - 3000,
        value=value, limit=85.0, unit=unit, late=late,
    )  # fmt: skip


# a list for each partition, as it stands in the topic; the fourth stays empty
EVENTS = [
    [
        event("swapped", SHAKING, 9),  # a later event overtook an earlier one
        event("swapped", HOT, 5),
        event("pump", HOT, 10),
        event("pump", HOT, 10),  # twice, as after a restart
        event("cooled", HOT, 11),
        event("other-bearing", HOT, 12),
        event("other-bearing", HOT, 20, END, sensor="second-temperature"),
        event("cooled", HOT, 71, END),
        event("cooled", SHAKING, 101),
        event("other-bearing", SHAKING, 104),
        event("pump", SHAKING, 132),
        event("pump", SHAKING, 132),
        event("pump", SHAKING, 140),  # the match is over
    ],
    [
        event("too-slow", HOT, 0),
        event("no-order", SHAKING, 1),
        event("no-order", HOT, 2),
        event("backlog", HOT, 3, late=True),
        event("backlog", SHAKING, 4, late=True),
        event("other-rule", HOT, 5, rule="bearing-hot"),
        event("other-rule", SHAKING, 6, rule="bearing-hot"),
        event("elsewhere", HOT, 7, site="sql-site-2"),
        event("elsewhere", SHAKING, 8, site="sql-site-2"),
        event("in-time", HOT, 9),
        event("too-slow", SHAKING, 300),
        event("in-time", SHAKING, 308.999),
    ],
    [event("last", HOT, 500), event("last", SHAKING, 700.5)],
]
TIMELESS = to_json(event("timeless", HOT, 0)).replace(str(T0).encode(), b"null")
BAD = [
    TIMELESS,
    TIMELESS.replace(b"null", b'"soon"'),
    b"",
    b"not json",
    b"[]",
    b"\xff\xfe",
    b"{}",
    b"7",
    b'{"late": 3, "rule": {}}',
    None,
]


def test_matches(stack: Stack, tmp_path: Path) -> None:
    ensure_topics(stack.bootstrap, [])
    _produce(stack.bootstrap)
    options = ["--facilities", SITE, "--plans", str(tmp_path)]
    job_id = submit_file(stack, FILE, options)
    try:
        found = _read_until_last(stack.bootstrap)
        assert stack.rest.job(job_id)["state"] == "RUNNING"
        assert stack.rest.exceptions(job_id)["exceptionHistory"]["entries"] == []
    finally:
        stack.rest.cancel(job_id)
    bearing, vibration = "{}.bearing-temperature at 91.4 °C", "{}.vibration at 6.3 mm/s"
    assert [(m.key, json.loads(m.value)) for m in found] == [
        (
            f"{SITE}/gw-1/{asset}",
            {
                "pattern": "overheating",
                "facility": SITE,
                "gateway": "gw-1",
                "asset": asset,
                "begin_ms": T0 + begin_ms,
                "end_ms": T0 + end_ms,
                "text": f"{bearing}, {vibration} {later} s later".replace("{}", asset),
            },
        )
        for asset, begin_ms, end_ms, later in [
            ("swapped", 5_000, 9_000, 4),
            ("other-bearing", 12_000, 104_000, 92),
            ("pump", 10_000, 132_000, 122),
            ("in-time", 9_000, 308_999, 299),
            ("last", 500_000, 700_500, 200),
        ]
    ]
    (plan,) = tmp_path.glob("overheating-*.json")
    assert stack.bootstrap not in plan.read_text()


def _produce(bootstrap: str) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    for partition, events in enumerate(EVENTS):
        for bad in BAD:
            producer.produce(CONDITION_EVENTS, bad, "bad", partition)
        # time has to go on before the last events can match
        for each in [*events, event("end", HOT, 2000, END)]:
            output = to_output(each)
            producer.produce(output.topic, output.value, output.key, partition)
    assert producer.flush(10) == 0


def _read_until_last(bootstrap: str) -> list[Message]:
    found: list[Message] = []
    with Tail(bootstrap, [PATTERN_MATCHES], from_start=True) as tail:
        deadline = time.monotonic() + 120
        while not any(message.key.endswith("/last") for message in found):
            assert time.monotonic() < deadline, found
            found += tail.poll()
    return sorted(found, key=lambda message: json.loads(message.value)["end_ms"])
