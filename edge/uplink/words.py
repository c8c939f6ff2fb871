"""What is said to the ledger, and when: every so often, and whenever the backlog begins or ends.

A word is said again until Kafka has it, and the next one waits for that: so none is ever missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edge.spool.losses import Lost
from edge.spool.record import Log, Stored
from edge.uplink.backoff import BackOff
from edge.uplink.counts import Counts
from edge.uplink.parcels import Packer, Parcel
from edge.uplink.transport import Answer, Delivery, Fault
from edge.uplink.view import SpeakerView, SpoolView
from udfs.ledger import Word

_CHANGE_MS = 1_000  # a single late batch is a backlog, too; it need not make a flood of words
_NAME = "ledger"
_KEPT_EPOCHS = 64


class Words:
    """The gateway's side of the ledger: when to speak, of which epochs, and how far each went."""

    def __init__(self, spool: SpoolView, speaker: SpeakerView, every_ms: int) -> None:
        self._spool, self._speaker, self._every_ms = spool, speaker, every_ms
        self._newest: dict[int, Stored] = {}  # by epoch: the highest number that was seen
        self._told_losses: list[Lost] = []
        self._said_ms: int | None = None
        self._draining = False

    def seen(self, stored: Stored) -> None:
        """A batch is on its way, or was found to be backlog: the newest number is known."""
        newest = self._newest.get(stored.epoch)
        if newest is None or stored.sequence > newest.sequence:
            self._newest[stored.epoch] = stored
            if len(self._newest) > _KEPT_EPOCHS:
                del self._newest[min(self._newest)]

    def acknowledged(self, stored: Stored) -> None:
        """Kafka has this batch."""
        self._speaker.acknowledged(
            stored.epoch, stored.sequence, stored.readings, stored.fingerprint
        )

    def due(self, now_ms: int, draining: bool) -> bool:
        """Whether it is time for a word. draining: whether there is a backlog."""
        if self._said_ms is None:
            return True
        wait_ms = self._every_ms if draining == self._draining else _CHANGE_MS
        return not 0 <= now_ms - self._said_ms < min(wait_ms, self._every_ms)

    def say(self, now_ms: int, backlog: int) -> list[Word]:
        """A word on the present epoch, and on each earlier one of which there is news.

        Args: backlog: how many of its batches wait.
        """
        # what is told must not be sent and told again after a kill, in a range of another shape
        self._spool.save_pointer()
        present = self._spool.epoch
        epochs = {present, *self._speaker.epochs(), *self._epochs_with_new_losses()}
        found = [self._word(epoch, backlog, now_ms) for epoch in sorted(epochs)]
        words = [word for word in found if word is not None]
        if words:
            self._said_ms, self._draining = now_ms, backlog > 0
        return words

    def _epochs_with_new_losses(self) -> set[int]:
        losses = [loss for loss in self._spool.lost if loss.log is Log.RAW]
        new = set(losses) - set(self._told_losses)
        self._told_losses = losses
        return {loss.epoch for loss in new}

    def _word(self, epoch: int, backlog: int, now_ms: int) -> Word | None:
        through = self._through(epoch)
        if through is None:
            return None
        losses = [loss for loss in self._told_losses if loss.epoch == epoch]
        lost_readings = sum(loss.readings or 0 for loss in losses if loss.last <= through[0])
        return self._speaker.word(
            epoch,
            sent_through=through[0],
            readings=through[1] - lost_readings,
            lost=tuple((loss.first, loss.last) for loss in losses if loss.first <= loss.last),
            ended=tuple(self._spool.ended),
            pending=backlog,
            acknowledged_through=self._acknowledged_through(epoch, through[0]),
            now_ms=now_ms,
        )

    def _through(self, epoch: int) -> tuple[int, int] | None:
        """The newest number of an epoch and the readings through it; None while nobody knows."""
        if epoch == self._spool.epoch:
            return self._through_now()
        last = dict(self._spool.ended).get(epoch)
        if last is not None:
            return last, self._spool.totals(epoch).readings
        newest = self._newest.get(epoch)
        return None if newest is None else (newest.sequence, newest.total_readings)

    def _through_now(self) -> tuple[int, int] | None:
        epoch = self._spool.epoch
        if epoch not in self._newest:
            if self._spool.pending(Log.RAW):
                return None  # it is told of when it is sent
            index = self._spool.committed(Log.RAW)
            for stored in self._spool.read(Log.RAW, index, index, 1) if index >= 0 else ():
                self.seen(replace(stored, body=b""))
        newest = self._newest.get(epoch)
        return (-1, 0) if newest is None else (newest.sequence, newest.total_readings)

    def _acknowledged_through(self, epoch: int, through: int) -> int:
        """Up to here nothing waits. Within an epoch, index and number go up together."""
        pending = self._spool.pending(Log.RAW)
        if not pending:
            return through
        newest = self._newest.get(epoch)
        if newest is None:
            return -1
        before = pending[0][0] - 1 - (newest.index - newest.sequence)
        return max(-1, min(before, through))


class Outbox:
    """Words on their way: one at a time, and each until Kafka has it."""

    def __init__(
        self,
        words: Words,
        packer: Packer,
        post: Callable[[Parcel, Answer], bool],
        back_off: BackOff,
        counts: Counts,
    ) -> None:
        self._words, self._packer, self._post = words, packer, post
        self._back_off, self._counts = back_off, counts
        self._waiting: list[Word] = []
        self._flying = False

    def step(self, now_ms: int, backlog: Callable[[], int]) -> None:
        """Send the word that is due. backlog: tells how many of its batches wait."""
        if self._flying or now_ms < self._back_off.until(_NAME):
            return
        if not self._waiting:
            waits = backlog()
            if self._words.due(now_ms, waits > 0):
                self._waiting = self._words.say(now_ms, waits)
        if self._waiting:
            self._flying = self._post(self._packer.word(self._waiting[0]), self._answered)

    def _answered(self, delivery: Delivery, now_ms: int) -> None:
        self._flying = False
        if delivery.fault is None:
            self._back_off.taken(_NAME)
            self._counts.words += 1
            del self._waiting[0]
        elif delivery.fault is not Fault.UNANSWERED:
            self._counts.refused[str(delivery.fault)] += 1
            self._back_off.refused(_NAME, delivery, now_ms)
