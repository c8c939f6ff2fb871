"""Signals wait where they must, and end us properly elsewhere."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from jobs.local.interrupts import ends_by_interrupt, uninterrupted


@pytest.fixture(autouse=True)
def _pythons_own_handlers() -> Iterator[None]:
    """Other tests run commands that leave handlers behind, and a shared stack has its own."""
    usual = dict.fromkeys((signal.SIGTERM, signal.SIGHUP), signal.SIG_DFL)
    usual[signal.SIGINT] = signal.default_int_handler
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt):
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            steps.append("written")
        steps.append("never")
    assert steps == ["written"]


def test_without_a_signal_nothing_happens() -> None:
    before = signal.getsignal(signal.SIGINT)
    with uninterrupted():
        pass
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminate_ends_the_block_as_ctrl_c_does(number: signal.Signals) -> None:
    cleaned = []
    with pytest.raises(KeyboardInterrupt), ends_by_interrupt():
        try:
            os.kill(os.getpid(), number)
        finally:
            cleaned.append(True)
    assert cleaned == [True]
    assert signal.getsignal(number) == signal.SIG_DFL


def test_a_terminate_also_waits() -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt), ends_by_interrupt():
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGTERM)
            steps.append("written")
        steps.append("never")
    assert steps == ["written"]
