"""One rule, the same alerts in four places: gateway, job, back-test, notebook; by event and word.

The gateway is real, but its clock is the test's. The job runs on the cluster, with rules of its
own, and gets the very records that the gateway sent. What may differ is left out by `told`, and:

- a tick of which a gateway judges nothing because it is late is judged by the job, in the backlog;
- a file has no batches without readings. A pause of the whole plant that is longer than the `for_s`
  of no_data is silence of its sensors where empty batches prove it, and a pause in a file.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from jobs.common.tail import Message
from jobs.common.topics import ensure_topics
from jobs.local.stack import Stack
from tests.places.places import (
    RULES,
    Recorded,
    at_the_site,
    differences,
    in_the_backtest,
    in_the_notebook,
    load_rules,
    told,
    write_history,
)
from tests.places.plant import FACILITY
from tests.spine.conftest import Running
from udfs.alerts import FIRING, AlertEvent, from_json

pytestmark = pytest.mark.stack

log = logging.getLogger(__name__)

NAMES = {rule.name for rule in load_rules()}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return at_the_site(tmp_path_factory.mktemp("site"), load_rules())


@pytest.fixture(scope="module")
def job(stack: Stack) -> Iterator[Running]:
    """The job with the rules of this test, for its facility only, beside what else runs."""
    ensure_topics(stack.bootstrap, [FACILITY])
    settings = ["--rules", str(RULES.parent), "--facilities", FACILITY]
    job_id = stack.submit("detect_anomalies", settings)
    try:
        stack.rest.wait_running(job_id)
        yield Running(stack, {"detect_anomalies": job_id})
    finally:
        stack.rest.cancel(job_id)


def alerts(found: list[Message]) -> list[AlertEvent]:
    """Those of this test's rules; another job may judge its facility by other rules."""
    events = [from_json(message.value) for message in found]
    return [event for event in events if event.facility == FACILITY and event.rule in NAMES]


def send(bootstrap: str, site: Recorded) -> None:
    """What the gateway sent, as it is."""
    producer = Producer({"bootstrap.servers": bootstrap})
    for sent in site.sent:
        producer.produce(sent.topic, sent.value, sent.key, headers=sent.headers)
    assert producer.flush(30) == 0


def heard(job: Running, wanted: set[AlertEvent]) -> Counter[AlertEvent]:
    """What the job told until it is all that is wanted, and in the second after that.

    The last reading of the stream fires an alert, so by then the job has judged them all.
    """
    found = job.read(("alerts",), until=lambda found: wanted <= set(told(alerts(found))))
    began_s = time.monotonic()
    found = job.read(
        ("alerts",),
        until=lambda again: len(again) >= len(found) and time.monotonic() > began_s + 1,
    )
    return told(alerts(found))


def test_four_places_tell_the_same(
    site: Recorded,
    job: Running,
    tmp_path: Path,
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    send(job.stack.bootstrap, site)
    history = write_history(site.batches(), site.plant.catalogue, tmp_path / "history.parquet")
    places: dict[str, Counter[AlertEvent]] = {
        "edge": told(site.cloud.edge_alerts),
        "back-test": told(in_the_backtest(history, load_rules())),
        "notebook": told(in_the_notebook(history, RULES.read_text(encoding="utf-8"))),
    }
    places["job"] = heard(job, set(places["edge"]))
    for place, events in places.items():
        record_testsuite_property(f"alert_events_{place}", events.total())
        alerts_there = len({event.id for event in events})
        log.info("%s: %d events of %d alerts", place, events.total(), alerts_there)
    assert differences(places) == []
    assert {event.rule for event in places["job"] if event.status == FIRING} == NAMES
