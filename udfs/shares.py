"""Who may send how much backlog: a cell's budget, shared fairly among gateways that came back.

    rates = divide(budget, caps)                     # max-min fair, none above its cap
    data = encode_grant(Grant("plant-07", "gw-1", readings_per_s=20_000.0, ...))

Contract hardiot.admission.v1, topic `admission.<facility>`: infra/contracts/admission.yaml.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

ADMISSION = "hardiot.admission.v1"

BATCH_COST = 100
"""What a batch costs in readings beside those in it, so that one without any has a price too."""

Rates = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Grant:
    """A token for one gateway's backlog. The newest one replaces those before it; 0 withdraws.

    readings_per_s: at most so much. given_ms, expires_ms: UTC epoch ms, by the clock of the cloud.
    """

    facility: str
    gateway: str
    readings_per_s: float
    expires_ms: int
    given_ms: int


def divide(budget: float, caps: Rates) -> Rates:
    """Max-min fair shares: nobody can get more without somebody who has less getting less.

    Args: caps: most that each can use, shape (n,), not negative.
    Returns: shares, shape (n,); their sum is the smaller of budget and sum of caps.
    Source: Bertsekas and Gallager, Data Networks, 1992, section 6.5.2 (progressive filling).
    """
    order = np.argsort(caps)
    rising = caps[order]
    # when the i-th smallest is served in full, those before it are too, and n - i share the rest
    before = np.cumsum(rising) - rising
    levels = (max(budget, 0.0) - before) / np.arange(len(caps), 0, -1)
    short = np.flatnonzero(rising > levels)
    level = levels[short[0]] if len(short) else np.inf
    return np.minimum(caps, level)


def encode_grant(grant: Grant) -> bytes:
    """The token as JSON."""
    return json.dumps({"contract": ADMISSION} | asdict(grant)).encode()


def decode_grant(data: bytes) -> Grant:
    """Read a token. Raises: ValueError: not a token."""
    try:
        fields = json.loads(data)
        if fields["contract"] != ADMISSION:
            raise ValueError(f"contract {fields['contract']!r:.80}; this reader knows {ADMISSION}")
        grant = Grant(
            facility=str(fields["facility"]),
            gateway=str(fields["gateway"]),
            readings_per_s=_rate(fields["readings_per_s"]),
            expires_ms=_whole(fields["expires_ms"]),
            given_ms=_whole(fields["given_ms"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not a token: {error!s:.200}") from None
    if grant.expires_ms < grant.given_ms:
        raise ValueError("not a token: it expires before it was given")
    return grant


def _rate(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{value!r:.40} is not a rate")
    rate = float(value)
    if not 0 <= rate < math.inf:
        raise ValueError(f"{value!r:.40} is not a rate")
    return rate


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**62:
        raise ValueError(f"{value!r:.40} is not a time")
    return value
