"""Buckets and how long they keep points, by the owner's token; a publisher's own may do neither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.common.errors import HardiotError

if TYPE_CHECKING:
    from influxdb_client.client.influxdb_client import InfluxDBClient

LEAST_S = 3600
"""InfluxDB takes no shorter retention, and answers as if that were a fault of its own."""


def ensure_bucket(client: InfluxDBClient, name: str, retention_s: int) -> bool:
    """Make a bucket of the client's organisation, or give it this retention (s; 0: for ever).

    Returns: whether something was changed. Raises: HardiotError: the retention is too short.
    influxdb_client.rest.ApiException, urllib3.exceptions.HTTPError: the server does not do it.
    """
    from influxdb_client.domain import bucket_retention_rules

    if 0 < retention_s < LEAST_S:
        raise HardiotError(f"bucket {name}: {retention_s} s: InfluxDB keeps an hour at least")
    domain: Any = bucket_retention_rules  # nothing of it has types
    rules = domain.BucketRetentionRules(type="expire", every_seconds=retention_s)
    buckets: Any = client.buckets_api()
    found = buckets.find_bucket_by_name(name)
    if found is None:
        buckets.create_bucket(bucket_name=name, retention_rules=rules, org=client.org)
        return True
    if [rule.every_seconds for rule in found.retention_rules] == [retention_s]:
        return False
    if not retention_s and not found.retention_rules:
        return False
    found.retention_rules = [rules]
    buckets.update_bucket(found)
    return True
