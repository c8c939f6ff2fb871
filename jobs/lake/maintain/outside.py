"""Steps topics and buckets: Kafka and InfluxDB keep their copies for as long as is declared.

What is in them is in the tables as well, so a hold does less here: a bucket of a held facility
keeps everything, a topic is kept for no shorter time than it is now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import SecretStr

from jobs.common import retention
from jobs.common.contracts import load_topics
from jobs.common.topics import HOUR_MS, facility_of
from jobs.influx.policy import Group
from jobs.influx.policy import Policy as InfluxPolicy
from jobs.influx.retention import Buckets
from jobs.lake.maintain.live import live_files
from jobs.lake.maintain.policy import FOREVER_MS, Policy, shown
from jobs.lake.maintain.work import Deed, Step, Work
from jobs.lake.tables import ROLLUPS
from udfs.rules.globs import is_glob

_FOR_EVER = -1


def topics_step(bootstrap: str, properties: Mapping[str, str]) -> Step:
    """The step for Kafka at that address. properties: as librdkafka names them."""

    def topics(work: Work) -> Iterator[Deed]:
        client = retention.connect(bootstrap, properties)
        wanted = topic_times(work.policy, retention.topics_of(client))
        changes = []
        for each in retention.differences(client, wanted):
            shorter = each.found_ms == _FOR_EVER or 0 <= each.wanted_ms < each.found_ms
            what = "held" if shorter and _is_held(work, each.topic) else "keep"
            if what == "keep":
                changes.append(each)
            why = f"{_words(each.wanted_ms)} instead of {_words(each.found_ms)}"
            yield Deed("topics", each.topic, _facility(each.topic) or "", what, why=why)
        if not work.dry_run:
            retention.apply(client, changes)

    return topics


def topic_times(policy: Policy, there: list[str]) -> dict[str, int]:
    """How long (ms, -1: for ever) the topics that are there are to be kept; those of no contract
    and those that are compacted are left alone."""
    families = {topic.name: topic for topic in load_topics() if topic.cleanup == "delete"}
    times = {}
    for name in there:
        facility = _facility(name)
        family = f"{name.partition('.')[0]}.<facility>" if facility else name
        topic = families.get(family)
        if topic is None:
            continue
        given = policy.topic_ms(family, facility)
        usual = _FOR_EVER if topic.retention_h is None else topic.retention_h * HOUR_MS
        times[name] = usual if given is None else _FOR_EVER if given >= FOREVER_MS else given
    return times


def buckets_step(influx: InfluxPolicy, token: SecretStr) -> Step:
    """The step for the buckets of all groups. token: may change them."""

    def buckets(work: Work) -> Iterator[Deed]:
        facilities = {live.facility or "" for live in live_files(work.table(ROLLUPS), ROLLUPS)}
        for group in influx.groups:
            wanted = bucket_time(work, influx, group, facilities)
            if wanted is None:
                continue
            url, org = group.url or influx.url, group.org or influx.org
            with Buckets(url, org, token) as server:
                found = server.kept_ms(group.bucket)
                if found in (None, wanted):
                    continue
                why = f"{_words(wanted or _FOR_EVER)} instead of {_words(found or _FOR_EVER)}"
                if not work.dry_run:
                    server.keep(group.bucket, wanted)
                yield Deed("buckets", group.bucket, "", "keep", why=why)

    return buckets


def bucket_time(work: Work, influx: InfluxPolicy, group: Group, facilities: set[str]) -> int | None:
    """How long (ms, 0: for ever) the bucket of a group is to keep points; None: not declared."""
    kept_ms = work.policy.bucket_ms(group.bucket)
    if kept_ms is None:
        return None
    plain = {hold.facility for hold in work.policy.holds if not is_glob(hold.facility)}
    held = any(
        work.policy.held_now(name, work.now_ms) and influx.group_of(name) is group
        for name in sorted(plain | facilities)
    )
    return 0 if held or kept_ms >= FOREVER_MS else kept_ms


def _is_held(work: Work, topic: str) -> bool:
    """A topic of all facilities has records of those that are held."""
    facility = _facility(topic)
    if facility is not None:
        return work.policy.held_now(facility, work.now_ms) is not None
    return any(hold.is_on(work.now_ms) for hold in work.policy.holds)


def _facility(topic: str) -> str | None:
    try:
        return facility_of(topic)
    except ValueError:
        return None


def _words(ms: int) -> str:
    if ms < 0:
        return "forever"
    return shown(ms) if ms and ms % HOUR_MS == 0 else f"{ms / HOUR_MS:.2f}h"
