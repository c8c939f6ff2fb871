"""InfluxDB away, failing and slow; the publisher killed, doubled, halved: nothing lost, nothing
twice, and what is there is exact. HARDIOT_FAULTS=long: an outage of ten minutes."""

from __future__ import annotations

import logging
import os
import time
from threading import Thread

import pytest

from jobs.local.process import stop
from tests.influx.plant import Stored, catalogue, rollup, stored
from tests.influx.site import Bucket, Site, kill, wait
from tests.support.http_faults import HttpFaults
from udfs.catalogue import Catalogue
from udfs.rollup import MinuteRollup

pytestmark = pytest.mark.stack

LONG = os.environ.get("HARDIOT_FAULTS") == "long"
AWAY_S = 600.0 if LONG else 6.0
FAULT_S = 60.0 if LONG else 3.0
log = logging.getLogger(__name__)


class Feed(Thread):
    """Sends a minute of each plant five times a second, provisional ones among them."""

    def __init__(self, site: Site, plants: list[Catalogue]) -> None:
        super().__init__(daemon=True)
        self.sent: list[MinuteRollup] = []
        self._site, self._plants = site, plants
        self._on = True

    def run(self) -> None:
        minute = 0
        while self._on:
            revisions = (0, 1) if minute % 3 == 0 else (1,)
            new = [rollup(of, minute, r) for r in revisions for of in self._plants]
            self._site.send(*new)
            self.sent += new
            minute += 1
            time.sleep(0.2)

    def end(self) -> Stored:
        """Stop sending. Returns: what has to be there."""
        self._on = False
        self.join()
        expected: Stored = {}
        for of in self._plants:
            expected |= stored(of, [x for x in self.sent if x.facility == of.facility])
        return expected


def begin(site: Site, name: str, sensors: int = 30) -> tuple[Bucket, Feed]:
    plants = [catalogue(f"{name}-{n}", sensors=sensors) for n in range(2)]
    site.know(*plants)
    bucket = site.bucket(name, f"{name}-*")
    feed = Feed(site, plants)
    feed.start()
    return bucket, feed


def passes(faults: HttpFaults) -> None:
    """Wait until a request is answered well again."""
    before = len(faults.seen)
    wait(lambda: any(seen.status == 204 for seen in faults.seen[before:]))


def test_away_then_failing_then_slow(site: Site, faults: HttpFaults) -> None:
    bucket, feed = begin(site, "away")
    # 100 lines a request, so that a lane has far more to do than it may hold
    with site.publisher(faults.url, "--batch-lines", "100", "--timeout-s", "5"):
        wait(lambda: site.stored(bucket))
        site.server.stop()
        time.sleep(AWAY_S)
        site.server.start()
        faults.answer(500, body=b"internal error", method="POST")
        wait(lambda: any(seen.status == 500 for seen in faults.seen))
        time.sleep(FAULT_S)
        faults.clear()
        passes(faults)
        faults.answer(429, headers={"Retry-After": "1"}, times=2, method="POST")
        passes(faults)
        for executed in (True, False):  # the first time it is only said that it failed
            faults.drop(executed=executed, times=2, method="POST")
            passes(faults)
            faults.answer(503, executed=executed, times=2, method="POST")
            passes(faults)
        faults.delay(0.5, times=10, method="POST")
        time.sleep(FAULT_S)
        expected = feed.end()
        began_s = time.monotonic()
        site.wait_for(bucket, expected)
        wait(lambda: site.committed(bucket))
    statuses = {seen.status for seen in faults.seen}
    assert {204, 429, 500, 503, None} <= statuses
    late_s = time.monotonic() - began_s
    log.info("%d points, exact %.1f s after the last fault", len(expected), late_s)
    assert site.letters("away-0", "away-1") == []


def test_kafka_keeps_the_group_while_influxdb_is_away(site: Site, faults: HttpFaults) -> None:
    """Partitions are paused, but it goes on to poll: no rebalance, no second reading."""
    bucket, feed = begin(site, "paused")
    faults.answer(503, method="POST")
    extra = ("--batch-lines", "100", "--kafka")
    limits = "{max.poll.interval.ms: '6500', session.timeout.ms: '6000'}"
    with site.publisher(faults.url, *extra, limits):
        wait(lambda: faults.seen)
        time.sleep(9)
        assert {seen.status for seen in faults.seen} == {503}
        faults.clear()
        site.wait_for(bucket, feed.end())
    assert "MAXPOLL" not in site.said and "max.poll" not in site.said
    # each batch once, but for the one that was refused
    acknowledged = sum(1 for seen in faults.seen if seen.status == 204)
    lines = len(feed.sent) * 31
    assert lines / 100 <= acknowledged <= lines / 100 * 1.5 + 20


def test_killed_again_and_again(site: Site, faults: HttpFaults) -> None:
    """In the middle of writing, and while it holds what InfluxDB does not take."""
    bucket, feed = begin(site, "killed")
    child = site.start(faults.url, "--batch-lines", "50", "--instance", "one")
    for away_s in (0.0, 2.5, 0.0, 2.5):
        before = len(faults.seen)
        wait(lambda before=before: len(faults.seen) > before + 5)
        if away_s:
            faults.answer(503, method="POST")
            time.sleep(away_s)  # longer than from one commit to the next
        kill(child)
        faults.clear()
        child = site.start(faults.url, "--batch-lines", "50", "--instance", "one")
    try:
        site.wait_for(bucket, feed.end())
        wait(lambda: site.committed(bucket))
    finally:
        stop([child], 15)


def test_a_second_process_comes_and_goes(site: Site, faults: HttpFaults) -> None:
    """Partitions move; who lost one writes nothing of it any more."""
    bucket, feed = begin(site, "moved")
    with site.publisher(faults.url, "--batch-lines", "50"):
        wait(lambda: site.stored(bucket))
        with site.publisher(faults.url, "--batch-lines", "50"):
            time.sleep(4)
            faults.answer(503, method="POST")
            time.sleep(1)
            faults.clear()
            time.sleep(4)
        site.wait_for(bucket, feed.end())
        wait(lambda: site.committed(bucket))


def test_who_is_stopped_has_committed_what_is_written(site: Site) -> None:
    bucket, feed = begin(site, "stopped")
    with site.publisher(site.server.url):
        wait(lambda: len(site.stored(bucket)) > 100)
        expected = feed.end()
        site.wait_for(bucket, expected)
    assert site.committed(bucket)
    with HttpFaults(site.server.url) as watched, site.publisher(watched.url):
        time.sleep(6)
        assert watched.seen == []
