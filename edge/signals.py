"""The end of a process, asked for from outside."""

from __future__ import annotations

import signal
from threading import Event


def stop_on_signals() -> Event:
    """An event that an interrupt or a terminate sets."""
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
