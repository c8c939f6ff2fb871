"""When a signal may end what we do: never between a child's start and its note, never in a stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ends_by_interrupt() -> Iterator[None]:
    """Within this block a terminate or hang-up ends us as Ctrl-C does, so `finally` still runs."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled(interrupt, (signal.SIGTERM, signal.SIGHUP)):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Signals that would end us wait until this block is over; the first one is then acted on."""
    waiting: list[int] = []
    with _handled(lambda number, frame: waiting.append(number), _ENDING):
        yield
    if waiting:
        signal.raise_signal(waiting[0])


@contextmanager
def _handled(handler: signal._HANDLER, numbers: tuple[signal.Signals, ...]) -> Iterator[None]:
    # Python hands signals to the main thread alone; elsewhere there is nothing to hold back.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
