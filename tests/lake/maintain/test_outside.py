"""Topics and buckets are kept for as long as is declared, in a real Kafka and a real InfluxDB."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.common import retention
from jobs.common.topics import TopicsError, ensure_topics
from jobs.influx.policy import Policy as InfluxPolicy
from jobs.influx.retention import Buckets, BucketsError
from jobs.lake.maintain.outside import buckets_step, topic_times, topics_step
from jobs.lake.tables import ROLLUPS
from jobs.local.broker import Broker
from jobs.local.influxdb import InfluxDb, program
from tests.lake.maintain.plant import DAY_MS, Lake, hold, minute_rows, ms, policy

NOW = "2026-06-01"


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Broker(tmp_path_factory.mktemp("broker") / "kafka") as broker:
        yield broker.bootstrap


@pytest.fixture(scope="module")
def influxdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxDb]:
    if program() is None:
        pytest.skip("no InfluxDB server: run `make influxdb`")
    with InfluxDb(tmp_path_factory.mktemp("influxdb") / "server") as server:
        yield server


def test_what_topics_are_to_be() -> None:
    rules = policy(
        topics={"ledger.<facility>": "60d", "rollups": "forever"},
        facilities=[{"facility": "lab-*", "why": "x", "topics": {"ledger.<facility>": "2d"}}],
    )
    there = ["ledger.lab-1", "ledger.plant-07", "rollups", "alerts", "rules", "somebody.elses"]
    assert topic_times(rules, there) == {
        "ledger.lab-1": 2 * DAY_MS,
        "ledger.plant-07": 60 * DAY_MS,
        "rollups": -1,
        "alerts": 30 * DAY_MS,
    }


@pytest.mark.stack
def test_topics_of_a_broker(lake: Lake, bootstrap: str) -> None:
    ensure_topics(bootstrap, ["plant-07", "plant-08"], partitions={"rollups": 1, "alerts": 1})
    step = topics_step(bootstrap, {})
    assert list(step(lake.work(NOW))) == []
    rules = policy(topics={"ledger.<facility>": "2d"}, holds=[hold("plant-08")])
    dry = list(step(lake.work(NOW, rules, dry_run=True)))
    assert [(d.table, d.facility, d.what, d.why) for d in dry] == [
        ("ledger.plant-07", "plant-07", "keep", "2d instead of 30d"),
        ("ledger.plant-08", "plant-08", "held", "2d instead of 30d"),
    ]
    client = retention.connect(bootstrap, {})
    wanted = {"ledger.plant-07": 2 * DAY_MS, "ledger.plant-08": 30 * DAY_MS}
    assert len(list(retention.differences(client, wanted))) == 1
    assert list(step(lake.work(NOW, rules))) == dry
    assert list(retention.differences(client, wanted)) == []
    # longer is no deletion, so a hold does not stop it; and without a rule it is the contract again
    longer = policy(topics={"ledger.<facility>": "90d"}, holds=[hold("plant-08")])
    assert [deed.what for deed in step(lake.work(NOW, longer))] == ["keep", "keep"]
    assert [deed.why for deed in step(lake.work(NOW))] == ["30d instead of 90d"] * 2


@pytest.mark.stack
def test_a_broker_that_is_not_there_is_told(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_LIMIT_S", 0.5)
    with pytest.raises(TopicsError, match="topics cannot be listed"):
        list(topics_step("127.0.0.1:1", {"log_level": "0"})(lake.work(NOW)))


def groups(server: InfluxDb) -> InfluxPolicy:
    entry = {"token_env": "X"}
    return InfluxPolicy.model_validate(
        {
            "url": server.url,
            "org": "hardiot",
            "groups": [
                {"name": "north", "facilities": ["plant-*"], "bucket": "north", **entry},
                {"name": "rest", "facilities": ["*"], "bucket": "rest", **entry},
            ],
            "sensors": [{}],
        }
    )


@pytest.mark.stack
def test_buckets_of_a_server(lake: Lake, influxdb: InfluxDb) -> None:
    for name in ("north", "rest"):
        influxdb.make_bucket(name, 30 * 86_400)
    lake.add(ROLLUPS, minute_rows("plant-07", ms("2026-01-31")))
    step = buckets_step(groups(influxdb), influxdb.token)
    rules = policy(buckets={"nor*": "90d"})
    dry = list(step(lake.work(NOW, rules, dry_run=True)))
    with Buckets(influxdb.url, "hardiot", influxdb.token) as server:
        assert server.kept_ms("north") == 30 * DAY_MS
        assert server.kept_ms("never made") is None
        assert [(d.table, d.why) for d in dry] == [("north", "90d instead of 30d")]
        assert list(step(lake.work(NOW, rules))) == dry
        assert (server.kept_ms("north"), server.kept_ms("rest")) == (90 * DAY_MS, 30 * DAY_MS)
        held = policy(buckets={"*": "90d"}, holds=[hold("*-07")])
        assert [deed.why for deed in step(lake.work(NOW, held))] == [
            "forever instead of 90d",
            "90d instead of 30d",
        ]
        assert server.kept_ms("north") == 0
        assert list(step(lake.work(NOW, held))) == []


@pytest.mark.stack
def test_a_token_that_may_not_is_told(lake: Lake, influxdb: InfluxDb, tmp_path: Path) -> None:
    token = influxdb.make_bucket("only-write", 30 * 86_400)
    step = buckets_step(groups(influxdb), type(token)("wrong"))
    with pytest.raises(BucketsError, match="401 Unauthorized"):
        list(step(lake.work(NOW, policy(buckets={"*": "90d"}))))
