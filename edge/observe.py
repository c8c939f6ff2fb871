"""The status of a gateway, gathered from its parts whenever somebody looks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

from edge.assemble import Assembly
from edge.inputs.source import Since
from edge.settings import GatewaySettings
from edge.spool.losses import Why
from edge.spool.record import Log
from edge.status import Connection, RulesStatus, SpoolStatus, Status, UplinkStatus
from edge.web.health import MAX_IDLE_S

_FLAGGED = "flagged_"
_REFUSED = "refused_"


class Observer:
    """Gathers. The page's threads call `status`, several at a time; the others tell of themselves.

    recovered: what the spool held at start is taken in. failed: why the disk was given up.
    """

    def __init__(
        self, settings: GatewaySettings, parts: Assembly, now_ms: Callable[[], int]
    ) -> None:
        self._settings, self._parts, self._now_ms = settings, parts, now_ms
        self._started_ms = now_ms()
        self._kafka = Since()
        self._turned_s = time.monotonic()
        self.recovered = False
        self.failed = ""

    def turned(self, now_s: float) -> None:
        """The pipeline did a turn; by the monotonic clock."""
        self._turned_s = now_s

    def alive(self) -> bool:
        """Whether all threads move."""
        return max(self._idle_s().values()) < MAX_IDLE_S and not self.failed

    def status(self) -> Status:
        """What the gateway does now."""
        parts, now_ms = self._parts, self._now_ms()
        counts = _split(parts.filters.counts, _FLAGGED)
        return Status(
            facility=self._settings.facility,
            gateway=self._settings.gateway,
            now_ms=now_ms,
            started_ms=self._started_ms,
            spool=self._spool(now_ms),
            uplink=self._uplink(now_ms),
            inputs=tuple(source.status(now_ms) for source in parts.sources),
            rules=self._rules(),
            recovered=self.recovered,
            idle_s=self._idle_s(),
            batches=parts.core.batches,
            dropped=counts[1],
            flagged=counts[0],
            refused=_split(parts.core.counts, _REFUSED)[0],
            passed_over=parts.prescreen.passed_over,
            clock_offset_ms=dict(parts.filters.clock_offsets),
            alarms=parts.board.view(),
        )

    def _idle_s(self) -> Mapping[str, float]:
        uplink_ms = self._parts.uplink.turned_ms
        uplink_s = max(self._now_ms() - uplink_ms, 0) / 1000 if uplink_ms else 0.0
        return {"pipeline": time.monotonic() - self._turned_s, "uplink": uplink_s}

    def _spool(self, now_ms: int) -> SpoolStatus:
        spool = self._parts.spool
        pending = {log: spool.pending(log) for log in Log}
        lost: Counter[str] = Counter(dict.fromkeys(Why, 0))
        for item in spool.lost:
            lost[item.reason] += item.last - item.first + 1
        return SpoolStatus(
            used_bytes=spool.used_bytes,
            max_bytes=spool.max_bytes,
            hours_left=spool.hours_left(now_ms),
            stored=spool.totals(spool.epoch).readings,
            pending={log: sum(b - a + 1 for a, b in ranges) for log, ranges in pending.items()},
            oldest_ms=self._oldest_ms(pending[Log.RAW]),
            epoch=spool.epoch,
            damaged=spool.recovery.damaged_files,
            lost=dict(lost),
            commits=self._parts.core.commits.durations(),
            unkept=spool.unkept_readings,
            failed=self.failed,
        )

    def _oldest_ms(self, pending: tuple[tuple[int, int], ...]) -> int | None:
        """Event time of the oldest batch that waits; batches follow each other by the tick."""
        if not pending:
            return None
        behind = self._parts.spool.committed(Log.RAW) - pending[0][0]
        return self._parts.core.newest_ms - behind * self._settings.ticks.tick_ms

    def _rules(self) -> RulesStatus:
        parts = self._parts
        books, follower, revision = parts.books, parts.follower, parts.prescreen.revision
        found = books.of(revision) or books.newest
        return RulesStatus(
            revision=revision,
            count=len(found.rules),
            author=found.author,
            reason=found.reason,
            pushed_ms=found.created_ms,
            following=follower is not None,
            offered=books.offered,
            refused=books.refused,
            why=books.why,
            failed=parts.core.counts["rules_failed"],
            trouble=follower.trouble if follower else "",
            unreadable=dict(follower.troubles) if follower else {},
        )

    def _uplink(self, now_ms: int) -> UplinkStatus:
        uplink, transport = self._parts.uplink, self._parts.transport
        connected = transport.connected
        return UplinkStatus(
            Connection(
                "kafka",
                connected,
                self._kafka.of(connected, now_ms),
                transport.trouble,
                transport.certificate_expires_ms(),
            ),
            sent={str(lane): count for lane, count in uplink.counts.sent.items()},
            acknowledged={str(lane): n for lane, n in uplink.counts.acknowledged.items()},
            live_ack=uplink.counts.live_ack.durations(),
            backlog_per_s=uplink.pace,
        )


def _split(counts: Mapping[str, int], prefix: str) -> tuple[dict[str, int], dict[str, int]]:
    """The counts under a prefix, without it, and the others."""
    found = dict(counts)  # the pipeline may add one meanwhile
    under = {n.removeprefix(prefix): v for n, v in found.items() if n.startswith(prefix)}
    return under, {n: v for n, v in found.items() if not n.startswith(prefix)}
