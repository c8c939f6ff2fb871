"""The part `influx`: each bucket with its retention, and its points as the server keeps them.

server = Server(url, token)
store_buckets(store, server)

The server gives its buckets' shards through /api/v2/backup. In the same answer it gives its own
databases, which hold all tokens: they are not kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
from pydantic import SecretStr

from jobs.backup.manifest import PIECE, BackupError
from jobs.backup.store import Store

BUCKETS, SHARDS = "influx/buckets.json", "influx/shards"
_LIMIT_S = 300.0
_SHOWN = 400
_GONE = 404
Bucket = dict[str, Any]


class Server:
    """An InfluxDB 2, as its operator, who may do everything."""

    def __init__(self, url: str, token: SecretStr) -> None:
        self.url = url
        headers = {"Authorization": f"Token {token.get_secret_value()}"}
        self.http = httpx.Client(base_url=url, headers=headers, timeout=_LIMIT_S, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def buckets(self) -> list[Bucket]:
        """All but the server's own, each with its retention and its shards.

        Raises: BackupError: nobody answers there, or the token is not the operator's.
        """
        try:
            with self.http.stream("GET", "/api/v2/backup/metadata") as answer:
                self.check(answer)
                boundary = answer.headers["content-type"].partition("boundary=")[2].strip('"')
                found = json.loads(part(answer.iter_bytes(PIECE), boundary.encode(), b"buckets"))
        except httpx.TransportError as error:
            raise BackupError(f"{self.url}: InfluxDB does not answer ({error})") from None
        own = (b for b in found or () if not b["bucketName"].startswith("_"))
        return sorted(own, key=lambda bucket: str(bucket["bucketName"]))

    def call(self, method: str, path: str, body: Any = None, **params: str) -> Any:
        """Raises: BackupError: it refuses."""
        answer = self.check(self.http.request(method, path, json=body, params=params))
        return answer.json() if answer.content else None

    def check(self, answer: httpx.Response) -> httpx.Response:
        """Raises: BackupError: it refused."""
        if answer.is_error:
            answer.read()
            place = f"{self.url}{answer.request.url.path}"
            raise BackupError(f"{place}: {answer.status_code}: {answer.text[:_SHOWN]}")
        return answer


def shards_of(bucket: Bucket) -> list[int]:
    """Ids of the shards that are not deleted."""
    return [
        shard["id"]
        for policy in bucket["retentionPolicies"] or ()
        for group in policy["shardGroups"] or ()
        if not group.get("deletedAt")
        for shard in group["shards"] or ()
    ]


def store_buckets(store: Store, server: Server) -> dict[str, Any]:
    """Definitions, and the shards one after the other. Returns: counts."""
    buckets = server.buckets()
    store.write_json(BUCKETS, buckets)
    shards = [shard for bucket in buckets for shard in shards_of(bucket)]
    stored = [shard for shard in shards if _store_shard(store, server, shard)]
    size = sum(f.bytes for path, f in store.files.items() if path.startswith(SHARDS))
    return {"buckets": len(buckets), "shards": len(stored), "bytes": size}


def _store_shard(store: Store, server: Server, shard: int) -> bool:
    """Whether it is still there: its time may be over since it was listed."""
    with server.http.stream("GET", f"/api/v2/backup/shards/{shard}") as answer:
        if answer.status_code == _GONE:
            return False
        server.check(answer)
        packed = ".gz" if answer.headers.get("content-encoding") == "gzip" else ""
        store.write_pieces(f"{SHARDS}/{shard}.tar{packed}", answer.iter_raw(PIECE))
    return True


def part(pieces: Iterable[bytes], boundary: bytes, name: bytes) -> bytes:
    """One named part of a multipart answer; of the others no more than a piece is in memory.

    Raises: BackupError: it is not there.
    """
    mark = b'name="' + name + b'"'
    for head, body in _parts(iter(pieces), b"--" + boundary):
        if mark in head:
            return b"".join(body)
        for _ in body:
            pass
    raise BackupError(f"the answer has no part {name.decode()}: another version of InfluxDB?")


def _parts(pieces: Iterator[bytes], fence: bytes) -> Iterator[tuple[bytes, Iterator[bytes]]]:
    """(headers, body) of each part; the body has to be taken before the next part."""
    left = _Left(pieces)
    for _ in left.until(fence):
        pass
    while not left.ended:
        head = b"".join(left.until(b"\r\n\r\n"))
        if head.startswith(b"--") or left.ended:
            return
        yield head, left.until(b"\r\n" + fence)


class _Left:
    """What is left of a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._data, self.ended = pieces, b"", False

    def until(self, end: bytes) -> Iterator[bytes]:
        """All before `end`, which is passed over."""
        while (at := self._data.find(end)) < 0:
            keep = len(self._data) - len(end) + 1
            if keep > 0:
                before, self._data = self._data[:keep], self._data[keep:]
                yield before
            piece = next(self._pieces, None)
            if piece is None:
                self.ended = True
                yield self._data
                return
            self._data += piece
        before, self._data = self._data[:at], self._data[at + len(end) :]
        yield before
