"""A real InfluxDB of our own: its secrets, who may write where, what a kill leaves."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from pydantic import SecretStr
from urllib3.exceptions import HTTPError

from jobs.common.errors import ClusterError
from jobs.local import influxdb
from jobs.local.influxdb import InfluxDb, built, program
from jobs.local.ports import is_free
from tests.support.http_faults import HttpFaults

real = pytest.mark.skipif(program() is None, reason="no InfluxDB server: run `make influxdb`")
# 2023-11-14: far from every retention that a test sets
TIME_NS = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxDb]:
    """One for all; each test takes buckets of its own."""
    with InfluxDb(tmp_path_factory.mktemp("influxdb") / "server") as found:
        yield found


def write(server: InfluxDb, bucket: str, token: SecretStr, *lines: str) -> int:
    """Returns: the status of the answer, 204 when all were written."""
    with server.client(token) as client:
        try:
            client.write_api(SYNCHRONOUS).write(bucket, record=list(lines))
        except ApiException as error:
            return int(error.status)
    return 204


def read(server: InfluxDb, bucket: str, token: SecretStr) -> dict[str, float]:
    """The values of all points by their measurement."""
    with server.client(token) as client:
        tables = client.query_api().query(f'from(bucket: "{bucket}") |> range(start: 0)')
    return {record.get_measurement(): record.get_value() for t in tables for record in t.records}


@pytest.mark.parametrize("pinned", ["v2.8.0", "v2.8.0 // indirect"])
def test_the_built_server_is_kept_by_version_outside_the_tree(
    pinned: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "go.mod").write_text(f"tool (\n\tgithub.com/influxdata/influxdb/v2 {pinned}\n)\n")
    monkeypatch.setattr(influxdb, "GO_MOD", tmp_path / "go.mod")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert built() == tmp_path / "hardiot" / "influxdb-2.8.0" / "influxd"


def test_the_path_comes_first_and_version_1_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'one'}:/usr/bin:/bin")
    one = fake_server(tmp_path / "one", "InfluxDB v1.8.10 (git: none)")
    assert program() is None
    cached = fake_server(built().parent, "never asked")
    assert program() == cached
    two = fake_server(tmp_path / "two", "InfluxDB v2.7.1 (git: none)")
    monkeypatch.setenv("PATH", f"{two.parent}:{one.parent}:/usr/bin:/bin")
    assert program() == two


def fake_server(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    path = folder / "influxd"
    path.write_text(f"#!/bin/sh\necho '{version}'\n")
    path.chmod(0o755)
    return path


def test_without_a_server_the_next_step_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(influxdb, "program", lambda: None)
    with pytest.raises(ClusterError, match="run `make influxdb`"):
        InfluxDb(tmp_path / "server").start()
    assert not (tmp_path / "server").exists()


@real
@pytest.mark.stack
def test_start_answer_stop_on_loopback_only(tmp_path: Path) -> None:
    server = InfluxDb(tmp_path / "server")
    with pytest.raises(ClusterError, match="start the server first"):
        _ = server.token
    with server:
        assert server.pid is not None
        connections = psutil.Process(server.pid).net_connections()
        assert {(c.laddr.ip, c.laddr.port) for c in connections if c.status == "LISTEN"} == {
            ("127.0.0.1", server.port)
        }
        with server.client() as client:
            assert client.ping()
        first = server.pid
        server.start()
        assert server.pid == first, "it runs already"
    assert server.pid is None
    assert not psutil.pid_exists(first)
    assert is_free(server.port)


@real
@pytest.mark.stack
def test_a_configuration_that_lies_about_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yaml").write_text("http-bind-address: 0.0.0.0:1\nno: [sense\n")
    monkeypatch.chdir(tmp_path)
    with InfluxDb(tmp_path / "server") as server:
        assert not is_free(server.port)


@real
@pytest.mark.stack
def test_the_token_is_hidden_and_nobody_else_may_read_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = os.umask(0)  # whatever the user's habits are
    try:
        with InfluxDb(tmp_path / "server") as server:
            granted = server.make_bucket("b")
            command_line = " ".join(psutil.Process(server.pid).cmdline())
            environment = psutil.Process(server.pid).environ()
    finally:
        os.umask(before)
    secrets = [server.token.get_secret_value(), granted.get_secret_value()]
    assert min(map(len, secrets)) >= 64
    files = [path for path in server.folder.rglob("*") if path.is_file()]
    assert {"owner.token", "influxd.bolt", "influxd.out"} <= {path.name for path in files}
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((server.folder / "owner.token").stat().st_mode) == 0o600
    shown = f"{server!r} {vars(server)} {server.token!r} {command_line} {environment} {caplog.text}"
    shown += (server.folder / "influxd.out").read_text()
    assert not any(secret in shown for secret in secrets)


@real
@pytest.mark.stack
def test_who_may_write_where(server: InfluxDb) -> None:
    mine, other = server.make_bucket("mine"), server.make_bucket("other")
    assert write(server, "mine", mine, f"flow value=1.5 {TIME_NS}") == 204
    assert read(server, "mine", mine) == {"flow": 1.5}
    assert write(server, "mine", SecretStr("wrong"), f"flow value=2 {TIME_NS}") == 401
    assert write(server, "mine", other, f"flow value=2 {TIME_NS}") == 403
    assert write(server, "absent", server.token, f"flow value=2 {TIME_NS}") == 404
    # a bucket that one may not see is one that is not there
    assert write(server, "absent", mine, f"flow value=2 {TIME_NS}") == 404
    with pytest.raises(ApiException) as refused:
        read(server, "mine", other)
    assert refused.value.status == 404
    with server.client(mine) as client:
        found = client.buckets_api().find_buckets().buckets
        assert [bucket.name for bucket in found] == ["mine"]
        with pytest.raises(ApiException) as refused:
            client.buckets_api().create_bucket(bucket_name="own", org_id=found[0].org_id)
    assert refused.value.status == 401
    assert read(server, "mine", mine) == {"flow": 1.5}


@real
@pytest.mark.stack
def test_what_it_answers_to_bad_points(server: InfluxDb) -> None:
    token = server.make_bucket("bad")
    assert write(server, "bad", token, f"a value=1 {TIME_NS}", "no line at all,,") == 400
    assert read(server, "bad", token) == {}, "one bad line refuses its whole batch"
    assert write(server, "bad", token, f"a value=1 {TIME_NS}") == 204
    later_ns = TIME_NS + 1
    lines = [f'a value="text" {later_ns}', f"b value=2 {later_ns}"]
    assert write(server, "bad", token, *lines) == 422
    assert read(server, "bad", token) == {"a": 1.0, "b": 2.0}, "but a wrong type only its point"


@real
@pytest.mark.stack
def test_a_bucket_is_made_once_and_its_retention_follows(server: InfluxDb) -> None:
    first = server.make_bucket("kept", retention_s=7200)
    lines = [f"old value=1 {TIME_NS}", f"new value=2 {time.time_ns()}"]
    assert write(server, "kept", first, *lines) == 422, "older than two hours"
    assert read(server, "kept", first) == {"new": 2.0}, "the others are written"
    assert server.make_bucket("kept", retention_s=0) == first
    assert write(server, "kept", first, f"old value=1 {TIME_NS}") == 204
    server.make_bucket("kept", retention_s=3600)
    for name, call in (("short", "POST /api/v2/buckets"), ("kept", "PATCH /api/v2/buckets/")):
        with pytest.raises(ClusterError, match=rf"(?s){call}.*: 500: .* at least 1h0m0s"):
            server.make_bucket(name, retention_s=60)
    with server.client() as client:
        assert not client.buckets_api().find_buckets(name="short").buckets
        found = client.buckets_api().find_buckets(name="kept").buckets
        assert [rule.every_seconds for rule in found[0].retention_rules] == [3600]
        authorizations = client.authorizations_api().find_authorizations()
        assert sum(one.token == first.get_secret_value() for one in authorizations) == 1


@real
@pytest.mark.stack
def test_a_write_whose_answer_was_lost_may_be_repeated(server: InfluxDb) -> None:
    token = server.make_bucket("lost")
    point = f"flow value=1 {TIME_NS}"
    with HttpFaults(server.url) as faults:
        faults.drop(executed=True, times=1, path="/api/v2/write")
        with InfluxDBClient(faults.url, token.get_secret_value(), org=server.org) as client:
            writer = client.write_api(SYNCHRONOUS)
            with pytest.raises(HTTPError):
                writer.write("lost", record=point)
            assert read(server, "lost", token) == {"flow": 1.0}
            writer.write("lost", record=point)
            faults.answer(429, headers={"Retry-After": "1"})
            with pytest.raises(ApiException) as refused:
                writer.write("lost", record=point)
            assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "1")
    assert read(server, "lost", token) == {"flow": 1.0}


@real
@pytest.mark.stack
def test_stop_and_kill_keep_what_it_answered_for(tmp_path: Path) -> None:
    server = InfluxDb(tmp_path / "server")
    with server:
        token = server.make_bucket("b")
        owner, port = server.token, server.port
        assert write(server, "b", token, f"stopped value=1 {TIME_NS}") == 204
        server.stop()
        server.start()
        answered = {"stopped": 1.0}
        for kill in range(3):
            answered |= write_until_killed(server, token, kill)
            assert server.pid is None
            server.kill()  # it is dead already
            server.start()
        assert (server.token, server.port) == (owner, port)
        found = read(server, "b", token)
        assert answered.items() <= found.items()
        assert len(found) <= len(answered) + 3, "at most what was under way"
    with InfluxDb(tmp_path / "server") as again:
        assert again.token == owner
        assert read(again, "b", token) == found, "whoever opens the folder finds it all"


def write_until_killed(server: InfluxDb, token: SecretStr, kill: int) -> dict[str, float]:
    """Returns: the points that it answered for, by their measurement."""
    answered: dict[str, float] = {}
    timer = threading.Timer(0.2, server.kill)
    with server.client(token) as client, contextlib.suppress(HTTPError):
        writer = client.write_api(SYNCHRONOUS)
        timer.start()
        for number in itertools.count():
            writer.write("b", record=f"kill{kill}-{number} value={number} {TIME_NS}")
            answered[f"kill{kill}-{number}"] = number
    timer.join()
    assert answered, "it was killed before the first"
    return answered


@real
@pytest.mark.stack
def test_set_up_that_was_cut_short_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = InfluxDb(tmp_path / "server")
    with monkeypatch.context() as patched:
        patched.setattr(influxdb, "ORG", "")  # the server refuses it, after the token was written
        with pytest.raises(ClusterError, match="POST /api/v2/setup: 422"):
            server.start()
    assert server.pid is None
    with server, server.client() as client:
        assert client.ping()


@real
@pytest.mark.stack
def test_a_folder_whose_token_was_lost(tmp_path: Path) -> None:
    server = InfluxDb(tmp_path / "server")
    with server:
        pass
    (server.folder / "owner.token").write_text("another")
    with pytest.raises(ClusterError, match=r"does not open its server: remove the folder"), server:
        pass
    assert server.pid is None
    (server.folder / "owner.token").unlink()
    with pytest.raises(ClusterError, match=r"owner\.token"), server:
        pass


@real
@pytest.mark.stack
def test_one_that_cannot_start_shows_why(server: InfluxDb, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"(?s)influxd ended while it started.*address"):
        InfluxDb(tmp_path / "server", port=server.port).start()
