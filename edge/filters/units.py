"""Linear conversions between units of one quantity: y = scale * x + shift.

    scale, shift = conversion("degF", "degC")

Sources of the factors: BIPM, The International System of Units, 9th edition, and NIST SP 811,
appendix B.8 (psi, inch, foot, US gallon, pound, horsepower: exact or to nine digits).
"""

from __future__ import annotations

from edge.errors import EdgeError
from udfs.wording import hint

# by quantity: unit -> (scale, shift) to the first unit of the quantity
_QUANTITIES: dict[str, dict[str, tuple[float, float]]] = {
    "temperature": {"degC": (1, 0), "degF": (5 / 9, -160 / 9), "K": (1, -273.15)},
    "pressure": {
        "bar": (1, 0), "mbar": (1e-3, 0), "Pa": (1e-5, 0), "hPa": (1e-3, 0), "kPa": (1e-2, 0),
        "MPa": (10, 0), "psi": (0.0689475729, 0), "atm": (1.01325, 0), "mmHg": (1.33322387e-3, 0),
    },
    "length": {
        "mm": (1, 0), "um": (1e-3, 0), "cm": (10, 0), "m": (1000, 0), "in": (25.4, 0),
        "ft": (304.8, 0), "mil": (0.0254, 0),
    },
    "speed": {
        "mm/s": (1, 0), "m/s": (1000, 0), "in/s": (25.4, 0), "ft/s": (304.8, 0),
        "km/h": (1000 / 3.6, 0),
    },
    "acceleration": {"m/s2": (1, 0), "mm/s2": (1e-3, 0), "g": (9.80665, 0), "ft/s2": (0.3048, 0)},
    "volume flow": {
        "m3/h": (1, 0), "m3/s": (3600, 0), "l/s": (3.6, 0), "l/min": (0.06, 0), "l/h": (1e-3, 0),
        "gpm": (0.003785411784 * 60, 0), "cfm": (0.028316846592 * 60, 0),
    },
    "mass flow": {
        "t/h": (1, 0), "kg/h": (1e-3, 0), "kg/s": (3.6, 0), "lb/h": (0.45359237e-3, 0),
    },
    "mass": {"kg": (1, 0), "g": (1e-3, 0), "t": (1000, 0), "lb": (0.45359237, 0)},
    "volume": {"m3": (1, 0), "l": (1e-3, 0), "gal": (0.003785411784, 0)},
    "force": {"N": (1, 0), "kN": (1000, 0), "lbf": (4.448221615, 0)},
    "torque": {"Nm": (1, 0), "kNm": (1000, 0), "lbf.ft": (1.355817948, 0)},
    "power": {"kW": (1, 0), "W": (1e-3, 0), "MW": (1000, 0), "hp": (0.745699872, 0)},
    "energy": {
        "kWh": (1, 0), "Wh": (1e-3, 0), "MWh": (1000, 0), "J": (1 / 3.6e6, 0), "kJ": (1 / 3600, 0),
        "MJ": (1 / 3.6, 0), "GJ": (1000 / 3.6, 0),
    },
    "frequency": {"Hz": (1, 0), "kHz": (1000, 0), "rpm": (1 / 60, 0)},
    "current": {"A": (1, 0), "mA": (1e-3, 0), "uA": (1e-6, 0), "kA": (1000, 0)},
    "voltage": {"V": (1, 0), "mV": (1e-3, 0), "kV": (1000, 0)},
    "angle": {"deg": (1, 0), "rad": (57.29577951308232, 0)},
    "ratio": {"%": (1, 0), "1": (100, 0), "ppm": (1e-4, 0)},
    "time": {"s": (1, 0), "ms": (1e-3, 0), "min": (60, 0), "h": (3600, 0)},
}  # fmt: skip
_ALIASES = {
    "°C": "degC", "C": "degC", "celsius": "degC", "°F": "degF", "F": "degF", "fahrenheit": "degF",
    "kelvin": "K", "inch": "in", "ips": "in/s", "kph": "km/h", "L/min": "l/min", "L/s": "l/s",
    "lpm": "l/min", "m³/h": "m3/h", "m³/s": "m3/s", "m/s²": "m/s2", "m/s^2": "m/s2", "µm": "um",
    "μm": "um", "RPM": "rpm", "1/min": "rpm", "percent": "%", "°": "deg", "N.m": "Nm",
}  # fmt: skip


def conversion(from_unit: str, to_unit: str) -> tuple[float, float]:
    """Scale and shift from one unit to another.

    Raises: EdgeError: a unit is not known, or the two measure different things.
    """
    source, target = _ALIASES.get(from_unit, from_unit), _ALIASES.get(to_unit, to_unit)
    if source == target:
        return 1.0, 0.0
    for units in _QUANTITIES.values():
        if source in units and target in units:
            (scale, shift), (back, base) = units[source], units[target]
            return scale / back, (shift - base) / back
    raise EdgeError(f'cannot convert "{from_unit}" to "{to_unit}": {_why(source, target)}')


def _why(source: str, target: str) -> str:
    by_unit: dict[str, list[str]] = {}
    for quantity, units in _QUANTITIES.items():
        for unit in units:
            by_unit.setdefault(unit, []).append(quantity)
    for unit in (source, target):
        if unit not in by_unit:
            return f'unknown unit "{unit}" ({hint(unit, [*by_unit, *_ALIASES])})'
    of = [f'"{unit}" is a unit of {" or ".join(by_unit[unit])}' for unit in (source, target)]
    return " and ".join(of)
