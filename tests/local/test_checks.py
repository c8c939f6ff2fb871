"""Each check: the good case, the bad one, and its way out."""

from __future__ import annotations

import pytest

from jobs.local import checks
from jobs.local.checks import Check

POM = {"flink.version": "2.2.1", "flink.kafka.version": "5.0.0-2.2", "kafka.version": "4.3.1"}
FLINK = ["flink-sql-connector-kafka-5.0.0-2.2.jar", "hardiot-kafka-1.jar"]
KAFKA = ["kafka_2.13-4.3.1.jar", "kafka-tools-4.3.1.jar"]
GIB = 1024**3


@pytest.mark.parametrize(
    ("check", "status"),
    [
        (checks.python((3, 11)), "ok"),
        (checks.python((3, 12)), "fail"),
        (checks.java({"/jvm/21": 21, "/jvm/17": 17}), "ok"),
        (checks.java({"/jvm/8": 8}), "fail"),
        (checks.java({"/jvm/11": 11}), "fail"),
        (checks.java({}), "fail"),
        (checks.maven("/usr/bin/mvn", jars_complete=False), "ok"),
        (checks.maven(None, jars_complete=True), "warn"),
        (checks.maven(None, jars_complete=False), "fail"),
        (checks.packages({"numpy": "2.1.3"}, {"numpy": "2.1.3", "extra": "1"}), "ok"),
        (checks.packages({"numpy": "2.1.3"}, {"numpy": "1.26.0"}), "fail"),
        (checks.packages({"numpy": "2.1.3"}, {}), "fail"),
        (checks.versions(POM, "2.2.1"), "ok"),
        (checks.versions(POM, "2.1.3"), "fail"),
        (checks.versions(POM, None), "fail"),
        (checks.versions({**POM, "flink.kafka.version": "4.0.1-2.0"}, "2.2.1"), "fail"),
        (checks.jars(POM, FLINK, KAFKA), "ok"),
        (checks.jars(POM, FLINK[:1], KAFKA), "fail"),
        (checks.jars(POM, FLINK, []), "fail"),
        (checks.built(200.0, 100.0), "ok"),
        (checks.built(100.0, 200.0), "fail"),
        (checks.built(None, 200.0), "fail"),
        (checks.loopback("127.0.0.1", ports_free=True), "ok"),
        (checks.loopback("127.0.1.1", ports_free=True), "fail"),
        (checks.loopback(None, ports_free=True), "fail"),
        (checks.loopback("127.0.0.1", ports_free=False), "fail"),
        (checks.memory(16 * GIB), "ok"),
        (checks.memory(6 * GIB), "warn"),
        (checks.memory(3 * GIB), "fail"),
        (checks.open_files(20_000), "ok"),
        (checks.open_files(1_024), "warn"),
        (checks.open_files(256), "fail"),
        (checks.disk(50 * GIB), "ok"),
        (checks.disk(5 * GIB), "warn"),
        (checks.disk(1 * GIB), "fail"),
    ],
)
def test_status_and_way_out(check: Check, status: str) -> None:
    assert check.status == status, check
    assert bool(check.fix) == (status != "ok"), check
    assert "\n" not in check.found + check.fix


def test_packages_that_differ_are_named_and_counted() -> None:
    wanted = {"numpy": "2.1.3", "pandas": "2.2.3", "pyarrow": "16.1", "rich": "14.0"}
    found = checks.packages(wanted, {"numpy": "2.0.0"}).found
    assert found.startswith("numpy 2.0.0 (pinned 2.1.3), pandas missing (pinned 2.2.3)")
    assert found.endswith("and 1 more")


def test_a_connector_for_another_flink_is_named() -> None:
    check = checks.versions({**POM, "flink.kafka.version": "5.0.0-2.3"}, "2.2.1")
    assert check.found == "Kafka connector 5.0.0-2.3 is not for Flink 2.2"
    assert check.fix.endswith("one that ends in -2.2")


def test_an_old_jar_beside_the_new_one_is_named() -> None:
    check = checks.jars(POM, [*FLINK, "flink-sql-connector-kafka-4.0.0-2.0.jar"], KAFKA)
    assert check.status == "fail"
    assert check.found == "in two versions: flink-sql-connector-kafka"
