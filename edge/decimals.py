"""Values as small whole numbers: most readings are k / 10^d, and k needs one or two bytes.

    forms, numbers = split(value, hint)     # uint8 (n,), int64 (n,)
    join(forms, numbers)                    # value again, bit for bit

A form says how a value comes from its number: a decimal of a double, a decimal of a float (what a
PLC with 32-bit numbers sends: 21.3 as 21.299999237060547), a float's bits, or a double's bits. A
form is taken only where it gives back the very bits, so any double goes through: -0.0, each NaN,
infinities. Source of the idea: Afroozeh et al. 2023, "ALP: Adaptive Lossless floating-Point
Compression".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Forms = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Places = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]

DECIMALS = 10  # forms 0 to 9: k / 10^form
FLOAT_DECIMALS = range(10, 16)  # the same with 0 to 5 places, rounded to a float
FLOAT, DOUBLE = 16, 17  # the number is the bits
FORMS = 18

_POWERS = 10.0 ** np.array([*range(DECIMALS), *range(len(FLOAT_DECIMALS)), 0, 0])
_EXACT = 2.0**53


def split(value: Floats, hint: Forms | None = None) -> tuple[Forms, Numbers]:
    """Form and number of each value, shapes (n,).

    Args: hint: forms below DECIMALS to try before all others, shape (n,), as of the same sensors
        before; it costs no bit of exactness, and numbers of one sensor stay alike.
    """
    forms = np.zeros(len(value), np.uint8) if hint is None else hint.copy()
    numbers = np.empty(len(value), np.int64)
    left = _try(value, forms, numbers)
    for form in [*range(DECIMALS), *FLOAT_DECIMALS]:
        if not len(left):
            break
        if form == FLOAT_DECIMALS.start:
            left = _doubles(value, left, forms, numbers)
        left = _try_at(left, form, value, forms, numbers)
    forms[left], numbers[left] = FLOAT, value[left].astype(np.float32).view(np.int32)
    return forms, numbers


def _try(value: Floats, forms: Forms, numbers: Numbers) -> Places:
    """Numbers of values by their forms, as decimals. Returns: where these are not exact."""
    fits, found = _decimals(value, _POWERS[forms] if forms.any() else 1.0, single=False)
    numbers[:] = found
    return np.flatnonzero(~fits)


def _try_at(places: Places, form: int, value: Floats, forms: Forms, numbers: Numbers) -> Places:
    """One form for the values at these places. Returns: the places where it is not exact."""
    fits, found = _decimals(value[places], _POWERS[form], single=form in FLOAT_DECIMALS)
    at = places[fits]
    forms[at], numbers[at] = form, found[fits]
    return places[~fits]


def _decimals(value: Floats, power: Floats | float, single: bool) -> tuple[Bools, Numbers]:
    """(where value is a whole number / power bit for bit, the numbers), shapes (n,)."""
    with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinities fit nowhere
        whole = np.rint(value * power)
        whole += 0.0  # -0.0 becomes 0.0: a number has no sign of zero
        back = whole / power
        if single:
            back = back.astype(np.float32).astype(np.float64)
        fits = back.view(np.int64) == value.view(np.int64)
        fits &= np.abs(whole) < _EXACT
        return fits, whole.astype(np.int64)


def _doubles(value: Floats, left: Places, forms: Forms, numbers: Numbers) -> Places:
    """Those of full precision keep their bits. Returns: the places of those that are floats."""
    at = value[left]
    with np.errstate(invalid="ignore", over="ignore"):
        floats = at.astype(np.float32).astype(np.float64) == at  # not NaN: processors differ there
    full = left[~floats]
    forms[full], numbers[full] = DOUBLE, value.view(np.int64)[full]
    rest: Places = left[floats]
    return rest


def join(forms: Forms, numbers: Numbers) -> Floats:
    """The values, shape (n,). Raises: ValueError: an unknown form."""
    if len(forms) and int(forms.max()) >= FORMS:
        raise ValueError(f"unknown form of a value: {int(forms.max())}")
    value: Floats = numbers / _POWERS[forms]
    if len(forms) and int(forms.max()) >= DECIMALS:
        single = (forms >= FLOAT_DECIMALS.start) & (forms < FLOAT)
        with np.errstate(invalid="ignore", over="ignore"):
            value[single] = value[single].astype(np.float32)
        bits = forms == FLOAT
        value[bits] = numbers[bits].astype(np.int32).view(np.float32)
        value.view(np.int64)[forms == DOUBLE] = numbers[forms == DOUBLE]
    return value
