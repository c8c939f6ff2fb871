"""Scripted faults: what goes wrong, at which sensors, when and by how much.

Fault(kind="step", sensors="pump-001.bearing-*", from_s=20, for_s=30, size=25)
Fault.parse("step:sensors=pump-001.bearing-*,from_s=20,for_s=30,size=25")
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveFloat, ValidationError, model_validator

from edge.documents import Model, explain
from edge.errors import EdgeError
from edge.simulator.signals import Bools, Draft, Floats, Signal
from udfs.catalogue import Catalogue

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Fault(Model):
    """One fault. Globs choose facility, gateway and sensors; times count from the first tick."""

    kind: Literal["spike", "step", "ramp", "stuck", "dropout", "noise"] = Field(
        description="spike: one tick. step: at once, for the time. ramp: evenly up to `size` at "
        "the end. stuck: one value. dropout: no readings. noise: `size` times the usual noise."
    )
    facility: str = Field(default="*", description="Glob of facility names.")
    gateway: str = Field(default="*", description="Glob of gateway names.")
    sensors: str = Field(default="*", description="Glob of sensor names, as pump-00?.vibration-*.")
    sensor_kind: str = Field(default="*", description="Glob of sensor kinds, as vibration.")
    from_s: Seconds = Field(
        default=0, description="Begin, in seconds of event time after the first tick."
    )
    for_s: PositiveFloat | None = Field(
        default=None, description="Duration; none means to the end."
    )
    size: float | None = Field(
        default=None, allow_inf_nan=False, description="In the sensor's unit; for noise, a factor."
    )

    @staticmethod
    def parse(text: str) -> Fault:
        """A fault from one line, KIND:name=value,... Raises: EdgeError."""
        kind, _, rest = text.partition(":")
        pairs = dict(part.partition("=")[::2] for part in rest.split(",") if part)
        try:
            return Fault.model_validate({"kind": kind} | pairs)
        except ValidationError as error:
            raise EdgeError(f'fault "{text}": {explain(error)}') from None

    @model_validator(mode="after")
    def _complete(self) -> Fault:
        if (self.size is None) != (self.kind in ("stuck", "dropout")):
            raise ValueError(f"a {self.kind} {'needs a' if self.size is None else 'has no'} size")
        if self.kind == "ramp" and self.for_s is None:
            raise ValueError("a ramp needs for_s, the time after which it has its size")
        if self.kind == "spike" and self.for_s is not None:
            raise ValueError("a spike lasts one tick and has no for_s; use step for longer")
        return self

    def slots(self, catalogue: Catalogue) -> Bools:
        """Which slots of the gateway it concerns, shape (sensors,)."""
        here = fnmatchcase(catalogue.facility, self.facility)
        if not (here and fnmatchcase(catalogue.gateway, self.gateway)):
            return np.zeros(len(catalogue), np.bool_)
        return _matches(catalogue.name, catalogue.kind, self.sensors, self.sensor_kind)


@lru_cache(maxsize=64)
def _matches(names: tuple[str, ...], kinds: tuple[str, ...], name: str, kind: str) -> Bools:
    """Which sensors both globs match; facilities share their texts, so most calls are repeats."""
    pairs = zip(names, kinds, strict=True)
    return np.array([fnmatchcase(n, name) and fnmatchcase(k, kind) for n, k in pairs], np.bool_)


@dataclass(frozen=True, slots=True)
class PlacedFault:
    """A fault at the sensors of one gateway.

    chosen: shape (sensors,). held: for a stuck signal, the value of every sensor, in steps.
    """

    fault: Fault
    chosen: Bools
    begin_ms: float
    end_ms: float
    held: Floats | None = None

    def apply(self, draft: Draft) -> None:
        """Change the readings of a tick, if it lies inside the fault's time."""
        if not self.begin_ms <= draft.elapsed_ms < self.end_ms:
            return
        at = np.flatnonzero(self.chosen[draft.slots])
        if self.fault.kind == "dropout":
            draft.drop(at)
        elif self.held is not None:
            draft.value[at] = self.held[draft.slots[at]]
        else:
            draft.value[at] += self._change(draft, at)

    def _change(self, draft: Draft, at: npt.NDArray[np.intp]) -> Floats:
        """What the fault adds, in steps, shape (len(at),)."""
        size, unit = self.fault.size or 0.0, draft.signal.steps
        if self.fault.kind == "noise":
            size, unit = size - 1, draft.noise  # once is there already
        elif self.fault.kind == "ramp":
            size *= (draft.elapsed_ms - self.begin_ms) / (self.end_ms - self.begin_ms)
        change: Floats = unit[at] * size
        return change


def place_fault(
    fault: Fault, catalogue: Catalogue, signal: Signal, tick_ms: int, start_ms: int
) -> PlacedFault | None:
    """The fault at one gateway, or None where it concerns no sensor of it.

    Args: signal: of all sensors. start_ms: time of the gateway's first tick.
    """
    chosen = fault.slots(catalogue)
    if not chosen.any():
        return None
    begin_ms = -(-fault.from_s * 1000 // tick_ms) * tick_ms  # the first tick at or after from_s
    lasts_ms = tick_ms if fault.kind == "spike" else (fault.for_s or np.inf) * 1000
    # a stuck sensor keeps the noise-free value: it holds whatever the period of the sensor is
    held = signal.level(int(start_ms + begin_ms)) if fault.kind == "stuck" else None
    return PlacedFault(fault, chosen, begin_ms, begin_ms + lasts_ms, held)
