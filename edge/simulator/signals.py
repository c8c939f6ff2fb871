"""What healthy sensors show: a mean of their own, a daily cycle, a slow drift and noise.

Everything is a pure function of seed, gateway and time, so any batch can be made again at any time
without the ones before it. Noise is a slice of one pool of normal deviates, at a place that is a
hash of the batch's number: a slice costs nothing, drawing 5,000 deviates costs more than all else.
The pool holds nothing beyond about 4.7 standard deviations: healthy noise raises no false alarm.

Values are kept in steps of the sensor's resolution until they are rounded, which saves a pass.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from edge.simulator.fleet import Placed

Floats = npt.NDArray[np.float64]
Slots = npt.NDArray[np.uint32]
Bools = npt.NDArray[np.bool_]

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
PEAK_OF_DAY = 15 / 24
DAILY_JITTER = 0.3  # radians by which one sensor's day is early or late at most

_POOL = 1 << 18
_MASK = (1 << 64) - 1


def key_of(*parts: object) -> int:
    """A 64-bit key that stands for these parts in every process (unlike `hash`)."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def mix(key: int, number: int) -> int:
    """64 well mixed bits for a number under a key. Source: Steele et al. 2014, SplitMix64."""
    z = (key + (number + 1) * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def chance(key: int, number: int) -> float:
    """A number in [0, 1) for a number under a key."""
    return mix(key, number) / 2**64


def generator(key: int) -> np.random.Generator:
    """Random numbers that depend on the key alone."""
    return np.random.Generator(np.random.Philox(key=key))


class NoisePool:
    """Standard normal deviates, drawn once a seed and shared by all gateways."""

    def __init__(self, seed: int, readings: int) -> None:
        """Args: readings: of the largest batch."""
        self._places = _POOL
        self._pool = generator(key_of(seed, "noise")).standard_normal(_POOL + readings)

    def draw(self, bits: int, readings: int) -> Floats:
        """Deviates for 64 random bits, shape (readings,); a view, not to be written to."""
        start = bits % self._places
        return self._pool[start : start + readings]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The template's numbers by slot, n sensors; shared by all facilities. Float64, shape (n,)."""

    base: Floats
    spread: Floats
    noise: Floats
    daily: Floats
    drift: Floats
    resolution: Floats
    period_ms: Floats
    clock_offset_ms: Floats

    @staticmethod
    def of(placed: Sequence[Placed]) -> Behaviour:
        """The behaviour of sensors in slot order."""
        specs = [sensor.spec for sensor in placed]
        names = [field.name for field in fields(Behaviour)]
        return Behaviour(*(np.array([getattr(s, n) for s in specs], np.float64) for n in names))


@dataclass(frozen=True, slots=True)
class Signal:
    """Coefficients of n readings, in steps of resolution but for `steps`. Float64, shape (n,).

    steps: steps in one unit of the sensor.
    """

    base: Floats
    cosine: Floats
    sine: Floats
    drift: Floats
    noise: Floats
    steps: Floats

    @staticmethod
    def draw(behaviour: Behaviour, random: np.random.Generator) -> Signal:
        """One gateway's own sensors: each differs a little from its template."""
        steps = np.round(1 / behaviour.resolution, 9)
        shift, phase, drift = random.uniform(-1, 1, (3, len(steps)))
        return Signal(
            base=(behaviour.base + behaviour.spread * shift) * steps,
            cosine=behaviour.daily * np.cos(DAILY_JITTER * phase) * steps,
            sine=behaviour.daily * np.sin(DAILY_JITTER * phase) * steps,
            drift=behaviour.drift * drift * steps,
            noise=behaviour.noise * steps,
            steps=steps,
        )

    def take(self, slots: Slots) -> Signal:
        """The coefficients of readings of these slots."""
        return Signal(*(getattr(self, field.name)[slots] for field in fields(self)))

    def level(self, time_ms: int) -> Floats:
        """Values without noise at that time, in steps, shape (n,); the caller's own array."""
        turn = 2 * math.pi * (time_ms % DAY_MS / DAY_MS - PEAK_OF_DAY)
        week = 4 * abs(time_ms % WEEK_MS / WEEK_MS - 0.5) - 1  # triangle between -1 and 1
        value = self.cosine * math.cos(turn)
        value += self.sine * math.sin(turn)
        value += self.drift * week
        value += self.base
        return value


@dataclass(slots=True)
class Draft:
    """Readings of one tick in the making, n of them; `value` is in steps until it is rounded.

    elapsed_ms: since the start of the simulation. noise: what noise is in `value`, in steps.
    missing: which readings will not be in the batch.
    """

    elapsed_ms: int
    slots: Slots
    signal: Signal
    value: Floats
    noise: Floats
    missing: Bools | None = None

    def drop(self, readings: Bools | npt.NDArray[np.intp]) -> None:
        """Leave these readings (mask or positions) out of the batch."""
        if self.missing is None:
            self.missing = np.zeros(len(self.value), np.bool_)
        self.missing[readings] = True
