"""Linear conversions, and what is said when there is none."""

from __future__ import annotations

import pytest

from edge.errors import EdgeError
from edge.filters.units import conversion


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (212, "degF", "degC", 100),
        (100, "°C", "°F", 212),
        (0, "degC", "K", 273.15),
        (14.5037738, "psi", "bar", 1),
        (2, "bar", "kPa", 200),
        (1, "in", "mm", 25.4),
        (1, "ips", "mm/s", 25.4),
        (1, "g", "m/s2", 9.80665),
        (1000, "g", "kg", 1),
        (100, "gpm", "m3/h", 22.712470704),
        (1500, "RPM", "Hz", 25),
        (0.5, "1", "%", 50),
        (7, "furlong", "furlong", 7),
    ],
)
def test_values(value: float, source: str, target: str, expected: float):
    scale, shift = conversion(source, target)
    assert value * scale + shift == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        ("degf", "degC", 'cannot convert "degf" to "degC": unknown unit "degf" (did you mean'),
        ("psi", "mm", '"psi" is a unit of pressure and "mm" is a unit of length'),
    ],
)
def test_no_conversion(source: str, target: str, why: str):
    with pytest.raises(EdgeError) as error:
        conversion(source, target)
    assert why in str(error.value)
