"""A signal of one gateway: values computed from several sensors of each asset.

    signal, problems = bind(model, slots, catalogue, longest_pause_ms(catalogue.period_ms))
    state = signal.start()
    rounds = signal.rounds(state, split(batch, keep, sensors))  # their slots: places in `assets`

A value is computed when an input has a new reading and no other input is older than its gap limit;
its time is that of the newest input. The newest reading of each input is held, in the order of
arrival: after a step back of the clock it is the one of the clock of now.

The usual batch (all sensors, one time) is one round, and a handful of array operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from udfs.batch import Bools, Floats
from udfs.catalogue import Catalogue
from udfs.conditions.latch import NEVER, Ints, Slots, State
from udfs.rules.arithmetic import Node, evaluate
from udfs.rules.signal import SignalModel
from udfs.watch.readings import Round

_MOST_PROBLEMS = 10

Key = tuple[Node, str, bytes]


@dataclass(frozen=True, eq=False)
class Signal:
    """One value an asset, for m assets with one sensor for each of k inputs.

    key: equal for signals that give the same values. assets: in the order of their first slots.
    period_ms: int32, shape (m,), of the slowest input. slots: of the catalogue, shape (k, m).
    limit_ms: the longest pause of each input that is no gap, shape (k, m). sensors: of the gateway.
    """

    key: Key
    assets: tuple[str, ...]
    unit: str
    period_ms: npt.NDArray[np.int32]
    slots: Slots
    limit_ms: Ints
    tree: Node
    sensors: int

    def start(self) -> State:
        """No readings yet; the newest of each input, 16 bytes an input and asset."""
        shape = self.slots.shape
        return {"value": np.full(shape, np.nan), "time": np.full(shape, NEVER, np.int64)}

    def rounds(self, state: State, rounds: Sequence[Round]) -> list[Round]:
        """The values that come of these readings, in as many rounds at most; NaN is no value."""
        made = [self._take(state, turn) for turn in rounds]
        return [turn for turn in made if turn is not None]

    def _take(self, state: State, turn: Round) -> Round | None:
        if turn.slot is not None:
            return self._take_some(state, turn)
        values = turn.value[self.slots]
        state["value"][...] = values
        if isinstance(turn.time, int):
            state["time"].fill(turn.time)
            return self._computed(None, values, turn.time)
        state["time"][...] = turn.time[self.slots]
        return self._compute(state, np.ones(len(self.assets), np.bool_), turn)

    def _take_some(self, state: State, turn: Round) -> Round | None:
        at = turn.places(self.sensors)[self.slots]
        new = at >= 0
        touched = new.any(axis=0)
        if not touched.any():
            return None
        np.copyto(state["value"], turn.value[at], where=new)
        time = turn.time if isinstance(turn.time, int) else turn.time[at]
        np.copyto(state["time"], time, where=new)
        return self._compute(state, touched, turn)

    def _compute(self, state: State, touched: Bools, turn: Round) -> Round | None:
        """The values of touched assets whose inputs are all fresh."""
        newest = state["time"].max(axis=0)
        fresh = (newest - state["time"] <= self.limit_ms).all(axis=0)
        ready = np.flatnonzero(touched & fresh)
        if not len(ready):
            return None
        times: Ints = newest[ready]
        same = isinstance(turn.time, int) and bool(np.all(times == turn.time))
        whole = len(ready) == len(self.assets)
        inputs = state["value"][:, ready]
        return self._computed(None if whole else ready, inputs, turn.time if same else times)

    def _computed(self, slot: Slots | None, inputs: Floats, time: int | Ints) -> Round | None:
        known = np.isfinite(inputs)
        if not known.all():
            inputs = np.where(known, inputs, np.nan)
        value = evaluate(self.tree, inputs)
        good = np.isfinite(value)
        if good.all():
            return Round(slot, value, time)
        kept = np.flatnonzero(good)
        if not len(kept):
            return None
        when = time if isinstance(time, int) else time[kept]
        return Round(kept if slot is None else slot[kept], value[kept], when)


def bind(
    model: SignalModel, slots: Slots, catalogue: Catalogue, gap_ms: Ints
) -> tuple[Signal | None, list[str]]:
    """The signal over the assets of a gateway that have one sensor for every name.

    Args: slots: the sensors that may be inputs. gap_ms: the longest pause of each sensor that is no
        gap, shape (sensors,).
    Returns: None where no asset has all inputs; and a line for each asset that is left out because
        a name fits several of its sensors.
    """
    allowed = np.zeros(len(catalogue), np.bool_)
    allowed[slots] = True
    found = [_by_asset(model, name, allowed, catalogue) for name in model.formula.names]
    complete = [asset for asset in found[0] if all(asset in of for of in found)]
    doubtful = {asset for asset in complete if any(len(of[asset]) > 1 for of in found)}
    problems = _problems([a for a in complete if a in doubtful], model, found, catalogue)
    columns = {a: [of[a][0] for of in found] for a in complete if a not in doubtful}
    if not columns:
        return None, problems
    assets = sorted(columns, key=lambda asset: min(columns[asset]))
    return _signal(model, assets, [columns[asset] for asset in assets], catalogue, gap_ms), problems


def _by_asset(
    model: SignalModel, name: str, allowed: Bools, catalogue: Catalogue
) -> dict[str, list[int]]:
    """Slots of the sensors for a name, by asset; a sensor without an asset has no others."""
    chosen = model.of[name].slots(catalogue)
    found: dict[str, list[int]] = {}
    for slot in chosen[allowed[chosen]].tolist():
        if catalogue.asset[slot]:
            found.setdefault(catalogue.asset[slot], []).append(slot)
    return found


def _problems(
    assets: Sequence[str],
    model: SignalModel,
    found: Sequence[dict[str, list[int]]],
    catalogue: Catalogue,
) -> list[str]:
    lines = []
    for asset in assets[:_MOST_PROBLEMS]:
        name, slots = next(
            (name, of[asset])
            for name, of in zip(model.formula.names, found, strict=True)
            if len(of[asset]) > 1
        )
        sensors = ", ".join(catalogue.name[slot] for slot in slots)
        lines.append(f'asset "{asset}" is left out: "{name}" fits {len(slots)} sensors ({sensors})')
    more = len(assets) - len(lines)
    return lines + [f"{more} more assets are left out for the like"] * (more > 0)


def _signal(
    model: SignalModel,
    assets: Sequence[str],
    columns: Sequence[Sequence[int]],
    catalogue: Catalogue,
    gap_ms: Ints,
) -> Signal:
    slots: Slots = np.ascontiguousarray(np.array(columns, np.intp).T)
    tree = model.formula.tree
    return Signal(
        key=(tree, model.unit, slots.tobytes()),
        assets=tuple(assets),
        unit=model.unit,
        period_ms=catalogue.period_ms[slots].max(axis=0),
        slots=slots,
        limit_ms=gap_ms[slots],
        tree=tree,
        sensors=len(catalogue),
    )
