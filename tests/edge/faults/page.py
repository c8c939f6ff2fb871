"""What a gateway says of itself, and waiting for it."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from jobs.local.ports import LOOPBACK
from tests.edge.faults.box import Box

LIMIT_S = 120.0


def read(box: Box, path: str) -> str:
    """A page. Raises: OSError: it does not answer, or not with 200."""
    with urllib.request.urlopen(f"http://{LOOPBACK}:{box.page}{path}", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def status(box: Box) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(read(box, "/status.json"))
    return found


def answers(box: Box, path: str) -> bool:
    try:
        read(box, path)
    except OSError:
        return False
    return True


def begin(box: Box) -> None:
    """Start it and wait until it is subscribed: from now on the broker keeps what comes for it."""
    box.start()
    wait_for(lambda: answers(box, "/readyz"), "it is not ready")


def taken(box: Box) -> int:
    """Readings that the process has taken in."""
    return sum(each["readings"] for each in status(box)["inputs"])


def stored(box: Box) -> int:
    """Readings that are in committed batches of its epoch, dropped ones too."""
    return int(status(box)["spool"]["stored"])


def metric(box: Box, name: str) -> float:
    """The sum of a metric over its labels."""
    lines = read(box, "/metrics").splitlines()
    return sum(float(x.rpartition(" ")[2]) for x in lines if x.startswith(f"hardiot_edge_{name}{{"))


def wait_for(true: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    """Until it is true. what: is not so when the time is over."""
    end_s = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end_s, what
        time.sleep(0.05)
