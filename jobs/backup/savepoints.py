"""The part `flink`: a savepoint of each running job, written by Flink into the backup.

taken = take(store, rest)             # {job id: checkpoint}
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from jobs.backup.manifest import BackupError
from jobs.backup.store import Store
from jobs.common.errors import ClusterError
from jobs.local.rest import Answer, FlinkRest

PART, JOBS = "flink", "flink/jobs.json"
_LIMIT_S = 600.0
_POLL_S = 0.2


@dataclass(frozen=True)
class Savepoint:
    """Of one job. path: its folder, from that of the backup."""

    job: str
    id: str
    checkpoint: int
    path: str
    bytes: int


class _Rest(FlinkRest):
    def trigger(self, job: str, folder: Path) -> str:
        """Returns: the number under which it is asked for."""
        wanted = {"target-directory": folder.as_uri(), "cancel-job": False}
        answer = self._client.post(f"/jobs/{job}/savepoints", json=wanted)
        return str(self._checked(answer).json()["request-id"])

    def state(self, job: str, request: str) -> Answer:
        return self._get(f"/jobs/{job}/savepoints/{request}")


def take(store: Store, url: str) -> list[Savepoint]:
    """Of all running jobs at once, each into a folder of its id.

    The folder must be one that Flink's processes see by the same path.
    Raises: BackupError: a job refuses, or Flink does not answer.
    """
    rest = _Rest(url)
    try:
        running = {job["jid"]: job["name"] for job in rest.jobs() if job["state"] == "RUNNING"}
        asked = {job: rest.trigger(job, store.folder / PART / job) for job in running}
        taken = [_wait(store, rest, running[job], job, asked[job]) for job in asked]
    except (httpx.TransportError, ClusterError) as error:
        raise BackupError(f"{url}: no savepoint: {error}") from None
    finally:
        rest.close()
    store.write_json(JOBS, [asdict(each) for each in taken])
    return taken


def _wait(store: Store, rest: _Rest, name: str, job: str, request: str) -> Savepoint:
    deadline = time.monotonic() + _LIMIT_S
    while (answer := rest.state(job, request))["status"]["id"] != "COMPLETED":
        if time.monotonic() > deadline:
            raise BackupError(f"job {name}: no savepoint in {_LIMIT_S:.0f} s")
        time.sleep(_POLL_S)
    if "location" not in answer["operation"]:
        cause = answer["operation"].get("failure-cause", {}).get("stack-trace", "")
        raise BackupError(f"job {name}: no savepoint: {cause.strip().splitlines()[:1]}")
    location = str(answer["operation"]["location"])
    history = rest.checkpoints(job)["history"]
    number = next(c["id"] for c in history if c.get("external_path") == location)
    return _adopt(store, name, job, int(number), Path(location.removeprefix("file:")))


def _adopt(store: Store, name: str, job: str, number: int, place: Path) -> Savepoint:
    if not place.is_dir():
        raise BackupError(f"job {name}: {place} is not seen here: share the folder with Flink")
    paths = [p.relative_to(store.folder).as_posix() for p in place.rglob("*") if p.is_file()]
    for path in paths:
        store.adopt(path)
    size = sum(store.files[path].bytes for path in paths)
    return Savepoint(name, job, number, place.relative_to(store.folder).as_posix(), size)


def commands(folder: Path) -> Iterator[str]:
    """How the jobs are started from their savepoints, a line each."""
    for found in json.loads((folder / JOBS).read_text()):
        place = (folder / found["path"]).resolve().as_uri()
        job = found["job"].replace("-", "_")
        option = shlex.quote(f"-Dexecution.state-recovery.path={place}")
        yield f"flink run -d {option} -py jobs/{job}.py"
