"""archive_events on a real Kafka: a crash between two commits repeats nothing."""

from __future__ import annotations

import time
from threading import Thread
from typing import Any

import pytest
from confluent_kafka import Producer
from pyiceberg.catalog import Catalog

from jobs.archive_events import Archivist, Settings
from jobs.common.topics import ensure_topics
from jobs.lake.events.tables import EventTables
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import LEDGER, load_table
from jobs.local.stack import Stack
from udfs.ledger import Word, encode_word

pytestmark = pytest.mark.stack

FACILITY = "events-plant"
TOPIC = f"ledger.{FACILITY}"


def send(stack: Stack, numbers: range) -> None:
    producer = Producer({"bootstrap.servers": stack.bootstrap})
    for number in numbers:
        word = Word(FACILITY, "gw-1", 1, number, number * 10)
        producer.produce(TOPIC, encode_word(word), f"{FACILITY}/gw-1")
    assert producer.flush(10) == 0


def words(catalog: Catalog, settings: LakeSettings) -> list[int]:
    rows = load_table(catalog, settings, LEDGER).scan().to_arrow()
    return sorted(rows.column("sent_through").to_pylist())


def test_every_record_once_through_a_crash(
    stack: Stack, catalog: Catalog, lake_settings: LakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_topics(stack.bootstrap, [FACILITY])
    send(stack, range(300))
    settings = Settings(bootstrap=stack.bootstrap, facilities=FACILITY, commit_every_s=1)
    with monkeypatch.context() as patch:
        patch.setattr(EventTables, "append", crash_after(EventTables.append))
        with pytest.raises(Crash):
            Archivist(settings, lake_settings).run()
    assert words(catalog, lake_settings) == list(range(300))
    send(stack, range(300, 400))
    archivist = Archivist(settings, lake_settings)
    running = Thread(target=archivist.run)
    running.start()
    deadline = time.monotonic() + 60
    while len(words(catalog, lake_settings)) < 400 and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(2)
    archivist.stop()
    running.join(30)
    assert words(catalog, lake_settings) == list(range(400))
    assert archivist.metrics.rows.labels("ledger")._value.get() == 100


class Crash(Exception):
    """The process dies."""


def crash_after(append: Any) -> Any:
    def dying(tables: EventTables, rows: Any, offsets: Any) -> None:
        append(tables, rows, offsets)
        if TOPIC in {topic for places in offsets.values() for topic, _ in places}:
            raise Crash

    return dying
