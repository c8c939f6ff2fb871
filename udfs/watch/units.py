"""Rules bound to one gateway's catalogue: a unit for each condition, over what it watches here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from udfs.catalogue import Catalogue
from udfs.conditions.base import Condition
from udfs.conditions.gaps import GAP_PERIODS, longest_pause_ms
from udfs.conditions.latch import Ints, Slots
from udfs.rules.base import Periods, ms
from udfs.rules.conditions import ConditionModel, NoDataModel
from udfs.rules.model import Rule
from udfs.rules.pattern import EventModel
from udfs.rules.schedule import ScheduleModel
from udfs.rules.selector import Selector
from udfs.rules.signal import SignalModel
from udfs.watch.signals import Signal, bind


@dataclass(frozen=True, eq=False)
class Unit:
    """A condition of a rule at this gateway.

    number: its place among all units; alerts come in this order. rule: place of its rule in the
    rule set. key: what its state belongs to. event: its name in a pattern, "" for the condition of
    a rule without one. slots: what it watches: sensors, or assets of its signal. begins: whether
    the event is its begin, rather than its end. Events that say the same of the same have one
    condition object: it is tested once.
    """

    number: int
    rule: int
    key: str
    event: str
    condition: Condition
    slots: Slots
    signal: Signal | None = None
    when: ScheduleModel | None = None
    begins: bool = True


class Binder:
    """Binds rules to a catalogue; what several rules share is made once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._gap_ms: Ints = longest_pause_ms(catalogue.period_ms)
        self._slots: dict[Selector, Slots] = {}
        self._signals: dict[tuple[str, bytes], Signal | None] = {}
        self._conditions: dict[tuple[object, ...], Condition] = {}

    def units(self, rules: Sequence[Rule]) -> list[Unit]:
        """What these rules watch here; those that match nothing are left out."""
        found = (unit for place, rule in enumerate(rules) for unit in self._of(place, rule))
        return [replace(unit, number=number) for number, unit in enumerate(found)]

    def slots(self, selector: Selector) -> Slots:
        """Slots of the sensors that match, ascending."""
        found = self._slots.get(selector)
        if found is None:
            found = self._slots[selector] = selector.slots(self._catalogue)
        return found

    def _of(self, place: int, rule: Rule) -> Iterable[Unit]:
        if rule.condition is not None:
            if not _of_gateway_only(rule.condition):
                slots = self.slots(rule.sensors)
                yield from self._unit(place, rule, rule.condition, rule.signal, slots)
            return
        chosen = self.slots(rule.sensors)
        for name, event in (rule.events or {}).items() if len(chosen) else ():
            slots = np.intersect1d(chosen, self.slots(event.sensors), assume_unique=True)
            yield from self._unit(place, rule, event.condition, event.signal, slots, name, event)

    def _unit(
        self,
        place: int,
        rule: Rule,
        model: ConditionModel,
        about: SignalModel | None,
        slots: Slots,
        name: str = "",
        event: EventModel | None = None,
    ) -> Iterable[Unit]:
        if not len(slots):
            return
        signal, period_ms = None, self._catalogue.period_ms
        if about is not None:
            signal = self._signal(about, slots)
            if signal is None:
                return
            slots, period_ms = np.arange(len(signal.assets)), signal.period_ms
        yield Unit(
            number=0,
            rule=place,
            key=f"{rule.key}/{name}" if name else rule.key,
            event=name,
            condition=self._condition(model, slots, period_ms, signal, rule.when, bool(name)),
            slots=slots,
            signal=signal,
            when=rule.when,
            begins=event is None or event.on == "begin",
        )

    def _condition(
        self,
        model: ConditionModel,
        slots: Slots,
        period_ms: Periods,
        signal: Signal | None,
        when: ScheduleModel | None,
        shared: bool,
    ) -> Condition:
        if not shared:
            return model.one.build(period_ms[slots])
        key = (repr(model), slots.tobytes(), signal, when)
        if key not in self._conditions:
            self._conditions[key] = model.one.build(period_ms[slots])
        return self._conditions[key]

    def _signal(self, model: SignalModel, slots: Slots) -> Signal | None:
        key = (repr(model), slots.tobytes())
        if key not in self._signals:
            self._signals[key] = bind(model, slots, self._catalogue, self._gap_ms)[0]
        return self._signals[key]


def _of_gateway_only(model: ConditionModel) -> bool:
    one = model.one
    return isinstance(one, NoDataModel) and one.of == "gateway"


def silence_limits(rules: Sequence[Rule], binder: Binder, catalogue: Catalogue) -> dict[str, int]:
    """After how many ms of the gateway's silence each rule fires, by the rule's key.

    Never less than a few sampling periods of the fastest sensor: a gateway of slow sensors only is
    not silent between two of its batches.
    """
    limits = {}
    fastest_ms = int(catalogue.period_ms.min(initial=2**31 - 1)) * GAP_PERIODS
    for rule in rules:
        model = rule.condition.one if rule.condition else None
        if not isinstance(model, NoDataModel) or model.of == "sensor":
            continue
        if len(binder.slots(rule.sensors)):
            limits[rule.key] = max(ms(model.for_s), fastest_ms)
    return limits
