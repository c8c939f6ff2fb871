"""One InfluxDB 2 on loopback, with a folder of its own: data, and the token of its owner.

with InfluxDb(RUNS / "demo" / "influxdb") as server:
    token = server.make_bucket("plant-a", retention_s=30 * 86_400)
    with server.client(token) as client:
        client.write_api(SYNCHRONOUS).write("plant-a", record="flow value=1.5 1700000000000000000")
"""

from __future__ import annotations

import functools
import os
import re
import secrets
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx
import platformdirs
import psutil
from pydantic import SecretStr

from jobs.common.errors import ClusterError
from jobs.local.paths import ROOT
from jobs.local.ports import LOOPBACK, free_ports
from jobs.local.process import Child, spawn, stop, wait_ready

if TYPE_CHECKING:
    from influxdb_client.client.influxdb_client import InfluxDBClient

NAME = "influxd"
ORG = "hardiot"
GO_MOD = ROOT / "infra" / "influxdb" / "go.mod"
_MODULE = re.compile(r"^\s*github\.com/influxdata/influxdb/v2 v(\S+)", re.M)

# Its first bucket, which it cannot be set up without.
_FIRST_BUCKET = "default"
# It replays its write-ahead log first: 0.2 s when empty.
_READY_LIMIT_S = 60.0
_CALL_LIMIT_S = 10.0
# A write that it refuses may be answered with all of its lines.
_SHOWN = 500

Answer = dict[str, Any]


def built() -> Path:
    """Where `make influxdb` puts the server, outside the tree and by version."""
    found = _MODULE.search(GO_MOD.read_text())
    assert found is not None, f"{GO_MOD} pins no InfluxDB"
    return platformdirs.user_cache_path("hardiot") / f"influxdb-{found[1]}" / NAME


def program() -> Path | None:
    """An InfluxDB 2 on the PATH, else the one that `make influxdb` built, else None."""
    installed = shutil.which(NAME)
    if installed and _is_version_2(installed):
        return Path(installed)
    return built() if os.access(built(), os.X_OK) else None


@functools.cache
def _is_version_2(path: str) -> bool:
    """Version 1 has the same name and another interface."""
    shown = subprocess.run([path, "version"], capture_output=True, text=True, check=False)
    return shown.stdout.startswith("InfluxDB v2.")


def command(folder: Path, port: int) -> list[str]:
    """The server's command line. Raises: ClusterError: there is no server."""
    found = program()
    if found is None:
        raise ClusterError("InfluxDB is not installed: run `make influxdb` (about 10 minutes)")
    options = {
        "bolt-path": f"{folder}/influxd.bolt",
        "sqlite-path": f"{folder}/influxd.sqlite",
        "engine-path": f"{folder}/engine",
        "http-bind-address": f"{LOOPBACK}:{port}",
        "log-level": "error",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [str(found), *flags, "--reporting-disabled", "--ui-disabled"]


class InfluxDb:
    """One server, known by its folder; `start` after `stop` or `kill` has the same port and data.

    url: as http://127.0.0.1:8086. org: the only organisation.
    """

    org = ORG

    def __init__(self, folder: Path, port: int | None = None, run: Path | None = None) -> None:
        """Args: port: None means any free one. run: of which it is a part, and ends with it."""
        self.folder = folder.resolve()
        self._run = run or self.folder
        self.port = free_ports(1)[0] if port is None else port
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._token_file = self.folder / "owner.token"
        self._child: Child | None = None
        # no connection outlives its call, so there is nothing to close
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(
            base_url=self.url, timeout=_CALL_LIMIT_S, trust_env=False, limits=limits
        )

    @property
    def pid(self) -> int | None:
        """Its process, None when it does not run."""
        return self._child.pid if self._child is not None and self._child.alive else None

    @property
    def token(self) -> SecretStr:
        """The owner's, who may do everything. Raises: ClusterError: it was never started."""
        try:
            return SecretStr(self._token_file.read_text())
        except FileNotFoundError:
            raise ClusterError(f"{self._token_file}: start the server first") from None

    def start(self) -> None:
        """Start it, wait until it answers, and set it up if it is new.

        Raises: ClusterError: there is no server, it ended, or its folder is another's.
        """
        if self.pid is not None:
            return
        wanted = command(self.folder, self.port)
        # it keeps everybody's tokens in its own files
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        # a folder without a configuration: else it would take config.yaml from where we are
        env = {"INFLUXD_CONFIG_PATH": str(self.folder)}
        self._child = spawn(NAME, wanted, self.folder / "influxd.out", self._run, env)
        try:
            wait_ready("InfluxDB", self._healthy, [self._child], _READY_LIMIT_S)
            self._set_up()
        except (ClusterError, httpx.TransportError):
            self.stop()
            raise

    def stop(self, limit_s: float = 20.0) -> None:
        """End it; what it answered for is on disk."""
        if self._child is not None:
            stop([self._child], limit_s)

    def kill(self) -> None:
        """End it as a lost machine does, without a word."""
        process = self._child.process() if self._child is not None else None
        if process is not None:
            process.kill()
            process.wait(timeout=_CALL_LIMIT_S)

    def client(self, token: SecretStr | None = None, **options: Any) -> InfluxDBClient:
        """A client of this server, to be closed. Args: token: None means the owner's."""
        from influxdb_client.client.influxdb_client import (
            InfluxDBClient,
        )  # half a second that others need not wait

        secret = (token or self.token).get_secret_value()
        return InfluxDBClient(self.url, secret, org=self.org, **options)

    def make_bucket(self, name: str, retention_s: int = 0) -> SecretStr:
        """Make a bucket, or give one that is there another retention (s, 0: keep for ever).

        Returns: a token that may read and write this bucket and nothing else, each time the same.
        Raises: ClusterError: refused, as a retention below an hour is.
        """
        org_id = self._call("GET", "/api/v2/orgs", org=self.org)["orgs"][0]["id"]
        found = self._call("GET", "/api/v2/buckets", name=name)["buckets"]
        rules = [{"type": "expire", "everySeconds": retention_s}]
        wanted = {"orgID": org_id, "name": name, "retentionRules": rules}
        path = f"/api/v2/buckets/{found[0]['id']}" if found else "/api/v2/buckets"
        made = self._call("PATCH" if found else "POST", path, wanted)
        return self._bucket_token(org_id, made["id"])

    def _bucket_token(self, org_id: str, bucket_id: str) -> SecretStr:
        purpose = f"read and write {bucket_id}"
        tokens = self._call("GET", "/api/v2/authorizations", orgID=org_id)["authorizations"]
        for known in tokens:
            if known["description"] == purpose:
                return SecretStr(known["token"])
        resource = {"type": "buckets", "id": bucket_id, "orgID": org_id}
        permissions = [{"action": action, "resource": resource} for action in ("read", "write")]
        wanted = {"orgID": org_id, "description": purpose, "permissions": permissions}
        return SecretStr(self._call("POST", "/api/v2/authorizations", wanted)["token"])

    def _healthy(self) -> bool:
        if not self._listens():
            return False
        try:
            return bool(self._http.get("/health").json()["status"] == "pass")
        except (httpx.TransportError, ValueError):
            return False

    def _listens(self) -> bool:
        """It, and not somebody else's server that has the port and would be told our token."""
        process = self._child.process() if self._child is not None else None
        try:
            found = process.net_connections() if process is not None else []
        except psutil.Error:
            return False
        return any(c.status == psutil.CONN_LISTEN and c.laddr.port == self.port for c in found)

    def _set_up(self) -> None:
        """Once; the token is on disk before the server knows it, so that a crash loses neither."""
        if not self._http.get("/api/v2/setup").json()["allowed"]:
            return self._check_owner()
        _write_secret(self._token_file, secrets.token_urlsafe(48))
        token = self.token.get_secret_value()
        owner = {"username": ORG, "org": ORG, "bucket": _FIRST_BUCKET, "token": token}
        _checked(self._http.post("/api/v2/setup", json=owner))
        return None

    def _check_owner(self) -> None:
        try:
            self._call("GET", "/api/v2/orgs", org=self.org)
        except ClusterError as error:
            raise ClusterError(
                f"{self.folder}: its token does not open its server: remove the folder ({error})"
            ) from None

    def _call(self, method: str, path: str, body: Answer | None = None, **params: str) -> Answer:
        headers = {"Authorization": f"Token {self.token.get_secret_value()}"}
        found = self._http.request(method, path, json=body, params=params, headers=headers)
        return dict(_checked(found).json())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_error:
        request = f"{response.request.method} {response.request.url.path}"
        raise ClusterError(f"{request}: {response.status_code}: {response.text[:_SHOWN]}")
    return response


def _write_secret(path: Path, text: str) -> None:
    """Whole or not at all, and readable by nobody else at any moment."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
