"""The part `influx`, the way back: buckets of the same names, without the tokens of anybody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from jobs.backup.manifest import PIECE
from jobs.backup.points import BUCKETS, SHARDS, Bucket, Server, shards_of


class BucketsBack:
    """What a backup has of InfluxDB. A bucket of the same name must be empty: it is replaced, as
    the first one, which no server can be set up without."""

    def __init__(self, folder: Path, server: Server) -> None:
        self._folder, self._server = folder, server
        self._buckets: list[Bucket] = json.loads((folder / BUCKETS).read_text())
        self._there = {bucket["bucketName"]: bucket for bucket in server.buckets()}

    def mistakes(self) -> Iterator[str]:
        """Why it cannot be, a line each."""
        for bucket in self._buckets:
            name = bucket["bucketName"]
            if name in self._there and shards_of(self._there[name]):
                yield f"bucket {name}: has points on {self._server.url}"
        for name in sorted({bucket["organizationName"] for bucket in self._buckets}):
            if self._org(name) is None:
                yield f"organisation {name}: is not on {self._server.url}: make it"

    def plan(self) -> Iterator[str]:
        """What will be done."""
        for bucket in self._buckets:
            shards = len(shards_of(bucket))
            yield f"bucket {bucket['bucketName']}: {shards} shards, to {self._server.url}"

    def restore(self) -> None:
        """Raises: BackupError: the server refuses."""
        for bucket in self._buckets:
            if old := self._there.get(bucket["bucketName"]):
                self._server.call("DELETE", f"/api/v2/buckets/{old['bucketID']}")
            self._restore(bucket)

    def _restore(self, bucket: Bucket) -> None:
        org = self._org(bucket["organizationName"])
        wanted = bucket | {"organizationID": org}
        made = self._server.call("POST", "/api/v2/restore/bucketMetadata", wanted)
        new = {each["oldId"]: each["newId"] for each in made["shardMappings"]}
        for shard in shards_of(bucket):
            for path in (self._folder / SHARDS).glob(f"{shard}.tar*"):
                self._send(path, new[shard])

    def _send(self, path: Path, shard: int) -> None:
        headers = {"Content-Encoding": "gzip"} if path.suffix == ".gz" else {}
        with path.open("rb") as source:
            pieces = iter(lambda: source.read(PIECE), b"")
            place = f"/api/v2/restore/shards/{shard}"
            self._server.check(self._server.http.post(place, content=pieces, headers=headers))

    def _org(self, name: str) -> str | None:
        found = self._server.http.get("/api/v2/orgs", params={"org": name})
        orgs = found.json().get("orgs") if found.is_success else None
        return str(orgs[0]["id"]) if orgs else None
