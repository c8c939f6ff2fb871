"""Watch one gateway: all rules over its batches, alerts as CloudEvents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from udfs.admission import Catalogues, Refusal
from udfs.alerts import FIRING, RESOLVED, UPDATED, AlertEvent, to_cloudevent
from udfs.batch import Batch
from udfs.catalogue import Catalogue
from udfs.condition_events import to_output
from udfs.coverage import Coverage, Verdict
from udfs.ledger import Word
from udfs.records import ALERTS, Output, Record
from udfs.rules.rulebook import Rule
from udfs.state import BadState, pack, unpack
from udfs.watch.watch import Watch

# header of an alert: when its batch left the gateway, UTC epoch milliseconds
SENT_MS = "batch_sent_ms"
_STATE, _STATE_VERSION = "detect_step", 2
_TALLIES = {FIRING: "raised", UPDATED: "updated", RESOLVED: "resolved"}


class DetectStep:
    """The step of job detect_anomalies. See `udfs.step.Step`.

    Refused records are only noted: rollup_readings reads the same topics and writes them to the
    dead letters, once.

    conditions: whether the condition events of pattern rules are told, too.
    """

    def __init__(
        self,
        facility: str,
        gateway: str,
        rules: Sequence[Rule],
        catalogues: Catalogues,
        conditions: bool = True,
    ) -> None:
        self.facility, self.gateway = facility, gateway
        self.rules, self.catalogues = rules, catalogues
        self.conditions = conditions
        self.coverage = Coverage()
        self.watch: Watch | None = None
        self.version = 0
        self.newest_ms = 0
        self.tally: Counter[str] = Counter()

    @property
    def changed(self) -> bool:
        """Whether the rules are others than those of the snapshot."""
        return self.watch is not None and self.watch.changed

    def on_batch(self, batch: Batch, record: Record, now_ms: int) -> list[Output]:
        """Judge a batch that was not there before."""
        verdict = self.coverage.admit(batch.epoch, batch.sequence, batch.time_ms, now_ms)
        self.coverage.settled.clear()  # minutes are the rollup's business
        if verdict is Verdict.DUPLICATE:
            self.tally["duplicates"] += 1
            return []
        self.newest_ms = max(self.newest_ms, batch.time_ms)
        watch = self._watch_for(batch)
        events = watch.on_batch(batch, now_ms)
        return self._say(watch, events, {SENT_MS: str(batch.sent_ms)})

    def on_word(self, word: Word, now_ms: int) -> list[Output]:
        """A gateway's word changes nothing here."""
        return []

    def on_refusal(self, refusal: Refusal, now_ms: int) -> list[Output]:
        """A refused record changes nothing here."""
        return []

    def on_timer(self, now_ms: int) -> list[Output]:
        """Judge silence."""
        if self.watch is None:
            return []
        return self._say(self.watch, self.watch.on_timer(now_ms))

    def wake_at(self) -> int | None:
        """When silence is to be judged next."""
        return self.watch.wake_at() if self.watch else None

    def event_time_ms(self) -> int:
        """Event time of the newest batch, 0 before the first."""
        return self.newest_ms

    def gauges(self) -> dict[str, int]:
        """None: rollup_readings tells of holes."""
        return {}

    def snapshot(self) -> bytes:
        """The whole state as versioned bytes."""
        fields = {
            **self.coverage.to_fields(),
            "facility": self.facility,
            "gateway": self.gateway,
            "version": self.version,
            "newest_ms": self.newest_ms,
            "watch": self.watch.snapshot() if self.watch else None,
        }
        return pack(_STATE, _STATE_VERSION, fields)

    @classmethod
    def restore(
        cls, data: bytes, rules: Sequence[Rule], catalogues: Catalogues, conditions: bool = True
    ) -> DetectStep:
        """The step that `snapshot` gave. Raises: BadState: other bytes, or no such catalogue."""
        version, fields = unpack(data, _STATE)
        if version > _STATE_VERSION:
            raise BadState(f"state version {version}; this job knows up to {_STATE_VERSION}")
        step = cls(fields["facility"], fields["gateway"], rules, catalogues, conditions)
        step.coverage = Coverage.from_fields(fields)
        step.version, step.newest_ms = fields["version"], fields["newest_ms"]
        if fields["watch"] is not None:
            step.watch = Watch.restore(rules, step._catalogue(), fields["watch"])
        return step

    def adopt(self, rules: Sequence[Rule]) -> None:
        """Go by these rules from now on. See `udfs.step.RuledStep`."""
        if self.watch is not None:  # first, so that rules which cannot be bound change nothing
            self.watch = Watch.restore(rules, self._catalogue(), self.watch.snapshot())
        self.rules = rules

    def _catalogue(self) -> Catalogue:
        catalogue = self.catalogues.find(self.facility, self.gateway, self.version)
        if catalogue is None:
            raise BadState(
                f"catalogue {self.version} of {self.facility}/{self.gateway} is gone from "
                "topic catalogue; publish it again, state cannot be read without it"
            )
        return catalogue

    def _watch_for(self, batch: Batch) -> Watch:
        """The watch, grown to the batch's catalogue when that is a newer one."""
        if self.watch is None or batch.catalogue > self.version:
            catalogue = self.catalogues.find(self.facility, self.gateway, batch.catalogue)
            if catalogue is None:
                raise BadState(f"no catalogue {batch.catalogue} of {self.facility}/{self.gateway}")
            state = self.watch.snapshot() if self.watch else None
            self.watch = (
                Watch.restore(self.rules, catalogue, state)
                if state
                else Watch(self.rules, catalogue)
            )
            self.version = batch.catalogue
        return self.watch

    def _say(
        self, watch: Watch, events: Sequence[AlertEvent], more: Mapping[str, str] | None = None
    ) -> list[Output]:
        if watch.given_up:
            self.tally["patterns_overflow"] += watch.given_up
            watch.given_up = 0
        outputs = []
        for event in events:
            self.tally[_TALLIES[event.status]] += 1
            key, value, headers = to_cloudevent(event)
            outputs.append(Output(ALERTS, key, value, {**headers, **(more or {})}))
        if self.conditions:
            outputs += map(to_output, watch.condition_events)
        return outputs
