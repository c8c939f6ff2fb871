"""Bad records are dead letters with their reason and bytes; good data beside them is unaffected."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from confluent_kafka import Producer

from jobs.common.tail import Message
from jobs.common.topics import ensure_topics
from tests.spine.conftest import MINUTE_MS, Spine
from tests.udfs.bad_batches import bad_records
from udfs import catalogue as catalogues
from udfs.batch import Batch, encode
from udfs.catalogue import Catalogue
from udfs.rollup import FINAL, decode

pytestmark = pytest.mark.stack

FACILITY, GATEWAY, SENSORS = "bad-input", "gw-1", 50
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def catalogue(facility: str) -> Catalogue:
    """Fifty sensors that no shipped rule alarms on."""
    texts = [(text,) * SENSORS for text in ("bar", "level", "tank-1")]
    names = tuple(f"level-{number}" for number in range(SENSORS))
    low, high = np.zeros(SENSORS), np.full(SENSORS, 1e6)
    period = np.full(SENSORS, 1000, np.int32)
    return Catalogue(facility, GATEWAY, 1, names, texts[0], texts[1], texts[2], low, high, period)


def batch(facility: str, sequence: int, start_ms: int) -> bytes:
    """One good batch every ten seconds."""
    value = np.arange(SENSORS) + sequence
    good = Batch(facility, GATEWAY, 1, sequence, start_ms + sequence * 10_000, value.astype(float))
    return encode(good)


def test_bad_records(spine: Spine) -> None:
    bootstrap, now_ms = spine.stack.bootstrap, time.time_ns() // 10**6
    restarts = {job: _restarts(spine, job) for job in spine.jobs.values()}
    ensure_topics(bootstrap, [FACILITY])
    producers = {
        codec: Producer(
            {
                "bootstrap.servers": bootstrap,
                "compression.type": codec,
                "message.max.bytes": 8_000_000,
            }
        )
        for codec in CODECS
    }
    plain = producers["none"]
    plain.produce("catalogue", catalogues.encode(catalogue(FACILITY)), catalogue(FACILITY).key)
    plain.flush()
    bad = bad_records(FACILITY, GATEWAY, now_ms)
    start_ms = (now_ms - 5 * MINUTE_MS) // MINUTE_MS * MINUTE_MS
    refused = []
    for number, (name, (_, data)) in enumerate(bad.items()):
        sender = producers[CODECS[number % len(CODECS)]]
        if number < 20:  # good ones in between, by every codec
            sender.produce(f"readings.{FACILITY}", batch(FACILITY, number, start_ms), GATEWAY)
        sender.produce(f"readings.{FACILITY}", data, GATEWAY, on_delivery=_note(refused, name))
        sender.flush()
    sent = {name: item for name, item in bad.items() if name not in refused}

    def mine(found: list[Message]) -> list[Message]:
        return [message for message in found if message.headers["topic"].endswith(FACILITY)]

    found = mine(spine.read(("dead-letters",), until=lambda x: len(mine(x)) >= len(sent)))
    wanted = sorted((str(reason), data) for reason, data in sent.values())
    assert sorted((m.headers["reason"], m.value) for m in found) == wanted
    assert all(m.headers["job"] == "rollup_readings" and m.headers["detail"] for m in found)
    assert {reason for reason, _ in wanted} >= {"too_large", "not_arrow", "future_time"}

    closed = _good_minutes(spine)
    assert closed[start_ms] == 6 * SENSORS and len(closed) == 3
    assert restarts == {job: _restarts(spine, job) for job in spine.jobs.values()}


def test_a_new_facility_is_found_without_a_restart(spine: Spine) -> None:
    facility, began_s = "newcomer", time.monotonic()
    ensure_topics(spine.stack.bootstrap, [facility])
    producer = Producer({"bootstrap.servers": spine.stack.bootstrap})
    producer.produce("catalogue", catalogues.encode(catalogue(facility)), catalogue(facility).key)
    producer.flush()
    start_ms = (time.time_ns() // 10**6 - 5 * MINUTE_MS) // MINUTE_MS * MINUTE_MS
    for sequence in range(8):
        producer.produce(f"readings.{facility}", batch(facility, sequence, start_ms), GATEWAY)
    producer.flush()
    spine.read(("rollups",), until=lambda x: any(m.key == f"{facility}/gw-1" for m in x))
    assert time.monotonic() - began_s < 30


def _good_minutes(spine: Spine) -> dict[int, int]:
    def minutes(found: list[Message]) -> dict[int, int]:
        rollups = [decode(m.value) for m in found if m.key == f"{FACILITY}/{GATEWAY}"]
        return {item.minute_ms: item.readings() for item in rollups if item.revision == FINAL}

    return minutes(spine.read(("rollups",), until=lambda x: len(minutes(x)) >= 3))


def _note(refused: list[str], name: str) -> Callable[[object, object], None]:
    """The broker refuses what is over the topic's limit: then there is no record to refuse."""

    def delivered(error: object, _: object) -> None:
        if error:
            refused.append(name)

    return delivered


def _restarts(spine: Spine, job: str) -> int:
    return len(spine.stack.rest.exceptions(job)["exceptionHistory"]["entries"])
