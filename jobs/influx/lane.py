"""A lane: one facility group's way from Kafka to its bucket, by a consumer group of its own.

So a group's bad token or full disk holds up nobody else, and what it holds up stays in Kafka:
memory is a few batches, whatever happens. An offset is committed when InfluxDB has acknowledged all
before it.

While InfluxDB does not take more, partitions are paused and the consumer goes on to poll: so Kafka
does not take it for dead. When partitions are taken away, all that is on its way is forgotten, and
what is still ours is read again from the last acknowledged offset: nobody may write a provisional
minute after somebody else has written the final one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event, Thread

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from jobs.common.errors import HardiotError
from jobs.influx.batches import Batch, Batcher, Partition
from jobs.influx.letters import Letters
from jobs.influx.metrics import Metrics
from jobs.influx.points import Found, Points, Refused
from jobs.influx.policy import Policy
from jobs.influx.sender import Sender
from udfs.records import EDGE_ROLLUPS, ROLLUPS, Record

TOPICS = [ROLLUPS, rf"^{EDGE_ROLLUPS}\.[a-z0-9-]+$"]

_POLL_S = 0.05
_ROOM_S = 1.0  # what a pause throws away must be fetched again, so first wait a little
_COMMIT_S = 1.0
_CLOSE_S = 5.0
log = structlog.get_logger()


@dataclass(frozen=True)
class LaneSettings:
    """How a lane works. batch_lines: of a request. linger_s: how long a smaller one waits."""

    group: str
    facilities: str
    batch_lines: int
    linger_s: float


class Lane(Thread):
    """One facility group, until `stop` is set. `error` is what ended it, when something did.

    consumer: properties of the Kafka consumer.
    """

    def __init__(
        self,
        settings: LaneSettings,
        policy: Policy,
        points: Points,
        consumer: Mapping[str, object],
        sender: Sender,
        letters: Letters,
        metrics: Metrics,
        stop: Event,
    ) -> None:
        super().__init__(name=f"lane {settings.group}", daemon=True)
        self.error: BaseException | None = None
        self._group = settings.group
        self._facilities = re.compile(settings.facilities)
        self._linger_s = settings.linger_s
        self._policy, self._points = policy, points
        self._consumer = Consumer({**consumer, "on_commit": self._noted})
        self._sender = sender
        self._letters, self._metrics, self._stop_ = letters, metrics, stop
        self._batcher = Batcher(settings.batch_lines)
        self._mine: dict[str, bool] = {}
        self._assigned: set[Partition] = set()
        self._first: dict[Partition, int] = {}
        self._done: dict[Partition, int] = {}
        self._committed: dict[Partition, int] = {}
        self._under_way: list[Batch] = []
        self._next: Batch | None = None
        self._paused = self._rewind = False
        self._began_s = self._commit_s = 0.0

    def run(self) -> None:
        """Until it is stopped."""
        try:
            self._sender.start()
            self._consumer.subscribe(
                TOPICS, on_assign=self._given, on_revoke=self._taken, on_lost=self._lost
            )
            while not self._stop_.is_set():
                self._turn()
        except BaseException as error:
            self.error = error
            raise
        finally:
            self._close()

    def _turn(self) -> None:
        if self._sender.error is not None:
            raise HardiotError(f"lane {self._group}: {self._sender.error!r}")
        self._settle()
        self._hand_over()
        if self._rewind:
            self._go_back()
        message = self._consumer.poll(_POLL_S)
        if message is not None:
            self._take(message)

    # --- from Kafka -----------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        if (error := message.error()) is not None:
            if error.fatal():
                raise KafkaException(error)
            log.warning("kafka", group=self._group, error=error.str())
            return
        record = _record(message)
        self._first.setdefault((record.topic, record.partition), record.offset)
        if self._batcher.empty:
            self._began_s = time.monotonic()
        appended_ms = message.timestamp()[1]
        found = self._points_of(record, appended_ms) if self._is_mine(record) else None
        if found is None:
            self._batcher.add(record, (), appended_ms)
            return
        self._metrics.held_back(self._group, found.held_back)
        self._batcher.add(record, found.lines, appended_ms, found.erasure)

    def _is_mine(self, record: Record) -> bool:
        """Whether the record's facility, as its topic or key says, is of this group."""
        facility = record.facility or record.key.partition("/")[0]
        if facility not in self._mine:
            group = self._policy.group_of(facility)
            fits = self._facilities.fullmatch(facility) is not None
            self._mine[facility] = fits and group is not None and group.name == self._group
        return self._mine[facility]

    def _points_of(self, record: Record, appended_ms: int) -> Found | None:
        try:
            return self._points.of(record, appended_ms)
        except Refused as error:
            self._letters.send(record, error.reason, str(error), self._stop_)
            self._metrics.dead_lettered(self._group, error.reason)
            return None

    # --- to InfluxDB ----------------------------------------------------------------------------

    def _hand_over(self) -> None:
        """Give the sender what is ready; hold Kafka back while it has no room."""
        late = time.monotonic() - self._began_s > self._linger_s
        if self._next is None:
            self._next = self._batcher.take(all_of_it=late)
        if self._next is None:
            return
        if self._sender.offer(self._next, wait_s=0 if self._paused else _ROOM_S):
            self._under_way.append(self._next)
            self._next = None
            self._began_s = time.monotonic()
            self._flow(pause=False)
        else:
            self._flow(pause=True)

    def _flow(self, pause: bool) -> None:
        partitions = [TopicPartition(*item) for item in self._assigned]
        if pause:  # again and again: partitions that are given meanwhile are not paused
            self._consumer.pause(partitions)
        elif self._paused:
            self._consumer.resume(partitions)
        self._paused = pause

    def _settle(self) -> None:
        """Note what InfluxDB has, commit it once a second, and say how far behind this is."""
        for batch in self._sender.written():
            self._under_way.remove(batch)
            mine = {item: at for item, at in batch.offsets.items() if item in self._assigned}
            self._done |= mine
        if time.monotonic() - self._commit_s > _COMMIT_S:
            self._commit_s = time.monotonic()
            self._commit(asynchronous=True)
            self._metrics.lag(self._group, self._lag_s())

    def _lag_s(self) -> float:
        waiting = [*self._under_way, *([self._next] if self._next else []), *self._batcher]
        oldest = [at for batch in waiting if (at := batch.oldest_ms()) is not None]
        return max(time.time() - min(oldest) / 1000, 0.0) if oldest else 0.0

    def _commit(self, asynchronous: bool) -> None:
        new = {item: at for item, at in self._done.items() if self._committed.get(item) != at}
        if not new:
            return
        offsets = [TopicPartition(*item, at) for item, at in new.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=asynchronous)
            self._committed |= new
        except KafkaException as error:
            self._noted(error.args[0], [])

    def _noted(self, error: KafkaError | None, _: Sequence[TopicPartition]) -> None:
        """What Kafka says of a commit; one that failed is said again with the next."""
        if error is not None:
            log.warning("not_committed", group=self._group, error=error.str())
            self._committed.clear()

    # --- partitions come and go -----------------------------------------------------------------

    def _given(self, _: Consumer, partitions: Iterable[TopicPartition]) -> None:
        self._assigned |= {(item.topic, item.partition) for item in partitions}

    def _taken(self, _: Consumer, partitions: Iterable[TopicPartition]) -> None:
        self._settle()
        self._commit(asynchronous=False)
        self._lost(_, partitions)

    def _lost(self, _: Consumer, partitions: Iterable[TopicPartition]) -> None:
        self._sender.abandon()
        self._settle()
        self._batcher.clear()
        self._under_way, self._next = [], None
        for item in partitions:
            for known in (self._first, self._done, self._committed):
                known.pop((item.topic, item.partition), None)
            self._assigned.discard((item.topic, item.partition))
        self._rewind = bool(self._assigned)

    def _go_back(self) -> None:
        """Read again what was on its way."""
        for item in self._assigned & self._first.keys():
            at = self._done.get(item, self._first[item])
            self._consumer.seek(TopicPartition(*item, at))
        self._flow(pause=False)
        self._rewind = False

    def _close(self) -> None:
        self._sender.close(_CLOSE_S)
        self._settle()
        self._commit(asynchronous=False)
        self._consumer.close()


def _record(message: Message) -> Record:
    key = (message.key() or b"").decode(errors="replace")
    place = (message.topic(), message.partition(), message.offset())
    return Record(key, *place, message.value() or b"")
