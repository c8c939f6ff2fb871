"""A gateway as it runs: its parts, and one thread for each border.

    gateway = Gateway(settings)
    code = gateway.run(stop)          # until `stop` is set (0), or the disk fails (70)

The pipeline runs in the calling thread; inputs, uplink and page have their own. Nobody waits for
Kafka; inputs wait for the pipeline, and the pipeline for the disk.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event, Thread

import structlog

from edge import notify
from edge.assemble import Assembly, assemble
from edge.inputs.result import Inbox, Result
from edge.inputs.source import Source
from edge.observe import Observer
from edge.rules import RuleSet
from edge.settings import GatewaySettings
from edge.spool.spool import SpoolFailed
from edge.web.server import Web

log = structlog.get_logger()

STOPPED, CRASHED, SPOOL_FAILED = 0, 1, 70

_INBOX = 2048  # results; past it inputs wait, and so do their brokers
_AT_ONCE = 256  # results between two looks at the clock
_NAP_S = 0.01
_JOIN_S = 5.0


def wall_ms() -> int:
    """UTC epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Gateway:
    """One gateway. more_sources: makes further inputs, for the simulator and for tests."""

    def __init__(
        self,
        settings: GatewaySettings,
        more_sources: Callable[[Inbox, Assembly], Sequence[Source]] = lambda inbox, parts: (),
    ) -> None:
        """Raises: EdgeError: what the settings name is wrong or cannot be had; all of it."""
        self._inbox: queue.Queue[Result] = queue.Queue(_INBOX)
        self._ending = Event()
        self._crash = ""
        self.parts = assemble(settings, self._offer, wall_ms)
        self.parts.sources += more_sources(self._offer, self.parts)
        self.observer = Observer(settings, self.parts, wall_ms)
        self._web = Web(settings.http, self.observer.status)
        self._uplink = Thread(target=self._run_uplink, name="uplink", daemon=True)
        self._rules = Thread(target=self._run_rules, name="rules", daemon=True)
        self._taken: RuleSet | None = None  # the last one that was taken

    @property
    def port(self) -> int:
        """Of the local page."""
        return self._web.port

    def run(self, stop: Event) -> int:
        """Run until told to stop. Returns: the exit code."""
        try:
            self._web.start()
            self._recover()
            self._uplink.start()
            if self.parts.follower is not None:
                self._rules.start()
            for source in self.parts.sources:
                source.start()
            self._turn(stop)
            return CRASHED if self._crash else STOPPED
        except SpoolFailed as error:
            self.observer.failed = str(error)
            log.error("spool_failed", error=str(error))
            return SPOOL_FAILED
        finally:
            self._shut_down()

    def _offer(self, result: Result) -> None:
        """The inbox: waits while it is full, but not for a pipeline that is gone."""
        while not self._ending.is_set():
            with suppress(queue.Full):
                self._inbox.put(result, timeout=0.2)
                return

    def _recover(self) -> None:
        """Bring everything to where the spool ends."""
        parts = self.parts
        recent = parts.core.restore(wall_ms())
        parts.publish(parts.board.begin(parts.prescreen.firing, recent))
        self.observer.recovered = True
        recovery = parts.spool.recovery
        log.info(
            "started",
            page=self._web.address,
            epoch=parts.spool.epoch,
            next_sequence=parts.spool.next_sequence,
            replayed=parts.core.counts["replayed"],
            torn_bytes=recovery.torn_bytes,
            damaged_records=recovery.damaged_records,
            damaged_files=recovery.damaged_files,
            recovery_s=round(recovery.seconds, 3),
        )
        notify.say(notify.READY)

    def _turn(self, stop: Event) -> None:
        """The pipeline: take in what came, do what is due, again and again."""
        watched_s, said_s = notify.watchdog_s(), 0.0
        while not stop.is_set() and not self._crash:
            idle = self._take_some()
            self._adopt_rules()
            told = self.parts.core.step(wall_ms(), idle)
            if told.committed:
                self.parts.uplink.wake()
            self.parts.publish(self.parts.board.take(told.events))
            now_s = time.monotonic()
            self.observer.turned(now_s)
            if watched_s and now_s - said_s >= watched_s and self.observer.alive():
                notify.say(notify.ALIVE)
                said_s = now_s

    def _take_some(self) -> bool:
        """Returns: whether the inbox is empty now."""
        core = self.parts.core
        for _ in range(_AT_ONCE):
            try:
                result = self._inbox.get(timeout=_NAP_S)
            except queue.Empty:
                return True
            core.take(result, wall_ms())
            if self._inbox.empty():
                return True
        return False

    def _adopt_rules(self) -> None:
        """The newest rules from the topic, once."""
        follower = self.parts.follower
        if follower is not None and follower.offer is not self._taken:
            self._taken = follower.offer
            if self._taken is not None:
                self.parts.core.adopt(self._taken, wall_ms())

    def _run_rules(self) -> None:
        assert self.parts.follower is not None
        try:
            self.parts.follower.run(self._ending)
        except Exception:
            # readings and the rules that are here go on; the page tells that nobody follows
            log.exception("rules_follower_crashed")
            self.parts.books.refuse("the gateway does not follow any more; start it again")

    def _run_uplink(self) -> None:
        try:
            self.parts.uplink.run(self._ending)
        except SpoolFailed:
            pass  # the pipeline meets it, too
        except Exception:
            # a gateway that only fills its disk must not look alive: its supervisor starts it again
            log.exception("uplink_crashed")
            self._crash = "uplink"

    def _shut_down(self) -> None:
        """End in the order of the flow, so that what is complete is on disk."""
        notify.say(notify.STOPPING)
        self._ending.set()
        for source in self.parts.sources:
            source.stop()
        if not self.observer.failed:
            self._finish()
        for thread in (self._uplink, self._rules):
            if thread.ident is not None:
                thread.join(_JOIN_S)
        self._web.stop()
        self.parts.spool.close()

    def _finish(self) -> None:
        """Commit what is closed; open ticks are not acknowledged, so they come again."""
        try:
            self.parts.core.step(wall_ms())
            self.parts.core.save_checkpoint(wall_ms())
        except SpoolFailed as error:
            log.error("spool_failed", error=str(error))
