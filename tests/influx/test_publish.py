"""Kafka to a real InfluxDB: every point once, restated minutes, names, groups, refusals."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from influxdb_client.client.write_api import SYNCHRONOUS

from jobs.local.ports import free_ports
from tests.influx.plant import MINUTE_MS, catalogue, rollup, stored
from tests.influx.site import Site, wait
from tests.support.http_faults import HttpFaults
from udfs.rollup import encode

pytestmark = pytest.mark.stack


def test_every_point_once_and_equal_to_the_closed_form(site: Site) -> None:
    plants = [catalogue(f"exact-{n}", sensors=40) for n in range(3)]
    bucket = site.bucket("exact", "exact-*")
    site.know(*plants)
    rollups = [rollup(of, minute) for minute in range(20) for of in plants]
    site.send(*rollups)
    expected = {}
    for of in plants:
        expected |= stored(of, [item for item in rollups if item.facility == of.facility])
    assert len(expected) == 3 * 20 * 41
    with site.publisher(site.server.url, "--batch-lines", "100"):
        site.wait_for(bucket, expected)
        wait(lambda: site.committed(bucket))
    assert site.letters("exact-0", "exact-1", "exact-2") == []


def test_a_restated_minute_replaces_its_points_and_a_replay_does_not_take_it_back(
    site: Site,
) -> None:
    of = catalogue("restated-1")
    bucket = site.bucket("restated", "restated-*")
    site.know(of)
    first = [rollup(of, minute, revision) for minute in range(3) for revision in (0, 1)]
    with site.publisher(site.server.url):
        site.send(*first)
        site.wait_for(bucket, stored(of, first))
        again = [rollup(of, 1, revision=2), rollup(of, 1, revision=0), rollup(of, 1, revision=1)]
        site.send(*again, rollup(of, 3))
        site.wait_for(bucket, stored(of, [*first, again[0], rollup(of, 3)]))


def test_a_minute_that_is_restated_to_no_good_reading_has_no_mean(site: Site) -> None:
    """Also when all its revisions are in one request; other minutes and gateways stay."""
    of, other = catalogue("emptied-1"), catalogue("emptied-1", gateway="gw-2")
    bucket = site.bucket("emptied", "emptied-*")
    site.know(of, other)
    before = [rollup(of, 0), rollup(of, 1), rollup(other, 0)]
    count, nan = np.array([60, 0, 60, 60], np.uint32), np.array([1, np.nan, 1, 1])
    last = rollup(of, 0, revision=2)
    columns = {n: getattr(last, n) * nan for n in ("min", "max", "first", "last")}
    columns |= {n: np.nan_to_num(getattr(last, n) * nan) for n in ("sum", "sum_sq")}
    emptied = replace(last, count=count, **columns)
    site.send(*before, emptied)
    expected = stored(of, [*before[:2], emptied]) | stored(other, before[2:])
    missing = [fields for fields in expected.values() if fields.get("count") == 0]
    assert missing == [{"sum": 0.0, "count": 0, "bad": 0}]
    with site.publisher(site.server.url):
        site.wait_for(bucket, expected)
        site.send(*before)
        site.wait_for(bucket, expected)
        assert site.letters("emptied-1") == []


def test_names_of_all_kinds_are_told_apart_by_the_server_as_by_us(site: Site) -> None:
    names = ("a b", "a,b", "a=b", 'a"b', "°C \N{SNOWMAN}", "a\\b", "flow", "flow", "")
    of = catalogue("names-1", sensors=len(names), name=names, asset=("p 1",) * 8 + ("",))
    bucket = site.bucket("names", "names-*")
    site.know(of)
    site.send(rollup(of))
    expected = {}
    for (name, tags, second), fields in stored(of, [rollup(of)]).items():
        known = {k: v for k, v in tags if v}
        expected[name, tuple(sorted(known.items())), second] = fields
    second = (rollup(of).minute_ms) // 1000
    site_tags = (("facility", "names-1"), ("gateway", "gw-1"))
    twice = (("asset", "p 1"), *site_tags, ("sensor", "flow"))
    # slots 6 and 7 have one name: the model, too, has the later one in the earlier's place
    of_7 = expected.pop(("rollup", twice, second))
    expected["rollup", (*twice, ("slot", "7")), second] = of_7
    six = replace(of, name=(*names[:7], "other", ""))
    expected["rollup", twice, second] = stored(six, [rollup(of)])["rollup", twice, second]
    with site.publisher(site.server.url):
        site.wait_for(bucket, expected)


def test_minutes_of_a_full_spool_are_measurements_of_their_own(site: Site) -> None:
    of = catalogue("edge-1")
    bucket = site.bucket("edge", "edge-*")
    site.know(of)
    half = rollup(of, 0, 0, batches=30)
    site.send(half, topic="edge-rollups.edge-1")
    expected = {(f"{n}_edge", tags, at): f for (n, tags, at), f in stored(of, [half]).items()}
    with site.publisher(site.server.url):
        site.wait_for(bucket, expected)
        wait(lambda: site.committed(bucket, ("edge-rollups.edge-1",)))


def test_what_does_not_change_is_told_every_five_minutes(site: Site) -> None:
    of = catalogue("thin-1")
    site.sensors = (
        "sensors: [{publish: changed, deadband: 0.3, at_least_every_s: 300, fields: [mean]}]\n"
    )
    bucket = site.bucket("thin", "thin-*")
    site.know(of)
    quiet = {"bad": np.zeros(4, np.uint32)}
    site.send(*(rollup(of, minute, **quiet) for minute in range(12)))  # a step of 0.125 a minute
    with site.publisher(site.server.url):
        wait(lambda: len([k for k in site.stored(bucket) if k[0] == "minute"]) == 12)
        times = {at for name, _, at in site.stored(bucket) if name == "rollup"}
    begin = min(times)
    assert sorted((at - begin) // 60 for at in times) == [0, 3, 6, 9]


def test_a_conflict_of_types_refuses_its_lines_only(site: Site) -> None:
    of = catalogue("conflict-1")
    bucket = site.bucket("conflict", "conflict-*")
    site.know(of)
    item = rollup(of)
    # somebody wrote `mean` of one sensor as a whole number, in the minute's own shard
    second = item.minute_ms // 1000
    line = (
        f"rollup,asset=pump-0,facility=conflict-1,gateway=gw-1,sensor=pump-0.flow mean=1i {second}"
    )

    with site.server.client(bucket.token) as client:
        client.write_api(SYNCHRONOUS).write(bucket.name, record=line, write_precision="s")
    site.send(item, rollup(of, 1))
    with site.publisher(site.server.url):
        wait(lambda: site.committed(bucket))
    # the shard has that one field as another type for all series, so all lines with it are refused
    assert {name for name, _, _ in site.stored(bucket)} == {"rollup", "minute"}
    letters = site.letters("conflict-1")
    assert sorted(value for _, value in letters) == sorted(map(encode, (item, rollup(of, 1))))
    for headers, _ in letters:
        assert (headers["reason"], headers["topic"]) == ("influx_refused", "rollups")
        assert headers["detail"].startswith("4 of 5 lines; 422: ")
        assert "field type conflict" in headers["detail"]


def test_400_bisects_and_the_record_goes_to_the_dead_letters(site: Site) -> None:
    """A series that is longer than InfluxDB takes: its line refuses the whole batch."""
    of = catalogue("long-1", name=("a", "x" * 70_000, "c", "d"))
    bucket = site.bucket("long", "long-*")
    site.know(of)
    good, bad = catalogue("long-2"), rollup(of)
    site.know(good)
    site.send(bad, *(rollup(good, minute) for minute in range(5)))
    expected = stored(of, [bad]) | stored(good, [rollup(good, minute) for minute in range(5)])
    expected = {key: v for key, v in expected.items() if len(dict(key[1]).get("sensor", "")) < 100}
    with site.publisher(site.server.url):
        site.wait_for(bucket, expected)
        wait(lambda: site.committed(bucket))
    ((headers, value),) = site.letters("long-1")
    assert value == encode(bad)
    assert headers["detail"].startswith("1 of 5 lines; 400: ")
    assert len(headers["detail"]) <= 1000


def test_records_that_are_no_rollups_stop_nothing(site: Site) -> None:
    of = catalogue("bad-1")
    bucket = site.bucket("bad", "bad-*")
    site.know(of)
    site.send_bytes("bad-1/gw-1", b"\0not arrow")
    site.send(rollup(of), topic="edge-rollups.bad-1")
    site.send(replace(rollup(of), facility="bad-2"), topic="edge-rollups.bad-1")
    site.send(rollup(of))
    with site.publisher(site.server.url):
        wait(lambda: len(site.stored(bucket)) == 10)
        wait(lambda: site.committed(bucket))
    found = site.letters("bad-1", "bad-2")
    assert sorted(headers["reason"] for headers, _ in found) == ["not_a_rollup", "wrong_facility"]
    assert b"\0not arrow" in [value for _, value in found]


def test_a_group_with_a_bad_token_stops_nobody_else_and_a_new_token_needs_no_restart(
    site: Site,
) -> None:
    mill, yard = catalogue("group-mill"), catalogue("group-yard")
    closed, open_ = site.bucket("mill", "group-mill"), site.bucket("yard", "group-*")
    site.know(mill, yard)
    closed.token_file.write_text("wrong")
    rollups = [rollup(of, minute) for minute in range(4) for of in (mill, yard)]
    site.send(*rollups)
    (port,) = free_ports(1)
    with site.publisher(site.server.url, "--metrics-port", str(port)):
        site.wait_for(open_, stored(yard, rollups[1::2]))
        wait(lambda: site.committed(open_))
        wait(lambda: metric(port, "refused", "mill") == 1)
        assert metric(port, "refused", "yard") == 0
        assert not site.committed(closed) and site.stored(closed) == {}
        closed.token_file.write_text(closed.token.get_secret_value())
        site.wait_for(closed, stored(mill, rollups[::2]))
        wait(lambda: metric(port, "refused", "mill") == 0)
        assert metric(port, "points_total", "mill") == 4 * 5
    assert "influxdb_refused" in site.said and "unauthorized" in site.said
    assert closed.token.get_secret_value() not in site.said


def metric(port: int, name: str, group: str) -> float:
    import httpx
    from prometheus_client.parser import text_string_to_metric_families

    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == f"hardiot_publish_{name}" and sample.labels.get("group") == group:
                return sample.value
    raise AssertionError(f"no {name} of {group}")


def test_an_unknown_bucket_waits_and_loses_nothing(site: Site) -> None:
    of = catalogue("later-1")
    bucket = site.bucket("later", "later-*")
    bucket.name, real = "not-yet", bucket.name
    site.know(of)
    site.send(rollup(of))
    with site.publisher(site.server.url):
        wait(lambda: 'bucket \\"not-yet\\" not found' in site.said or "not found" in site.said)
        bucket.name = real
    with site.publisher(site.server.url):
        # another group's name, so it begins at the start: nothing was committed anyway
        site.wait_for(bucket, stored(of, [rollup(of)]))


def test_points_that_are_older_than_the_bucket_keeps_are_no_error(site: Site) -> None:
    of = catalogue("old-1")
    bucket = site.bucket("old", "old-*", retention_s=86_400)
    site.know(of)
    now = time.time_ns() // 10**6 // MINUTE_MS * MINUTE_MS
    old, new = rollup(of, minute_ms=now - 3 * 86_400_000), rollup(of, 1, minute_ms=now - MINUTE_MS)
    site.send(old, new)
    with site.publisher(site.server.url):
        site.wait_for(bucket, stored(of, [new]))
        wait(lambda: site.committed(bucket))
    assert site.letters("old-1") == []


def test_it_says_what_is_wrong_before_it_starts(site: Site, faults: HttpFaults) -> None:
    bucket = site.bucket("wrong", "wrong-*")
    bucket.token_file.unlink()
    child = site.start(faults.url)
    wait(lambda: not child.alive)
    assert f"group wrong: no token in {bucket.token_file}" in site.said
    assert "Traceback" not in site.said
    assert faults.seen == []
