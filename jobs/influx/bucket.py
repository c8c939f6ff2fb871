"""One bucket of InfluxDB: writes lines into it, and says what came of it.

bucket = Bucket(policy, group, timeout_s=30)
answer = bucket.write([body(lines)])
if answer.verdict is Verdict.WRITTEN: ...
"""

from __future__ import annotations

import email.utils
import re
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from urllib3.exceptions import HTTPError, ReadTimeoutError

from jobs.common.errors import SettingsError
from jobs.influx.erasure import Erasure
from jobs.influx.policy import Group, Policy

_GZIP = 31  # zlib's number for gzip's format
_LEVEL = 1  # 8 times smaller; 6 takes five times as long for a tenth more
_SHOWN = 400  # a refused batch is answered with all of its lines
_LONGEST_S = 300.0
_NO_ANSWER = 0
_EXPIRED = re.compile(r"dropped (\d+) points outside retention policy")


class Verdict(StrEnum):
    """What an answer means for the lines.

    WRITTEN: acknowledged, or older than the bucket keeps. LINES: some of them are refused, and will
    be for ever. AGAIN: nothing is wrong with them. REFUSED: neither is it, but somebody must act:
    token, bucket or address are wrong.
    """

    WRITTEN = "written"
    LINES = "lines"
    AGAIN = "again"
    REFUSED = "refused"


@dataclass(frozen=True)
class Answer:
    """What the server said. status: 0: nothing. expired: points that its retention has no room for.

    retry_after_s: how long it wants to be left alone.
    """

    status: int
    text: str = ""
    retry_after_s: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """What it means."""
        if self.status in (200, 204) or self.expired:
            return Verdict.WRITTEN
        if self.status in (400, 413, 422):
            return Verdict.LINES
        if self.status in (_NO_ANSWER, 408, 429) or self.status >= 500:
            return Verdict.AGAIN
        return Verdict.REFUSED

    @property
    def expired(self) -> int:
        """Points that are older than the bucket keeps; all others were written."""
        found = _EXPIRED.search(self.text) if self.status == 422 else None
        return int(found[1]) if found else 0

    @property
    def cause(self) -> str:
        """Short, for a metric: the status, or that there was none."""
        return str(self.status) if self.status else self.text.partition(":")[0]


class Bucket:
    """Writes to one bucket, over one connection; not for two threads at once."""

    def __init__(self, policy: Policy, group: Group, timeout_s: float) -> None:
        """Raises: SettingsError: there is no token."""
        self.name = group.bucket
        self._group = group
        self._url = group.url or policy.url
        self._org = group.org or policy.org
        self._timeout_ms = round(timeout_s * 1000)
        self._token = group.token()
        self._client: Any = None  # its calls have no types

    def write(self, parts: Iterable[bytes | memoryview]) -> Answer:
        """Write lines with times in seconds. What fails is an answer, too."""
        from influxdb_client.service.write_service import WriteService  # half a second

        service: Any = WriteService
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        data = b"".join([*map(packer.compress, parts), packer.flush()])
        return self._answer(
            lambda client: service(client.api_client).post_write(
                self._org, self.name, data, precision="s", content_encoding="gzip"
            )
        )

    def erase(self, minute: Erasure) -> Answer:
        """Delete the points of a gateway's minute, if those that have to go are there."""
        start = datetime.fromtimestamp(minute.second, tz=UTC)

        def call(client: Any) -> None:
            if self._has_values(client, minute):
                end = start + timedelta(seconds=59)
                client.delete_api().delete(start, end, minute.predicate, self.name, self._org)

        return self._answer(call)

    def _has_values(self, client: Any, minute: Erasure) -> bool:
        try:
            queries = minute.queries(self.name)
            return any(client.query_api().query(query, self._org) for query in queries)
        except _api_exception() as error:
            if getattr(error, "status", 0) in (401, 403, 404):  # a token that may only write
                return True
            raise

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _answer(self, call: Callable[[Any], object]) -> Answer:
        try:
            call(self._connected())
        except ReadTimeoutError:
            return Answer(_NO_ANSWER, "timeout: it may still be executed")
        except (HTTPError, OSError) as error:
            return Answer(_NO_ANSWER, f"unreachable: {error}"[:_SHOWN])
        except _api_exception() as error:
            return self._refusal(error)
        return Answer(204)

    def _connected(self) -> Any:
        from influxdb_client.client.influxdb_client import InfluxDBClient

        if self._client is None:
            token = self._token.get_secret_value()
            self._client = InfluxDBClient(self._url, token, org=self._org, timeout=self._timeout_ms)
        return self._client

    def _refusal(self, error: Any) -> Answer:
        text = str(error.body or error.reason or "")
        answer = Answer(int(error.status or 0), text[:_SHOWN], _retry_after_s(error.headers or {}))
        if answer.verdict is Verdict.REFUSED:
            self._look_for_token()
        return answer

    def _look_for_token(self) -> None:
        """Whoever replaces a token need not restart anything."""
        try:
            token = self._group.token()
        except SettingsError:
            return
        if token != self._token:
            self._token = token
            self.close()


def _api_exception() -> type[Exception]:
    from influxdb_client.rest import ApiException

    found: type[Exception] = ApiException
    return found


def _retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds, or a date; 0 when it says nothing that can be read."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return min(float(text), _LONGEST_S)
    try:
        at = email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return 0.0
    return min(max(at - time.time(), 0.0), _LONGEST_S)
