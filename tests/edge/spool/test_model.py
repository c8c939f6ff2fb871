"""Any order of calls, kills and power cuts against a simple model."""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.spool import Log
from tests.edge.spool.disks import MemoryDisk, PowerCut
from tests.edge.spool.promises import Load, numbers_lost, open_small, read_all

LONG = os.environ.get("HARDIOT_FAULTS") == "long"
STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 6)),
    st.tuples(st.just("alert"), st.integers(1, 3)),
    st.tuples(st.just("commit"), st.just(0)),
    st.tuples(st.just("send"), st.integers(0, 50)),
    st.tuples(st.just("save"), st.just(0)),
    st.tuples(st.just("cover"), st.just(0)),
    st.tuples(st.just("kill"), st.just(0)),
    st.tuples(st.just("cut"), st.integers(0, 60)),
)


class Machine:
    """The spool, and the disk that it stands on."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.disk = MemoryDisk()
        self.load = Load(open_small(self.disk), self.random)
        self.lost: set[tuple[int, int]] = set()
        self.given: dict[tuple[int, int], bytes] = {}

    def do(self, name: str, count: int) -> None:
        try:
            getattr(self, name)(count)
        except PowerCut:
            self.reopen(self.disk.image(self.random))

    def append(self, count: int) -> None:
        for _ in range(count):
            self.load.append(6000)

    def alert(self, count: int) -> None:
        for _ in range(count):
            self.load.alert()

    def commit(self, _: int) -> None:
        self.given |= self.load.waiting
        self.load.commit()

    def send(self, start: int) -> None:
        for log in (Log.ALERTS, Log.RAW):
            if records := read_all(self.load.spool, log)[start : start + 20]:
                self.load.acknowledge(log, records)

    def save(self, _: int) -> None:
        self.load.spool.save_pointer()

    def cover(self, _: int) -> None:
        self.load.spool.covered(self.load.spool.committed(Log.RAW))

    def kill(self, _: int) -> None:
        self.reopen(self.disk.killed())

    def cut(self, after: int) -> None:
        """The power goes after so many operations more."""
        left = [after]

        def count(name: str) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise PowerCut

        self.disk.after_each = count

    def reopen(self, disk: MemoryDisk) -> None:
        self.disk = disk
        self.load.attach(open_small(disk))
        self.check()

    def check(self) -> None:
        """What is held, lost and acknowledged is all that was promised, and nothing else."""
        spool, load = self.load.spool, self.load
        held = {(r.epoch, r.sequence): r.body for r in read_all(spool, Log.RAW)}
        lost = numbers_lost(spool)
        assert self.lost <= lost.keys(), "a loss was forgotten"
        self.lost |= lost.keys()
        assert not held.keys() & lost.keys()
        assert None not in dict(spool.ended).values()
        for number, body in load.raw.items():
            assert held.get(number, body) == body
            assert lost.get(number, "spool_full") == "spool_full"
            assert number in held or number in lost or number in load.acknowledged
        assert all((load.raw | self.given)[number] == body for number, body in held.items())
        load.raw |= held  # a write that was not promised, but is whole, is kept for good
        indices = [r.index for r in read_all(spool, Log.ALERTS)]
        assert indices == sorted(set(indices))
        gone = load.alerts.keys() - load.acknowledged_alerts - set(indices)
        assert len(gone) <= spool.dropped(Log.ALERTS)
        assert spool.used_bytes <= spool.max_bytes


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(st.lists(STEPS, max_size=60), st.integers(0, 1000))
def test_any_order_of_calls_and_crashes(steps: list[tuple[str, int]], seed: int) -> None:
    machine = Machine(seed)
    for name, count in steps:
        machine.do(name, count)
    machine.do("commit", 0)
    machine.check()


@pytest.mark.parametrize("seed", range(200 if LONG else 3))
def test_a_long_life_with_many_crashes(seed: int) -> None:
    """As many steps as evictions, new epochs and freed files need to come together."""
    machine = Machine(seed)
    kinds = ["append"] * 6 + ["commit"] * 4 + ["alert", "send", "save", "cover", "kill", "cut"]
    for _ in range(600):
        machine.do(machine.random.choice(kinds), machine.random.randrange(1, 7))
    machine.check()
    assert machine.load.acknowledged and machine.lost
    assert machine.load.spool.ended or seed >= 3  # these lives have a torn write in them
