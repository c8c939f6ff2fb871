"""A gateway's status as Prometheus metrics, under names that start with hardiot_edge_.

    registry = registry_of(status)            # status: gives the Status of now
    text = generate_latest(registry)

The names stand in infra/observability/metrics.yaml, too; a test holds the two together. Labels are
bounded: inputs and reasons come from settings and code; of clock offsets the largest are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from edge.status import Connection, Status
from edge.timings import BOUNDS_S, Durations

MAX_SOURCES = 20
_WHO = ("facility", "gateway")


def registry_of(status: Callable[[], Status]) -> CollectorRegistry:
    """A registry of the gateway's metrics, and of its process's memory, CPU and files."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(EdgeCollector(status))
    return registry


class EdgeCollector(Collector):
    """Turns the status into metrics whenever Prometheus asks."""

    def __init__(self, status: Callable[[], Status]) -> None:
        self._status = status

    def describe(self) -> Iterator[Metric]:
        """Nothing: the registry must not ask for a status before there is one."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """All metrics of now."""
        status = self._status()
        make = _Families((status.facility, status.gateway))
        yield from _pipeline(status, make)
        yield from _spool(status, make)
        yield from _rules(status, make)
        yield from _uplink(status, make)
        yield from _connections(status, make)


class _Families:
    """Makes metrics that all carry facility and gateway."""

    def __init__(self, who: tuple[str, str]) -> None:
        self._who = who

    def gauge(self, name: str, help_: str, value: float) -> Metric:
        return self.gauges(name, help_, "", {"": value})

    def gauges(self, name: str, help_: str, label: str, values: Mapping[str, float]) -> Metric:
        family = GaugeMetricFamily(f"hardiot_edge_{name}", help_, labels=self._labels(label))
        return self._fill(family, label, values)

    def counter(self, name: str, help_: str, value: float) -> Metric:
        return self.counters(name, help_, "", {"": value})

    def counters(self, name: str, help_: str, label: str, values: Mapping[str, float]) -> Metric:
        family = CounterMetricFamily(f"hardiot_edge_{name}", help_, labels=self._labels(label))
        return self._fill(family, label, values)

    def histogram(self, name: str, help_: str, durations: Durations) -> Metric:
        family = HistogramMetricFamily(f"hardiot_edge_{name}", help_, labels=_WHO)
        buckets, total = [], 0
        for bound, count in zip((*BOUNDS_S, "+Inf"), durations.counts, strict=True):
            total += count
            buckets.append((str(bound), total))
        family.add_metric(self._who, buckets, durations.sum_s)
        return family

    def _labels(self, label: str) -> tuple[str, ...]:
        return (*_WHO, label) if label else _WHO

    def _fill(
        self,
        family: GaugeMetricFamily | CounterMetricFamily,
        label: str,
        values: Mapping[str, float],
    ) -> Metric:
        for value_of, value in values.items():
            family.add_metric((*self._who, value_of) if label else self._who, value)
        return family


def _pipeline(status: Status, make: _Families) -> Iterator[Metric]:
    readings = {i.connection.name: i.readings for i in status.inputs}
    yield make.counters("readings", "Readings taken in.", "input", readings)
    yield make.counters("dropped", "Readings dropped on purpose.", "reason", status.dropped)
    yield make.counters("flagged", "Readings kept as not good.", "reason", status.flagged)
    yield make.counters("refused", "Messages refused.", "reason", status.refused)
    yield make.counter("batches", "Batches made.", status.batches)
    yield make.counter("passed_over", "Late ticks that rules did not judge.", status.passed_over)
    yield make.gauges(
        "active_alarms", "Local alarms that fire.", "severity", status.alarms.by_severity
    )
    yield make.gauges(
        "clock_offset_seconds", "How far a clock is ahead.", "source", _largest_offsets(status)
    )
    yield make.gauge("start_time_seconds", "When the process began.", status.started_ms / 1000)
    yield make.gauges("idle_seconds", "Since the thread's last turn.", "thread", status.idle_s)


def _largest_offsets(status: Status) -> dict[str, float]:
    by_size = sorted(status.clock_offset_ms.items(), key=lambda pair: -abs(pair[1]))
    return {source: offset / 1000 for source, offset in by_size[:MAX_SOURCES]}


def _spool(status: Status, make: _Families) -> Iterator[Metric]:
    spool = status.spool
    yield make.gauge("spool_used_bytes", "Bytes on disk.", spool.used_bytes)
    yield make.gauge("spool_max_bytes", "Bytes that the spool may use.", spool.max_bytes)
    if spool.hours_left is not None:
        yield make.gauge("spool_hours_left", "Until the spool is full.", spool.hours_left)
    yield make.gauges("pending_records", "Not acknowledged yet.", "log", spool.pending)
    waiting_ms = 0 if spool.oldest_ms is None else max(status.now_ms - spool.oldest_ms, 0)
    yield make.gauge("oldest_pending_seconds", "Age of the oldest record.", waiting_ms / 1000)
    yield make.counters("lost_batches", "Batches declared lost.", "reason", spool.lost)
    yield make.gauge("damaged_segments", "Segments found damaged.", spool.damaged)
    yield make.gauge("epoch", "The spool's generation.", spool.epoch)
    yield make.histogram("commit_seconds", "A commit to disk.", spool.commits)


def _rules(status: Status, make: _Families) -> Iterator[Metric]:
    rules = status.rules
    if rules.following:
        yield make.gauge("rules_revision", "Of the rulebook that runs.", rules.revision)
        yield make.gauge("rules_offered_revision", "Highest one seen.", rules.offered)
    yield make.counter("rulebooks_refused", "Rulebooks that cannot be used.", rules.refused)
    yield make.counter("rules_failed_batches", "Batches that rules could not judge.", rules.failed)
    yield make.counters("rules_unreadable", "Vain looks.", "reason", rules.unreadable)


def _uplink(status: Status, make: _Families) -> Iterator[Metric]:
    uplink = status.uplink
    yield make.counters("sent", "Records given to Kafka.", "lane", uplink.sent)
    yield make.counters("acknowledged", "Records Kafka has.", "lane", uplink.acknowledged)
    yield make.histogram("live_ack_seconds", "From sent to acknowledged.", uplink.live_ack)
    yield make.gauge("backlog_readings_per_second", "Allowed pace.", uplink.backlog_per_s)


def _connections(status: Status, make: _Families) -> Iterator[Metric]:
    inputs = {i.connection.name: i for i in status.inputs}
    kafka = status.uplink.connection
    yield make.gauge("kafka_connected", "1 when Kafka answers.", kafka.connected)
    connected = {name: float(i.connection.connected) for name, i in inputs.items()}
    yield make.gauges("input_connected", "1 when the input is connected.", "input", connected)
    rebirths = {name: i.rebirths for name, i in inputs.items()}
    yield make.counters("rebirths", "Sparkplug rebirths asked for.", "input", rebirths)
    gaps = {name: i.sequence_gaps for name, i in inputs.items()}
    yield make.counters("sequence_gaps", "Sparkplug messages missing.", "input", gaps)
    peers = [kafka, *(i.connection for i in inputs.values())]
    yield make.gauges(
        "certificate_expiry_timestamp_seconds", "When it ends.", "peer", _certificates(peers)
    )


def _certificates(peers: list[Connection]) -> dict[str, float]:
    ends = {peer.name: peer.certificate_expires_ms for peer in peers}
    return {name: end / 1000 for name, end in ends.items() if end is not None}
