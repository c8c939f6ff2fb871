"""Write minute rollups to InfluxDB, each point once, under the policy of flink-conf/influx.yaml.

A plain program: points are idempotent, so an offset that is committed after InfluxDB has
acknowledged is all that exactly-once needs, and no operator of Flink has to stand still while
InfluxDB is away.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from threading import Event

import structlog

from jobs.common.errors import HardiotError, SettingsError
from jobs.common.librdkafka import properties_of
from jobs.common.service import serve
from jobs.common.settings import load
from jobs.influx.bucket import Bucket
from jobs.influx.known import SharedCatalogues
from jobs.influx.lane import Lane, LaneSettings
from jobs.influx.letters import JOB, Letters
from jobs.influx.metrics import Metrics
from jobs.influx.points import Points
from jobs.influx.policy import Group, Policy, load_policy
from jobs.influx.sender import Sender
from jobs.influx.settings import Settings

GROUP_ID = "publish-rollups"

_LOOK_S = 0.5
log = structlog.get_logger()


class Publisher:
    """The lanes of one process."""

    def __init__(self, settings: Settings, policy: Policy) -> None:
        """Raises: SettingsError: an unknown group, or a token is not there."""
        self.metrics = Metrics()
        self.registry, self.metrics_port = self.metrics.registry, settings.metrics_port
        self._settings = settings
        self._policy = policy
        self._stop = Event()
        self._kafka = settings.client_properties()
        served = _served(settings, policy)
        buckets = _buckets(policy, served, settings.timeout_s)
        self._catalogues = SharedCatalogues(settings.bootstrap, self._kafka)
        self._lanes = [
            self._lane(group, bucket) for group, bucket in zip(served, buckets, strict=True)
        ]

    def run(self) -> None:
        """Until `stop`. Raises: HardiotError: a lane ended; all are stopped then."""
        for lane in self._lanes:
            lane.start()
        while not self._stop.wait(_LOOK_S):
            if not all(lane.is_alive() for lane in self._lanes):
                self._stop.set()
        for lane in self._lanes:
            lane.join()
        self._catalogues.close()
        for lane in self._lanes:
            if lane.error is not None:
                raise HardiotError(f"{lane.name}: {lane.error}")

    def stop(self) -> None:
        """Write what was begun, if that takes no longer than some seconds, and end."""
        self._stop.set()

    def _lane(self, group: Group, bucket: Bucket) -> Lane:
        self.metrics.begin(group.name)
        letters = Letters(self._settings.bootstrap, self._kafka)
        sender = Sender(group.name, bucket, letters, self.metrics)
        settings = LaneSettings(
            group.name,
            self._settings.facilities,
            self._settings.batch_lines,
            self._settings.linger_s,
        )
        points = Points(self._policy, self._catalogues.find)
        consumer = self._consumer_properties(group)
        return Lane(
            settings, self._policy, points, consumer, sender, letters, self.metrics, self._stop
        )

    def _consumer_properties(self, group: Group) -> dict[str, object]:
        instance = self._settings.instance
        return {
            "bootstrap.servers": self._settings.bootstrap,
            "group.id": f"{GROUP_ID}.{group.name}",
            **({"group.instance.id": instance} if instance else {}),
            "client.id": f"hardiot-{GROUP_ID}",
            "partition.assignment.strategy": "cooperative-sticky",
            "auto.offset.reset": self._settings.starting_offsets,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "topic.metadata.refresh.interval.ms": self._settings.discovery_s * 1000,
            # what waits in the client, of a record of 340 kB a gateway of 5,000 sensors
            "queued.max.messages.kbytes": 16_384,
            "log_level": 2,
            **properties_of(self._kafka),
        }


def _served(settings: Settings, policy: Policy) -> list[Group]:
    known = {group.name: group for group in policy.groups}
    unknown = [name for name in settings.groups if name not in known]
    if unknown:
        raise SettingsError(
            f"groups: {', '.join(unknown)}: not in {settings.policy}: {', '.join(known)}"
        )
    return [known[name] for name in settings.groups or known]


def _buckets(policy: Policy, groups: Sequence[Group], timeout_s: float) -> list[Bucket]:
    found: list[Bucket] = []
    mistakes: list[str] = []
    for group in groups:
        try:
            found.append(Bucket(policy, group, timeout_s))
        except SettingsError as error:
            mistakes.append(str(error))
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return found


def main(argv: Sequence[str]) -> int:
    """Exit 1: a lane failed. 2: the settings or the policy are wrong."""

    def begin() -> Publisher:
        settings = load(Settings, JOB, argv)
        return Publisher(settings, load_policy(settings.policy))

    return serve(begin)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
