"""What dumped state says of the plan that it was made under; the same for every dump of a plan."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from udfs.conditions.latch import Slots
from udfs.watch.plan import Plan
from udfs.watch.signals import Signal
from udfs.watch.units import Unit

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Description:
    """text: JSON: sensors, assets, keys of units and rules, what they are about. columns: about the
    units, shape (units,): their bank, first entry, entries, checksum of what they watch.
    """

    text: str
    columns: dict[str, Array]

    @classmethod
    def of(cls, plan: Plan) -> Description:
        """The description of a plan."""
        about = {
            "sensors": len(plan.catalogue),
            "assets": len(plan.assets.name),
            "units": [unit.key for unit in plan.units],
            "kinds": [type(bank.condition).__name__ for bank in plan.banks],
            "signals": [signal_text(signal) for signal in plan.lens.signals],
            "named": {k: [r.name, r.version, r.severity] for k, r in plan.by_key.items()},
            "about": {key: list(about) for key, about in plan.about.items()},
        }
        bank_of, first = places(plan)
        columns = {
            "bank": bank_of,
            "first": first,
            "entries": np.array([len(unit.slots) for unit in plan.units], np.int64),
            "sum": np.array([unit_sum(plan, unit) for unit in plan.units], np.int64),
        }
        return cls(json.dumps(about), columns)


def signal_text(signal: Signal) -> str:
    """What tells a signal from others in dumped state."""
    return f"{zlib.crc32(repr(signal.key).encode()):08x}"


def places(plan: Plan) -> tuple[Array, Array]:
    """Bank and first entry of each unit, int64, shape (units,)."""
    bank_of = np.zeros(len(plan.units), np.int64)
    first = np.zeros(len(plan.units), np.int64)
    for number, bank in enumerate(plan.banks):
        for block, begin in zip(bank.blocks, bank.bounds, strict=False):
            mine = [unit.number for unit in block]
            bank_of[mine], first[mine] = number, begin
    return bank_of, first


def unit_sum(plan: Plan, unit: Unit, entries: int | None = None) -> int:
    """Checksum of what a unit watches, of its first entries only if so many are given."""
    subjects = subjects_of(plan, unit)[:entries]
    return zlib.crc32(subjects.astype(np.uint32).tobytes())


def subjects_of(plan: Plan, unit: Unit) -> Slots:
    """Slots of its sensors, or numbers of its assets."""
    if unit.signal is None:
        return unit.slots
    return plan.assets.numbers(unit.signal.assets)[unit.slots]
