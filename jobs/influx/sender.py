"""The thread of a lane that writes: one batch after the other, each until InfluxDB has it.

sender = Sender(group, bucket, letters, metrics)
sender.start()
if sender.offer(batch, wait_s=1.0): ...       # False: it has enough to do
for batch in sender.written(): ...            # in the order in which they were offered
sender.abandon()                              # forget all that is not written
"""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Callable, Iterator
from threading import Event, Thread

import pyarrow as pa
import structlog

from jobs.influx.batches import Batch
from jobs.influx.bucket import Answer, Bucket, Verdict
from jobs.influx.erasure import Erasure
from jobs.influx.letters import Letters
from jobs.influx.lines import body
from jobs.influx.metrics import Metrics
from jobs.influx.points import HeldBack, Reason
from jobs.influx.sift import sift

WAITING = 2
"""Batches that wait for the one that is being written: the next is made meanwhile."""

_FIRST_S, _MOST_S = 0.25, 10.0
_TOLD_EVERY_S = 60.0
log = structlog.get_logger()


class Sender(Thread):
    """Writes the batches of one lane. `error` is what ended it, when something did."""

    def __init__(self, group: str, bucket: Bucket, letters: Letters, metrics: Metrics) -> None:
        super().__init__(name=f"send {group}", daemon=True)
        self.error: BaseException | None = None
        self._group = group
        self._bucket = bucket
        self._letters = letters
        self._metrics = metrics
        self._waiting: queue.Queue[Batch | None] = queue.Queue(WAITING)
        self._written: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        self._halt = Event()
        self._told_s = 0.0

    def offer(self, batch: Batch, wait_s: float) -> bool:
        """Take a batch, waiting at most so long for room. Returns: whether it was taken."""
        try:
            self._waiting.put(batch, timeout=wait_s)
        except queue.Full:
            return False
        return True

    def written(self) -> Iterator[Batch]:
        """Batches that are done since the last call."""
        while not self._written.empty():
            yield self._written.get()

    def abandon(self) -> None:
        """Forget what waits, and wait until no request is under way."""
        self._halt.set()
        self._forget()
        self._waiting.join()
        self._halt.clear()

    def close(self, limit_s: float) -> None:
        """Write what there is if that takes no longer than so, and end."""
        end_s = time.monotonic() + limit_s
        while self._waiting.unfinished_tasks and time.monotonic() < end_s and self.is_alive():
            time.sleep(0.02)
        self._halt.set()
        self._forget()
        self._waiting.put(None)
        self.join()
        self._bucket.close()

    def run(self) -> None:
        """Until it is closed."""
        try:
            while (batch := self._waiting.get()) is not None:
                if self._send(batch):
                    self._written.put(batch)
                self._waiting.task_done()
        except BaseException as error:
            self.error = error
            raise
        finally:
            self._waiting.task_done()

    def _forget(self) -> None:
        while not self._waiting.empty():
            try:
                self._waiting.get_nowait()
            except queue.Empty:
                return
            self._waiting.task_done()

    def _send(self, batch: Batch) -> bool:
        """Write a batch. Returns: False: it was abandoned."""
        if batch.erasure is not None and not self._erase(batch.erasure):
            return False
        if not batch.size:
            return True
        answer = self._until_answered([part.lines for part in batch.parts])
        if answer is None:
            return False
        refused = 0
        if answer.verdict is Verdict.LINES:
            found = sift(batch.parts, answer, lambda lines: self._until_answered([lines]))
            if found is None:
                return False
            for item in found:
                refused += item.lines
                reason = Reason.INFLUX_REFUSED
                if not self._letters.send(item.record, reason, item.detail, self._halt):
                    return False
                self._metrics.dead_lettered(self._group, reason)
        self._metrics.points(self._group, batch.size - refused)
        return True

    def _erase(self, minute: Erasure) -> bool:
        answer = self._until(lambda: self._bucket.erase(minute))
        if answer is not None and answer.verdict is Verdict.LINES:  # then something stays
            log.warning("not_erased", predicate=minute.predicate, said=answer.text)
        return answer is not None

    def _until_answered(self, lines: list[pa.StringArray]) -> Answer | None:
        return self._until(lambda: self._bucket.write([body(some) for some in lines]))

    def _until(self, ask: Callable[[], Answer]) -> Answer | None:
        """Ask until it is done, or the lines are refused. Returns: None: to be abandoned."""
        delay_s = _FIRST_S
        while not self._halt.is_set():
            answer = ask()
            self._metrics.refused(self._group, answer.verdict is Verdict.REFUSED)
            if answer.verdict in (Verdict.WRITTEN, Verdict.LINES):
                if answer.expired:
                    self._metrics.held_back(self._group, {HeldBack.EXPIRED: answer.expired})
                return answer
            self._tell(answer)
            wait_s = max(delay_s * random.uniform(0.5, 1.0), answer.retry_after_s)
            self._halt.wait(wait_s)
            delay_s = min(2 * delay_s, _MOST_S)
        return None

    def _tell(self, answer: Answer) -> None:
        """Each failure in the metrics; in the log the first, and one a minute."""
        self._metrics.retried(self._group, answer.cause)
        if time.monotonic() - self._told_s > _TOLD_EVERY_S:
            self._told_s = time.monotonic()
            log.warning(
                "influxdb_" + answer.verdict,
                group=self._group,
                bucket=self._bucket.name,
                status=answer.status,
                said=answer.text,
                next=_NEXT[answer.verdict],
            )


_NEXT = {
    Verdict.AGAIN: "it is tried for ever, and the readings wait in Kafka",
    Verdict.REFUSED: "look at the group's url, org, bucket and token (docs/influxdb.md)",
}
