"""Buckets kept for as long as is declared.

with Buckets(url, org, token) as buckets:
    found_ms = buckets.kept_ms("live")        # 0: for ever; None: no such bucket
    buckets.keep("live", 90 * DAY_MS)
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr

from jobs.common.errors import HardiotError

_TIMEOUT_MS = 30_000
_EXPIRE = "expire"


class BucketsError(HardiotError):
    """InfluxDB does not answer, or does not let this token change a bucket."""


class Buckets:
    """The buckets of one organisation."""

    def __init__(self, url: str, org: str, token: SecretStr) -> None:
        from influxdb_client.client.influxdb_client import InfluxDBClient  # half a second

        self._url = url
        self._client: Any = InfluxDBClient(
            url, token.get_secret_value(), org=org, timeout=_TIMEOUT_MS
        )

    def kept_ms(self, name: str) -> int | None:
        """How long it keeps points; 0: for ever, None: there is no such bucket."""
        bucket = self._find(name)
        if bucket is None:
            return None
        rules = [rule for rule in bucket.retention_rules if rule.type == _EXPIRE]
        return int(rules[0].every_seconds) * 1000 if rules else 0

    def keep(self, name: str, kept_ms: int) -> None:
        """Keep points for so long; 0: for ever. Older ones are deleted by the server."""
        from influxdb_client.domain.bucket_retention_rules import BucketRetentionRules

        rules: Any = BucketRetentionRules
        bucket = self._find(name)
        bucket.retention_rules = [rules(type=_EXPIRE, every_seconds=kept_ms // 1000)]
        self._asked(lambda: self._client.buckets_api().update_bucket(bucket))

    def _find(self, name: str) -> Any:
        answer = self._asked(lambda: self._client.buckets_api().find_buckets(name=name))
        return next((bucket for bucket in answer.buckets or [] if bucket.name == name), None)

    def _asked(self, question: Any) -> Any:
        from influxdb_client.rest import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return question()
        except ApiException as error:
            if error.status == 404:  # how the server says that no bucket has that name
                return type("Answer", (), {"buckets": []})
            raise BucketsError(f"{self._url}: {error.status} {error.reason}") from None
        except (HTTPError, OSError) as error:
            raise BucketsError(f"{self._url}: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()
