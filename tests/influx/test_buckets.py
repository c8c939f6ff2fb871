"""Retention of buckets on a real server."""

from __future__ import annotations

import pytest

from jobs.common.errors import HardiotError
from jobs.influx.buckets import ensure_bucket
from tests.influx.site import Site

pytestmark = pytest.mark.stack


def test_a_bucket_is_made_once_and_its_retention_follows(site: Site) -> None:
    def retention() -> list[int]:
        found = client.buckets_api().find_bucket_by_name("kept")
        return [rule.every_seconds for rule in found.retention_rules]

    with site.server.client() as client:
        assert ensure_bucket(client, "kept", 86_400)
        assert not ensure_bucket(client, "kept", 86_400)
        assert retention() == [86_400]
        assert ensure_bucket(client, "kept", 30 * 86_400)
        assert retention() == [30 * 86_400]
        assert ensure_bucket(client, "kept", 0)
        assert not ensure_bucket(client, "kept", 0)
        assert retention() in ([], [0])
        assert ensure_bucket(client, "for-ever", 0)
        assert not ensure_bucket(client, "for-ever", 0)


def test_what_is_too_short_is_told_before_the_server_is_asked(site: Site) -> None:
    with site.server.client() as client, pytest.raises(HardiotError, match="an hour at least"):
        ensure_bucket(client, "short", 60)
